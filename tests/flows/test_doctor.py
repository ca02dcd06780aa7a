"""``doorward doctor``: each thing that can be wrong is provoked, named, and told with its remedy (S30)."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner
from command_line import DOORWARD
from terminal import Terminal

from doorward.cli.doctor.doctor import command
from doorward.errors import ConfigurationError, DoorwardError, UnsafePermissions
from doorward.keyring import secret_service
from doorward.model import Secret
from doorward.testing import DevIssuer
from doorward.vault.entries import ProfileEntry
from doorward.vault.sealing.changing import Sealing
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from people import MovedClock
    from secret_service import SessionBus

    Authority = Any

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
PLANTED = "planted-secret"
CLOSED = "http://127.0.0.1:9"  # nobody listens at the port for discarding


class Told(NamedTuple):
    """What the doctor said, and its exit code."""

    code: int
    findings: dict[str, list[dict[str, str]]]
    document: dict[str, Any]

    def has(self, check: str, level: str, reason: str, words: str = "") -> None:
        """Hold that a check found this, and said these words among others."""
        found = self.findings.get(check, [])
        fitting = [each for each in found if (each["level"], each["reason"]) == (level, reason)]
        assert fitting, f"{check}: {found}"
        assert any(re.search(words, each["message"]) for each in fitting), fitting


@pytest.fixture(autouse=True)
def _no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a browser would write, if one were started."""
    browser = tmp_path / "my-browser"
    browser.write_text(f"#!/bin/sh\necho opened > {tmp_path}/opened\n")
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    return tmp_path / "opened"


def everything_in(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    """Return each file and folder with its mode, when it was changed, and what it holds."""
    if not folder.exists():
        return {}
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_mtime, content)
    return found


@pytest.fixture
def examine(opened: Path, doorward_home: Path) -> Callable[..., Told]:
    """Run the command, and see each time that it writes nothing, starts nothing and shows no secret."""

    def run(*arguments: str) -> Told:
        before = everything_in(doorward_home)
        done = CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        assert everything_in(doorward_home) == before
        assert not opened.exists()
        assert PLANTED not in done.output
        document = json.loads(done.stdout)
        findings: dict[str, list[dict[str, str]]] = {}
        for finding in document["findings"]:
            assert finding.keys() == {"check", "level", "reason", "message"}
            findings.setdefault(finding["check"], []).append(finding)
        return Told(done.return_value, findings, document)

    return run


def write_settings(home: Path, text: str) -> None:
    home.mkdir(exist_ok=True)
    (home / "doorward.toml").write_text(text)


def make_entry(issuer: str = CLOSED, **changes: Any) -> ProfileEntry:
    entry = ProfileEntry(
        profile="work",
        issuer=issuer,
        client_id="cli",
        client_authentication="none",
        created_at=time.time(),
        access_token=Secret(PLANTED),
        access_token_issued_at=time.time(),
        refresh_token=Secret(PLANTED),
    )
    return dataclasses.replace(entry, **changes)


class TestAllIsWell:
    def test_every_check_says_so(self, issuer: DevIssuer, examine: Callable[..., Told]) -> None:
        Vault().put(make_entry(issuer.url))
        for arguments in ((issuer.url,), ("--profile", "work"), ("work",)):
            told = examine(*arguments)
            assert told.code == 0
            assert {each["level"] for each in told.document["findings"]} == {"ok"}
            assert list(told.findings) == [
                *("settings", "proxy", "provider", "tls", "clock", "offers", "login", "browser", "ports"),
                *("keyring", "vault", "sealing", "entries"),
            ]
            assert (told.document["ok"], told.document["issuer"]) == (True, issuer.url)
            assert told.document["offers"] == {
                "pkce": True,
                "refresh_tokens": True,
                "device_codes": True,
                "par": "pushed_authorization_request_endpoint" in told.document["offers"],
                "dpop": False,
                "revocation": True,
                "logout": True,
            }

    def test_without_a_provider_it_looks_at_this_computer(self, examine: Callable[..., Told]) -> None:
        told = examine()
        assert told.code == 0
        assert told.document["offers"] is told.document["issuer"] is None
        told.has("provider", "warning", "no_provider", "doorward doctor ISSUER")
        told.has("vault", "ok", "no_vault", "The first sign-in makes")

    def test_a_profile_of_the_settings_is_looked_at_as_it_says(
        self, issuer: DevIssuer, examine: Callable[..., Told], doorward_home: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            lines = [f"issuer = '{issuer.url}'", "client_id = 'cli'", f"ports = [{port}]"]
            write_settings(doorward_home, "\n".join(["[profiles.Team]", *lines]))
            told = examine("team")
        assert told.document["issuer"] == issuer.url
        told.has("ports", "failed", "no_free_port", "End the program that holds it")

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [(("nobody",), "issuer"), (("--profile", "nobody"), "profile"), (("ftp://x",), "issuer")],
    )
    def test_what_is_neither_issuer_nor_profile_is_told(
        self, examine: Callable[..., Told], arguments: tuple[str, ...], field: str
    ) -> None:
        with pytest.raises(ConfigurationError) as refused:
            examine(*arguments)
        assert refused.value.field == field


class TestTheWayToTheProvider:
    @pytest.mark.parametrize(
        ("environment", "level", "reason", "words"),
        [
            ({}, "ok", "no_proxy", "directly"),
            ({"HTTPS_PROXY": "http://"}, "failed", "proxy_malformed", "Write it as http://host:port"),
            ({"HTTPS_PROXY": "ftp://proxy:3128"}, "failed", "proxy_scheme", "Known are"),
            ({"HTTPS_PROXY": f"http://me:{PLANTED}@127.0.0.1:9"}, "ok", "proxy", "127.0.0.1:9, which HTTPS_PROXY"),
            ({"HTTPS_PROXY": CLOSED, "NO_PROXY": "*"}, "ok", "proxy_not_for_it", "HTTPS_PROXY is set"),
            ({"HTTP_PROXY": CLOSED}, "warning", "proxy_for_http_only", "set HTTPS_PROXY"),
        ],
        ids=["none", "malformed", "of another kind", "counts", "excluded", "for http"],
    )
    def test_proxies(
        self,
        examine: Callable[..., Told],
        monkeypatch: pytest.MonkeyPatch,
        environment: dict[str, str],
        level: str,
        reason: str,
        words: str,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        examine().has("proxy", level, reason, words)

    def test_a_proxy_that_is_down(self, examine: Callable[..., Told], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PLANTED}@127.0.0.1:9")
        told = examine("https://id.example.org")
        assert told.code == 4
        told.has("provider", "failed", "proxy_failed", "127.0.0.1:9, named by HTTPS_PROXY")
        assert "tls" not in told.findings

    def test_nobody_listens(self, examine: Callable[..., Told]) -> None:
        told = examine(CLOSED)
        assert told.code == 4
        told.has("provider", "failed", "connection_refused", "that the service is up")
        assert "clock" not in told.findings
        assert "offers" not in told.findings

    @pytest.mark.parametrize(
        ("kind", "reason", "code"),
        [
            ("status", "server_failure", 4),
            ("hang", "timeout_total", 4),
            ("garbage", "protocol_error", 4),
            ("html", "not_json", 1),
        ],
    )
    def test_it_answers_wrongly(
        self,
        issuer: DevIssuer,
        examine: Callable[..., Told],
        monkeypatch: pytest.MonkeyPatch,
        kind: Any,
        reason: str,
        code: int,
    ) -> None:
        if kind == "hang":
            monkeypatch.setattr("doorward.cli.doctor.subject._DEADLINE_S", 0.5)
        issuer.fail("discovery", kind, times=None)
        told = examine(issuer.url)
        assert told.code == code
        assert told.findings["provider"][0]["level"] == "failed"
        assert told.findings["provider"][0]["reason"] == reason

    def test_another_issuer_answers(self, issuer: DevIssuer, examine: Callable[..., Told]) -> None:
        told = examine(issuer.url.replace("127.0.0.1", "localhost"))
        assert told.code == 1
        told.has("provider", "failed", "issuer_mismatch", "exactly as the provider writes it")

    @pytest.fixture
    def tls_issuer(self, test_ca: Authority) -> Iterator[DevIssuer]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(test_ca.certificate, test_ca.key)
        with DevIssuer(tls=tls) as issuer:
            yield issuer

    def test_a_certificate_of_a_ca_that_is_not_trusted(
        self, tls_issuer: DevIssuer, examine: Callable[..., Told]
    ) -> None:
        told = examine(tls_issuer.url)
        assert told.code == 4
        told.has("tls", "failed", "tls_certificate", "CN=localhost, issued by CN=Doorward test authority, good until 2")
        told.has("tls", "failed", "tls_certificate", "SSL_CERT_FILE")
        told.has("provider", "failed", "tls_certificate")

    def test_a_certificate_that_is_trusted(
        self, tls_issuer: DevIssuer, examine: Callable[..., Told], test_ca: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(test_ca.ca))
        told = examine(tls_issuer.url)
        assert told.code == 0
        told.has("tls", "ok", "tls", "issued by CN=Doorward test authority.*accepted here")

    def test_trust_that_can_not_be_read(
        self, issuer: DevIssuer, examine: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        examine(issuer.url).has("tls", "failed", "trust_unreadable", "Mend or unset it")

    def test_no_tls_at_that_port(self, issuer: DevIssuer, examine: Callable[..., Told]) -> None:
        told = examine(issuer.url.replace("http:", "https:"))
        assert told.code == 4
        told.has("tls", "failed", "tls_failed", "Check the address and its port")

    @pytest.mark.parametrize(
        ("ahead_s", "level", "reason", "words"),
        [
            (3660, "failed", "clock_behind", "1 h behind|1 h 1 min behind"),
            (90, "failed", "clock_behind", "1 min behind"),
            (5, "ok", "clock", "agrees"),
            (-20, "ok", "clock", "agrees"),
            (-90, "warning", "clock_ahead", "1 min ahead"),
            (-3700, "failed", "clock_ahead", "1 h 1 min ahead"),
        ],
    )
    def test_clocks(
        self,
        issuer: DevIssuer,
        clock: MovedClock,
        examine: Callable[..., Told],
        ahead_s: float,
        level: str,
        reason: str,
        words: str,
    ) -> None:
        clock.ahead_s = ahead_s
        told = examine(issuer.url)
        told.has("clock", level, reason, words)
        assert told.code == (level == "failed")

    @pytest.mark.parametrize(
        ("headers", "reason"), [({"Age": "7200"}, "clock"), ({"Age": "soon"}, "clock_ahead")], ids=["told", "odd"]
    )
    def test_the_clock_of_an_answer_that_a_cache_kept(
        self, issuer: DevIssuer, clock: MovedClock, examine: Callable[..., Told], headers: dict[str, str], reason: str
    ) -> None:
        clock.ahead_s = -7200
        issuer.fail("discovery", "status", status=503, headers=headers)
        assert examine(issuer.url).findings["clock"][0]["reason"] == reason

    @pytest.mark.parametrize(
        ("changes", "level", "reason", "words"),
        [
            ({}, "ok", "offers", "It names: PKCE"),
            ({"end_session_endpoint": None}, "ok", "offers", "does not name: .*logout"),
            ({"code_challenge_methods_supported": ["plain"]}, "warning", "pkce_without_s256", "Ask the provider"),
            (
                {"grant_types_supported": ["authorization_code"], "scopes_supported": ["openid"]},
                "warning",
                "no_refresh_tokens",
                "ends with its first token",
            ),
        ],
        ids=["all", "no logout", "plain PKCE", "no refresh tokens"],
    )
    def test_what_it_offers(
        self,
        issuer: DevIssuer,
        examine: Callable[..., Told],
        changes: dict[str, Any],
        level: str,
        reason: str,
        words: str,
    ) -> None:
        with_all = examine(issuer.url).document
        assert with_all["ok"]
        document = {
            "issuer": issuer.url,
            "token_endpoint": f"{issuer.url}/token",
            "end_session_endpoint": f"{issuer.url}/end",
            "code_challenge_methods_supported": ["S256"],
            **changes,
        }
        body = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
        issuer.fail("discovery", "status", status=200, body=body)
        examine(issuer.url).has("offers", level, reason, words.replace("It names", "names"))


class TestThisComputer:
    def test_settings_that_can_not_be_read(self, examine: Callable[..., Told], doorward_home: Path) -> None:
        write_settings(doorward_home, "[profiles.work")
        told = examine()
        assert told.code == 1
        told.has("settings", "failed", "toml_syntax", "not valid TOML")

    def test_a_setting_that_is_none(self, examine: Callable[..., Told], doorward_home: Path) -> None:
        write_settings(doorward_home, "[profiles.work]\nisuer = 'https://id.example.org'")
        examine().has("settings", "failed", "unknown_setting", "did you mean issuer")

    def test_settings_that_are_good(self, examine: Callable[..., Told], doorward_home: Path) -> None:
        write_settings(doorward_home, "[institutions.home]\nwhere = 'jcu.edu.au'")
        examine().has("settings", "ok", "settings", "Profiles: 0, institutions: 1")

    @pytest.mark.parametrize(
        ("settings", "level", "reason", "words"),
        [
            ("", "ok", "port", "a port of 127.0.0.1"),
            ("ports = [8499]", "ok", "port", "the ports 8499"),
            ("ports = [80]", "failed", "port_out_of_range", "between 1024 and"),
            ("redirect_uri = 'http://localhost/back'", "ok", "port", "of localhost"),
            ("redirect_uri = 'https://example.org/back'", "failed", "host_not_loopback", "must be 127.0.0.1"),
        ],
        ids=["any", "named", "low", "localhost", "elsewhere"],
    )
    def test_ports(
        self, examine: Callable[..., Told], doorward_home: Path, settings: str, level: str, reason: str, words: str
    ) -> None:
        write_settings(doorward_home, f"[profiles.default]\nissuer = '{CLOSED}'\nclient_id = 'cli'\n{settings}")
        examine().has("ports", level, reason, words)

    @pytest.mark.parametrize(
        ("environment", "reason", "words"),
        [
            ({"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}, "ssh", "connected by SSH"),
            ({"JUPYTERHUB_USER": "ana"}, "jupyter_remote", "notebook runs on a server"),
            ({"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, "container", "This is a container"),
        ],
        ids=["SSH", "JupyterHub", "a container"],
    )
    def test_where_there_is_no_browser_and_nobody(
        self,
        issuer: DevIssuer,
        examine: Callable[..., Told],
        monkeypatch: pytest.MonkeyPatch,
        environment: dict[str, str],
        reason: str,
        words: str,
    ) -> None:
        monkeypatch.delenv("BROWSER")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        told = examine(issuer.url)
        assert told.code == 0
        told.has("browser", "warning", reason, words)
        told.has("login", "warning", "login_needs_a_person", "without a terminal.*doorward login --device")

    def test_a_browser(self, examine: Callable[..., Told]) -> None:
        told = examine()
        told.has("browser", "ok", "browser", "my-browser")
        told.has("login", "ok", "login_by_browser", "opens a browser")

    @pytest.mark.parametrize(
        ("client", "environment", "level", "reason"),
        [
            ({"client_authentication": "client_secret_basic"}, {}, "failed", "keyring_no_bus"),
            (
                {"client_authentication": "client_secret_post"},
                {"DOORWARD_CLIENT_SECRET": PLANTED},
                "ok",
                "secret",
            ),
            ({"client_authentication": "private_key_jwt"}, {}, "failed", "client_key_missing"),
            (
                {"client_authentication": "private_key_jwt"},
                {"DOORWARD_CLIENT_KEY_FILE": "/nowhere/key.pem"},
                "failed",
                "client_key_unreadable",
            ),
        ],
        ids=["no keyring", "environment", "no key", "no file"],
    )
    def test_what_a_client_proves_itself_with(
        self,
        examine: Callable[..., Told],
        monkeypatch: pytest.MonkeyPatch,
        client: dict[str, Any],
        environment: dict[str, str],
        level: str,
        reason: str,
    ) -> None:
        Vault().put(make_entry(**client))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        examine("work").has("secret", level, reason)


class TestTheVault:
    @pytest.fixture
    def vault(self) -> Vault:
        vault = Vault()
        vault.put(make_entry())
        return vault

    def test_open_to_others(self, examine: Callable[..., Told], vault: Vault) -> None:
        Path(vault.folder).chmod(0o755)
        told = examine("--profile", "work")  # which can't be known
        told.has("vault", "warning", "folder_mode", "chmod 700")
        assert "entries" not in told.findings

    @AS_ROOT
    def test_somebody_elses(self, examine: Callable[..., Told], vault: Vault) -> None:
        os.chown(vault.folder, 65534, 65534)
        told = examine()
        assert told.code == 1
        told.has("vault", "failed", "foreign_owner", "belongs to another user")

    def test_a_symbolic_link(self, examine: Callable[..., Told], vault: Vault, tmp_path: Path) -> None:
        Path(vault.folder).rename(tmp_path / "elsewhere")
        Path(vault.folder).symlink_to(tmp_path / "elsewhere")
        examine().has("vault", "failed", "symbolic_link", "Set DOORWARD_HOME to a real folder")

    def test_a_file_in_its_place(self, examine: Callable[..., Told], doorward_home: Path) -> None:
        doorward_home.mkdir()
        (doorward_home / "vault").write_text("?")
        examine().has("vault", "failed", "not_a_folder")

    def test_a_home_that_is_none(self, examine: Callable[..., Told], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOORWARD_HOME", "relative")
        examine().has("vault", "failed", "home_not_absolute", "Set it to an absolute path")

    @pytest.mark.peer
    @pytest.mark.parametrize(("options", "reason"), [("ro", "read_only"), ("size=64k", "disk_full")])
    def test_a_disk_that_takes_nothing(
        self, vault: Vault, read_only_mount: Callable[[Path], list[str]], options: str, reason: str
    ) -> None:
        read_only_mount(Path(vault.folder))  # whether this can be had at all
        fill = 'cat /dev/zero > "$0/fill"' if reason == "disk_full" else ":"
        script = f'mount -t tmpfs -o mode=700,{options} none "$0"; {fill} 2>/dev/null; exec "$@"'
        told = subprocess.run(
            [shutil.which("unshare") or "", "--mount", "sh", "-c", script, vault.folder, DOORWARD, "doctor", "--json"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        findings = json.loads(told.stdout)["findings"]
        assert [each["reason"] for each in findings if each["check"] == "vault"] == [reason]
        assert told.returncode == 1

    def test_an_entry_that_is_not_ours_stays_where_it_is(self, examine: Callable[..., Told], vault: Vault) -> None:
        entry = Path(vault.folder) / "profile-work.json"
        entry.write_text(f'{{"{PLANTED}": ')
        told = examine()
        assert told.code == 1
        told.has("entries", "failed", "json_syntax", "'work' can't be read.*Sign in again")
        with pytest.raises(DoorwardError):
            vault.get("work")  # which sets it aside
        told = examine()
        assert told.code == 0
        told.has("entries", "warning", "set_aside", "profile-work.json.corrupt-")

    def test_an_entry_that_others_can_read(self, examine: Callable[..., Told], vault: Vault) -> None:
        (Path(vault.folder) / "profile-work.json").chmod(0o644)
        examine("work").has("entries", "failed", "file_mode", "open to others")

    def test_sealed(
        self, examine: Callable[..., Told], vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        examine().has("sealing", "ok", "plain", "not sealed")
        (tmp_path / "key").write_text(PLANTED * 4)
        (tmp_path / "key").chmod(0o600)
        monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", str(tmp_path / "key"))
        sealing = Sealing(vault.folder, (vault.profiles, vault.institutions))
        sealing.seal("key_file")
        told = examine("work")
        told.has("sealing", "ok", "sealed", "at hand")
        told.has("entries", "ok", "entries", "can be read: 1")

        entry = Path(vault.folder) / "profile-work.json"
        entry.chmod(0o644)
        with pytest.raises(UnsafePermissions):
            sealing.rotate("key_file")
        entry.chmod(0o600)
        examine().has("sealing", "warning", "seal_unfinished", "doorward vault rotate")

        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        told = examine()
        assert told.code == 1
        told.has("sealing", "failed", "seal_key_not_given", "DOORWARD_VAULT_KEY_FILE")


@pytest.mark.peer
class TestTheKeyring:
    @pytest.mark.parametrize(
        ("state", "level", "reason", "words"),
        [
            ("works", "ok", "keyring", "is unlocked"),
            ("locked", "warning", "keyring_locked", "Unlock it"),
            ("hangs", "warning", "keyring_hung", "did not answer"),
            ("empty", "warning", "keyring_empty", "Make one"),
            ("absent", "ok", "keyring_absent", "needed only for"),
        ],
    )
    def test_each_state(
        self,
        session_bus: SessionBus,
        prompter: Callable[[], bool],
        examine: Callable[..., Told],
        monkeypatch: pytest.MonkeyPatch,
        state: str,
        level: str,
        reason: str,
        words: str,
    ) -> None:
        with ExitStack():
            if state != "absent":
                running = session_bus.start_keyring(unlocked=state != "empty")
            if state == "locked":
                session_bus.lock()
            if state == "hangs":
                monkeypatch.setattr(secret_service, "DEADLINE_S", 1.0)
                running.send_signal(signal.SIGSTOP)
            told = examine()
            told.has("keyring", level, reason, words)
            assert told.code == 0
            assert not prompter()

    def test_a_secret_that_is_not_there(self, session_bus: SessionBus, examine: Callable[..., Told]) -> None:
        session_bus.start_keyring()
        Vault().put(make_entry(client_authentication="client_secret_basic"))
        examine("work").has("secret", "failed", "client_secret_missing", "doorward secret set")


class TestAtATerminal:
    """S11, S30: what is told is what ``login`` then does. Each was looked at, at 80 columns."""

    @pytest.mark.parametrize(
        ("can_type", "words"), [(True, "paste back the address"), (False, "shows a code, to enter on any device")]
    )
    def test_it_fits_and_says_what_login_will_do(self, issuer: DevIssuer, can_type: bool, words: str) -> None:  # noqa: FBT001 - a column of the table
        with Terminal("doctor", issuer.url, can_type=can_type, SSH_TTY="/dev/pts/7", BROWSER="") as terminal:
            terminal.rest()
        assert terminal.process.returncode == 0, terminal.shown
        lines = terminal.plain.splitlines()
        assert max(map(len, lines)) <= 80
        told = [line for line in lines if not line.startswith(" ")]
        assert all(re.match(r"(ok|warning|failed) +[a-z]+ +\S", line) for line in told[:-1]), lines
        assert re.fullmatch(r"\d+ ok, 1 warning, 0 failed\.", told[-1])
        assert words in " ".join(terminal.plain.split())
