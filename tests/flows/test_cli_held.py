"""What is held here about people, at the command line: ``doorward export`` shows it, ``doorward forget`` removes it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import doorward_cli

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_service import SessionBus

PLANTED = "planted"
SECRET = "planted client secret"
CLIENT = "cli@https://id.example.org"


@pytest.fixture(autouse=True)
def _no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


@pytest.fixture
def keyring(session_bus: SessionBus) -> SessionBus:
    """GNOME's keyring, unlocked."""
    session_bus.start_keyring()
    return session_bus


def keep_profile(name: str = "default", **fields: Any) -> None:
    now = time.time()
    fields = {"client_authentication": "none", "claims": {"iss": "https://id.example.org", "sub": "alice"}} | fields
    Vault().put(
        ProfileEntry(
            profile=name,
            issuer="https://id.example.org",
            client_id="cli",
            created_at=now,
            access_token=Secret("planted-access"),
            access_token_issued_at=now,
            access_token_expires_at=now + 3600,
            refresh_token=Secret("planted-refresh"),
            nonce=Secret("planted-nonce"),
            **fields,
        )
    )


def keep_institution() -> None:
    now = time.time()
    Vault().institutions.put(
        InstitutionEntry(
            name="uni",
            where="university.example",
            institution_url="https://go.openathens.net/redirector/university.example",
            target="https://sp.example/paper.pdf",
            user_agent="Mozilla/5.0",
            signed_in_at=now,
            created_at=now,
            proven_at=now,
            cookies=(KeptCookie(name="_shibsession_1", value=Secret("planted-cookie"), domain="sp.example"),),
        )
    )


def left() -> list[str]:
    folder = Path(Vault().folder)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def run(*arguments: str, exits: int = 0, **environment: str) -> str:
    """Run a command that asks nobody, and return what it printed."""
    done = doorward_cli(*arguments, typed="", **environment)
    assert done.returncode == exits, done.stdout + done.stderr
    assert PLANTED not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


class TestExporting:
    def test_it_shows_all_that_is_held_and_no_secret(self) -> None:
        told = {"iss": "i", "sub": "alice", "identities": [{"access_token": "planted-other"}], "nonce": "planted-nonce"}
        keep_profile(claims=told, userinfo={"name": "Alice", "jwt": "eyJhbGciOi.planted"})
        keep_institution()
        shown = json.loads(doorward_cli("export", "--json").stdout)
        assert PLANTED not in json.dumps(shown)
        profile, institution = shown["held"]
        assert profile["entry"]["userinfo"] == {"name": "Alice", "jwt": "<secret>"}
        assert profile["entry"]["claims"]["identities"] == [{"access_token": "<secret>"}]
        assert profile["entry"]["refresh_token"] == "<secret>"
        assert profile["files"] == [str(Path(Vault().folder) / "profile-default.json")]
        assert institution["entry"]["cookies"][0]["value"] == "<secret>"
        assert shown["sealed"] is False
        words = run("export")
        assert all(each in words for each in ("alice", "sp.example", "<secret>", "access_token_expires_at"))

    def test_one_is_shown_alone(self) -> None:
        keep_profile("work")
        keep_profile("home")
        held = json.loads(doorward_cli("export", "--profile", "work", "--json").stdout)["held"]
        assert [each["profile"] for each in held] == ["work"]
        assert json.loads(doorward_cli("export", "--institution", "uni", "--json").stdout)["held"][0]["entry"] is None

    def test_what_can_not_be_read_is_told_and_hides_nothing_else(self) -> None:
        keep_profile("work")
        (Path(Vault().folder) / "profile-bad.json").write_bytes(b'{"planted')
        (Path(Vault().folder) / "profile-bad.json").chmod(0o600)
        bad, work = json.loads(doorward_cli("export", "--json").stdout)["held"]
        assert bad["error"]["code"] == "corrupt_entry"
        assert ".corrupt-" in bad["files"][0]
        assert work["entry"]["profile"] == "work"

    @pytest.mark.peer
    def test_where_a_client_s_secret_is(self, keyring: SessionBus) -> None:
        keep_profile(client_authentication="client_secret_basic")
        keep_secret()
        (shown,) = json.loads(doorward_cli("export", "--json").stdout)["held"]
        assert shown["client_secret"] == "keyring"


def keep_secret() -> None:
    kept = doorward_cli("secret", "set", "https://id.example.org", "--client-id", "cli", typed=SECRET)
    assert kept.returncode == 0, kept.stderr


def corrupt(folder: Path) -> None:
    (folder / "profile-work.json").write_bytes(b'{"planted')


def set_aside(folder: Path) -> None:
    corrupt(folder)
    doorward_cli("token", "--profile", "work")
    assert ".corrupt-" in left()[0]


def unfinished(folder: Path) -> None:
    (folder / "profile-work.json").rename(folder / ".profile-work.json.0123456789abcdef.tmp")


def cooling_down(folder: Path) -> None:
    (folder / "unanswered-profile-work.json").write_bytes(b'{"unanswered": 1, "last_at": 1}')
    (folder / "unanswered-profile-work.json").chmod(0o600)


def locks_of_killed_holders(folder: Path) -> None:
    for purpose in ("refresh", "sign_in", "set_aside"):
        (folder / f"profile-work.{purpose}.lock").touch(0o600)


def nothing_but_a_lock(folder: Path) -> None:
    locks_of_killed_holders(folder)
    (folder / "profile-work.json").unlink()


def readable_by_all(folder: Path) -> None:
    (folder / "profile-work.json").chmod(0o644)


def of_a_newer_doorward(folder: Path) -> None:
    (folder / "profile-work.json").write_bytes(b'{"version": 9, "kind": "profile"}')


def sealed_with_a_lost_key(folder: Path) -> None:
    key = folder.parent / "lost.key"
    done = doorward_cli("vault", "seal", "--key-file", str(key))
    assert done.returncode == 0, done.stderr
    key.unlink()


class TestForgetting:
    @pytest.mark.parametrize(
        "happen",
        [
            corrupt,
            set_aside,
            unfinished,
            cooling_down,
            locks_of_killed_holders,
            nothing_but_a_lock,
            readable_by_all,
            of_a_newer_doorward,
            sealed_with_a_lost_key,
        ],
    )
    @pytest.mark.parametrize("what", [("--profile", "Work"), ("--all",)], ids=["one", "all"])
    def test_it_leaves_nothing_whatever_has_happened(
        self, happen: Callable[[Path], None], what: tuple[str, ...]
    ) -> None:
        keep_profile("work")
        happen(Path(Vault().folder))
        run("forget", *what)
        assert left() in ([], ["seal.json"])
        assert run("forget", *what).startswith("Nothing was held.")

    def test_others_stay_and_nobody_is_asked(self) -> None:
        keep_profile("work")
        keep_profile("home")
        keep_institution()
        said = run("forget", "--profile", "work")
        assert said.startswith("Profile work: everything that was held here is removed. No provider was asked.")
        assert left() == ["institution-uni.json", "profile-home.json"]
        assert "Institution UNI: everything" in run("forget", "--institution", "UNI")
        assert left() == ["profile-home.json"]
        told = json.loads(doorward_cli("forget", "--all", "--json").stdout)
        assert told["provider_asked"] is False
        assert told["forgotten"] == [{"profile": "home", "removed": True, "client_secret": None, "problem": None}]
        assert left() == []

    @pytest.mark.peer
    def test_a_client_s_secret_goes_with_the_last_profile_that_needs_it(self, keyring: SessionBus) -> None:
        for name in ("work", "home"):
            keep_profile(name, client_authentication="client_secret_basic")
        keep_secret()
        assert "stays in the keyring, since another profile needs it" in run("forget", "--profile", "work")
        assert keyring.secrets(CLIENT) == 1
        assert "secret is removed from the keyring" in run("forget", "--profile", "home")
        assert keyring.secrets(CLIENT) == 0

    @pytest.mark.peer
    def test_a_client_s_secret_of_settings_goes_too(self, keyring: SessionBus, doorward_home: Path) -> None:
        keep_profile("work")
        (doorward_home / "doorward.toml").write_text(
            '[profiles.batch]\nissuer = "https://id.example.org"\nclient_id = "cli"\nconfidential = true\n'
        )
        keep_secret()
        said = run("forget", "--all")
        assert keyring.secrets(CLIENT) == 0
        assert f"{doorward_home / 'doorward.toml'} stays: it holds settings" in said

    def test_which_secret_it_was_may_not_be_known(self) -> None:
        keep_profile("work", client_authentication="client_secret_basic")
        corrupt(Path(Vault().folder))
        assert "doorward secret forget ISSUER --client-id ID" in run("forget", "--profile", "work")

    @pytest.mark.peer
    def test_a_keyring_that_is_locked_is_told(self, keyring: SessionBus) -> None:
        keep_profile(client_authentication="client_secret_basic")
        keep_secret()
        keyring.lock()
        said = run("forget", "--profile", "default", exits=1)
        assert "its client's secret may be in the keyring. The keyring is locked." in said
        assert left() == []

    def test_the_seal_goes_where_that_is_asked_for(self) -> None:
        keep_profile("work")
        sealed_with_a_lost_key(Path(Vault().folder))
        assert "To remove it: doorward forget --all --seal" in run("forget", "--all")
        assert "seal" not in run("forget", "--all", "--seal")
        assert left() == []
        keep_profile("work")  # a plain vault again
        assert Vault().get("work") is not None

    def test_a_file_of_somebody_else_is_left_and_told(self) -> None:
        keep_profile("work")
        (Path(Vault().folder) / "notes.txt").touch(0o600)
        assert "notes.txt stays: it is none of our files." in run("forget", "--all")

    def test_a_folder_that_can_not_be_used_is_told(self) -> None:
        keep_profile("work")
        elsewhere = Path(Vault().folder).parent / "elsewhere"
        elsewhere.mkdir(0o700)
        (elsewhere / "vault").symlink_to(Vault().folder)
        assert "is a symbolic link" in run("forget", "--profile", "work", exits=1, DOORWARD_HOME=str(elsewhere))
        assert left() == ["profile-work.json"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "Say what to forget"),
            (("--all", "--profile", "work"), "Give one of --profile"),
            (("--profile", "work", "--seal"), "--seal and --record go with --all"),
            (("--profile", "../work"), "can't be the name of"),
        ],
    )
    def test_what_is_not_said_is_asked_for(self, arguments: tuple[str, ...], said: str) -> None:
        keep_profile("work")
        assert said in run("forget", *arguments, exits=2)
        assert left() == ["profile-work.json"]


@pytest.mark.parametrize("command", [("logout",), ("logout", "--all"), ("forget", "--all")], ids=" ".join)
def test_a_vault_whose_key_file_is_lost_can_be_left(command: tuple[str, ...]) -> None:
    keep_profile()
    sealed_with_a_lost_key(Path(Vault().folder))
    done = doorward_cli(*command)
    assert done.returncode == (0 if command[0] == "forget" else 1), done.stderr  # the provider was not told
    assert left() == ["seal.json"]
    assert doorward_cli("logout", "--profile", "../x").returncode == 2
