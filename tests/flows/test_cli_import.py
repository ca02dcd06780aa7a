"""``doorward import``: a session of another program goes on here, and its file is as it was."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import doorward_cli
from loopback_https import Answer, Server, redirect

import doorward
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from loopback_https import Request

    from doorward.testing import DevIssuer
    from doorward.vault.entries import ProfileEntry

LOOPBACK = "--insecure-loopback-http"


@pytest.fixture
def elsewhere(issuer: DevIssuer, person: Path, tmp_path: Path) -> ProfileEntry:
    """What a real sign-in gave to another program: it lies in a vault that is not ours."""
    vault = Vault(str(tmp_path / "elsewhere"))
    doorward.sign_in(issuer.url, "cli", vault=vault, insecure_loopback_http=True, timeout_s=60)
    entry = vault.get("default")
    assert entry is not None
    return entry


def secrets_of(entry: ProfileEntry) -> dict[str, str]:
    held = {"access_token": entry.access_token, "id_token": entry.id_token, "refresh_token": entry.refresh_token}
    return {name: secret.reveal() for name, secret in held.items() if secret is not None}


def micromegas(entry: ProfileEntry) -> dict[str, Any]:
    """Write what Authlib makes of a provider's answer, and micromegas of that."""
    token = {**secrets_of(entry), "token_type": "Bearer", "expires_in": 3600, "scope": "openid email profile"}
    token["expires_at"] = int(entry.access_token_expires_at or 0)
    return {"issuer": entry.issuer, "client_id": entry.client_id, "token": token}


def kubelogin(entry: ProfileEntry) -> dict[str, Any]:
    return {name: secret for name, secret in secrets_of(entry).items() if name != "access_token"}


def msal(entry: ProfileEntry) -> dict[str, Any]:
    of = {"home_account_id": "a.t", "environment": "login.example.org", "client_id": entry.client_id}
    secrets = secrets_of(entry)
    expires_on = str(int(entry.access_token_expires_at or 0))
    return {
        "AccessToken": {"a": {**of, "secret": secrets["access_token"], "target": "openid", "expires_on": expires_on}},
        "Account": {"a": {**of, "username": "alice@example.org"}},
        "RefreshToken": {"a": {**of, "secret": secrets["refresh_token"], "target": ""}},
    }


def write(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document, indent=2))
    path.chmod(0o600)
    return str(path)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = doorward_cli("import", *arguments, **environment)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("make", [micromegas, kubelogin, msal])
def test_an_imported_session_is_renewed_and_says_who_it_is(
    make: Callable[[ProfileEntry], dict[str, Any]], elsewhere: ProfileEntry, issuer: DevIssuer, tmp_path: Path
) -> None:
    file = write(tmp_path / "its file.json", make(elsewhere))
    before = (tmp_path / "its file.json").read_bytes()
    missing = () if make is micromegas else ("--issuer", issuer.url)
    missing = (*missing, "--client-id", "cli") if make is kubelogin else missing
    done = run(make.__name__, file, *missing, LOOPBACK, "--profile", "work")
    assert done.returncode == 0, done.stderr
    shown = " ".join((done.stdout + done.stderr).split())
    assert f"Imported as profile work, at {issuer.url}" in shown
    assert "still holds the live session" in shown
    assert f"rm '{file}'" in shown
    assert not [secret for secret in secrets_of(elsewhere).values() if secret in shown]
    assert (tmp_path / "its file.json").read_bytes() == before

    if make is not kubelogin:  # its access token is good for an hour
        assert doorward_cli("token", "--profile", "work").stdout.strip() == secrets_of(elsewhere)["access_token"]
    renewed = doorward_cli("token", "--profile", "work", "--renew")
    assert renewed.returncode == 0, renewed.stderr
    assert renewed.stdout.strip() not in secrets_of(elsewhere).values()
    assert "alice@example.org" in doorward_cli("whoami", "--profile", "work").stdout
    assert doorward_cli("token", "--id", "--profile", "work").returncode == 0, "micromegas sends the ID token"
    assert doorward_cli("logout", "--profile", "work").stdout.startswith("Signed out of profile work: revoked at")


def test_a_confidential_client_goes_on_with_its_secret(issuer: DevIssuer, person: Path, tmp_path: Path) -> None:
    issuer.add_client("web", secret="planted-client-secret", methods=["client_secret_post"])
    vault = Vault(str(tmp_path / "elsewhere"))
    secret = {"client_secret": "planted-client-secret", "secret_method": "client_secret_post"}
    doorward.sign_in(issuer.url, "web", vault=vault, insecure_loopback_http=True, timeout_s=60, **secret)
    entry = vault.get("default")
    assert entry is not None
    file = write(tmp_path / "tokens.json", micromegas(entry))
    assert run("micromegas", file, LOOPBACK, "--secret-method", "client_secret_post").returncode == 0
    refused = doorward_cli("token", "--renew")
    assert refused.returncode == 2
    assert "doorward secret set" in refused.stderr
    assert doorward_cli("token", "--renew", DOORWARD_CLIENT_SECRET="planted-client-secret").returncode == 0


class TestWhatIsHeld:
    def test_it_is_replaced_only_when_that_is_asked_for(self, elsewhere: ProfileEntry, tmp_path: Path) -> None:
        file = write(tmp_path / "tokens.json", micromegas(elsewhere))
        assert run("micromegas", file, LOOPBACK).returncode == 0
        before = Vault().get("default")
        done = run("micromegas", file, LOOPBACK)
        assert done.returncode == 2
        assert "--replace" in done.stderr
        assert Vault().get("default") == before
        assert run("micromegas", file, LOOPBACK, "--replace").returncode == 0
        assert Vault().get("default") != before

    def test_what_can_not_be_read_is_held_too(self, elsewhere: ProfileEntry, tmp_path: Path) -> None:
        file = write(tmp_path / "tokens.json", micromegas(elsewhere))
        assert run("micromegas", file, LOOPBACK).returncode == 0
        kept = Path(Vault().folder) / "profile-default.json"
        kept.write_bytes(b"{")
        assert run("micromegas", file, LOOPBACK).returncode == 2
        assert kept.read_bytes() == b"{"

    def test_a_sealed_vault_whose_key_is_away_takes_nothing_in_plain(
        self, elsewhere: ProfileEntry, tmp_path: Path
    ) -> None:
        key = tmp_path / "vault.key"
        assert doorward_cli("vault", "seal", "--key-file", str(key)).returncode == 0
        key.unlink()
        file = write(tmp_path / "tokens.json", micromegas(elsewhere))
        assert run("micromegas", file, LOOPBACK).returncode == 2
        assert [path.name for path in Path(Vault().folder).iterdir()] == ["seal.json"]


class TestTheFile:
    @pytest.mark.parametrize(
        ("mode", "said"), [(0o600, ""), (0o644, "Others can read the file"), (0o660, "Others can write the file")]
    )
    def test_who_else_can_use_it_is_warned_of(
        self, mode: int, said: str, elsewhere: ProfileEntry, tmp_path: Path
    ) -> None:
        file = write(tmp_path / "tokens.json", micromegas(elsewhere))
        Path(file).chmod(mode)
        done = run("micromegas", file, LOOPBACK, "--json")
        assert done.returncode == 0
        assert " ".join(json.loads(done.stdout)["warnings"]).startswith(said)
        assert bool(json.loads(done.stdout)["warnings"]) == bool(said)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_one_of_another_user_is_warned_of(self, elsewhere: ProfileEntry, tmp_path: Path) -> None:
        file = write(tmp_path / "tokens.json", micromegas(elsewhere))
        os.chown(file, 12345, 12345)
        assert "belongs to another user" in run("micromegas", file, LOOPBACK).stderr

    def test_a_pipe_keeps_nobody_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
            done = run("micromegas", str(path))
            assert done.returncode == 2
            assert str(path) in done.stderr

    def test_the_pickle_of_bmlibrarian_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "openathens_session.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'touch planted'\ntR.")
        done = run("bmlibrarian", str(tmp_path / "openathens_session.pkl"), "--target", "https://sp.example/paper.pdf")
        assert done.returncode == 2
        assert "is a pickle" in done.stderr


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("micromegas", ("--issuer", "https://evil.example"), "its tokens go nowhere else. Leave out --issuer"),
        ("micromegas", ("--client-id", "other"), "Leave out --client-id"),
        ("micromegas", (), "issuer"),  # http, and not allowed
        ("kubelogin", (), "give --issuer"),
        ("kubelogin", ("--issuer", "https://id.example.org"), "give --client-id"),
        ("msal", (), "give --issuer"),
        ("msal", ("--account", "bob"), "Say which: --account alice@example.org --client-id cli"),
        ("micromegas", (LOOPBACK, "--provider", "nobody"), "provider"),
        ("micromegas", (LOOPBACK, "--profile", "../x"), "can't be the name of"),
    ],
)
def test_what_can_not_be_is_told_and_nothing_is_kept(
    program: str, arguments: tuple[str, ...], said: str, elsewhere: ProfileEntry, tmp_path: Path
) -> None:
    make = {"micromegas": micromegas, "kubelogin": kubelogin, "msal": msal}[program]
    done = run(program, write(tmp_path / "its.json", make(elsewhere)), *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not Path(Vault().folder).exists()


def test_an_issuer_may_be_written_with_its_slash(elsewhere: ProfileEntry, issuer: DevIssuer, tmp_path: Path) -> None:
    """Micromegas asks for ISSUER/.well-known/…, so people leave out the slash that the provider's issuer ends in."""
    file = write(tmp_path / "tokens.json", micromegas(elsewhere))
    assert run("micromegas", file, "--issuer", f"{issuer.url}/", LOOPBACK).returncode == 0
    entry = Vault().get("default")
    assert entry is not None
    assert entry.issuer == f"{issuer.url}/"


class TestBMLibrarian:
    @pytest.fixture
    def target(self, test_ca: Any, trust_test_ca: None) -> Iterator[str]:
        """The address of a paper that opens to who has the cookie."""

        def answer(request: Request) -> Answer:
            if "planted-cookie" in request.cookie:
                return Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
            return redirect("https://idp.localhost/sso?SAMLRequest=x")

        with contextlib.closing(Server(answer, test_ca.certificate, test_ca.key)) as server:
            yield f"https://sp.localhost:{server.port}/paper.pdf"

    def test_its_session_holds_here(self, target: str, tmp_path: Path) -> None:
        cookie = {"name": "_shibsession_1", "value": "planted-cookie", "domain": "sp.localhost", "path": "/"}
        of_browser = {"expires": -1, "httpOnly": True, "secure": True, "sameSite": "Lax"}
        elsewhere = {**cookie, **of_browser, "name": "other", "value": "planted-other", "domain": "idp.localhost"}
        document = {
            "created_at": "2026-11-01T09:30:00.123456",
            "cookies": [{**cookie, **of_browser}, elsewhere, {"name": 7}],
            "institution_url": "https://go.openathens.net/redirector/jcu.edu.au",
            "user_agent": "Mozilla/5.0",
        }
        file = write(tmp_path / "openathens_session.json", document)
        done = run("bmlibrarian", file, "--target", target)
        assert done.returncode == 0, done.stderr
        assert "Imported as institution jcu.edu.au, 2 cookies." in done.stdout
        assert "planted" not in done.stdout + done.stderr
        assert run("bmlibrarian", file, "--target", target).returncode == 2, "it is held now"
        assert "too_old" in doorward_cli("institution", "status", "--json").stdout, "its age counts"

        document["created_at"] = "2099-01-01T00:00:00"  # a clock that was wrong: it began now at the latest
        assert run("bmlibrarian", write(tmp_path / "b.json", document), "--target", target, "--replace").returncode == 0
        status = doorward_cli("institution", "status", "jcu.edu.au")
        assert (status.returncode, status.stdout.startswith("jcu.edu.au: valid.")) == (0, True), status.stdout

    def test_cookies_that_no_browser_would_send(self, tmp_path: Path) -> None:
        document = {
            "created_at": "2026-11-01T09:30:00",
            "cookies": [{"name": 7}],
            "institution_url": "https://go.openathens.net/redirector/jcu.edu.au",
        }
        file = write(tmp_path / "openathens_session.json", document)
        done = run("bmlibrarian", file, "--target", "https://sp.example/paper.pdf")
        assert done.returncode == 2
        assert "no cookie that a browser would send" in done.stderr
        document["institution_url"] = "http://go.openathens.net/redirector/jcu.edu.au"
        assert (
            run("bmlibrarian", write(tmp_path / "c.json", document), "--target", "https://a.example/b").returncode == 2
        )
