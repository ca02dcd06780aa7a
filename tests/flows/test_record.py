"""The record of what the near door did: who, where, when, how it ended; and nothing is done that it can't tell of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from command_line import doorward_cli

from doorward.errors import RecordUnavailable, SignInError
from doorward.institution import Institution
from doorward.journal.chain_file import full_files
from doorward.journal.last_lines import tail
from doorward.journal.verification import verify
from doorward.model import Secret
from doorward.papers import Library
from doorward.record.noting import noting
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import doorward
    from doorward.testing import DevIssuer

    SignIn = Callable[..., doorward.Session]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a record is kept, since a setting says so."""
    (tmp_path / "kept").mkdir()
    monkeypatch.setenv("DOORWARD_RECORD", str(tmp_path / "kept" / "doorward.jsonl"))
    return tmp_path / "kept" / "doorward.jsonl"


@pytest.fixture
def signed_in(sign_in: SignIn, person: Path) -> doorward.Session:
    return sign_in()


def told(record: Path) -> list[tuple[str, str]]:
    """Return what the record tells, each line as what was done and how it stands."""
    assert verify(record).ok
    return [(line["action"], line["outcome"]) for line in tail(record, 100)]


def break_it(record: Path) -> None:
    record.parent.rename(record.parent.with_name("moved"))


def _break_and_raise(record: Path) -> None:
    shutil.rmtree(record.parent)
    raise StopAsyncIteration


class TestWhatIsTold:
    def test_a_session_from_its_beginning_to_its_end(
        self, sign_in: SignIn, person: Path, record: Path, issuer: DevIssuer
    ) -> None:
        session = sign_in(profile="work")
        secrets = [session.token(), session.token("id"), session.renew()]
        session.sign_out()
        assert told(record) == [
            (action, outcome) for action in ("sign_in", "renewal", "sign_out") for outcome in ("begun", "done")
        ]
        begun, done, *_, ended = tail(record, 6)
        assert {begun["profile"], begun["issuer"], begun["client_id"]} == {"work", issuer.url, "cli"}
        assert "subject" not in begun
        assert done["subject"] == "alice"
        assert (done["id"], done["pid"]) == (begun["id"], str(os.getpid()))
        assert (done["host"], bool(done["user"]), bool(done["by"])) == (os.uname().nodename, True, True)
        assert ended["result"] == "revoked"
        text = record.read_text()
        assert not [secret for secret in secrets if secret in text]

    def test_what_failed_says_why(self, sign_in: SignIn, person: Path, record: Path, issuer: DevIssuer) -> None:
        issuer.deny()
        with pytest.raises(SignInError):
            sign_in()
        assert told(record) == [("sign_in", "begun"), ("sign_in", "failed")]
        assert tail(record, 1)[0]["code"] == "sign_in_cancelled"

    def test_a_token_that_the_command_line_hands_out(self, signed_in: doorward.Session, record: Path) -> None:
        token = signed_in.token()
        assert doorward_cli("token").stdout.strip() == token
        (line,) = tail(record)
        assert (line["action"], line["outcome"], line["by"]) == ("use", "done", "doorward token")
        assert (line["profile"], line["subject"]) == ("default", "alice")
        assert token not in record.read_text()

    def test_a_token_that_a_helper_hands_out(self, signed_in: doorward.Session, record: Path) -> None:
        program = (sys.executable, "-c", "print('it ran')")
        assert doorward_cli("exec", "--", *program).stdout == "it ran\n"
        line = tail(record, 1)[0]
        assert (line["action"], line["by"], line["to"]) == ("use", "doorward exec", sys.executable)
        break_it(record)
        done = doorward_cli("exec", "--", *program)
        assert ("it ran" in done.stdout, "The token was not given out." in done.stderr) == (False, True)

    def test_what_the_command_line_does(self, record: Path, tmp_path: Path) -> None:
        tokens = {"refresh_token": "planted-refresh", "access_token": "planted-access"}
        document = {"issuer": "https://id.example.org", "client_id": "cli", "token": tokens}
        (tmp_path / "tokens.json").write_text(json.dumps(document))
        key = str(tmp_path / "vault.key")
        for arguments in (
            ("import", "micromegas", str(tmp_path / "tokens.json")),
            ("export",),
            ("vault", "seal", "--key-file", key),
            ("vault", "rotate", "--key-file", str(tmp_path / "next.key")),
            ("vault", "unseal"),
            ("forget", "--profile", "default"),
        ):
            named = str(tmp_path / "next.key") if "unseal" in arguments else key
            done = doorward_cli(*arguments, DOORWARD_VAULT_KEY_FILE=named)
            assert done.returncode == 0, done.stderr
        actions = ("import", "export", "seal", "rotate", "unseal", "forget")
        assert told(record) == [(action, outcome) for action in actions for outcome in ("begun", "done")]
        assert b"planted" not in record.read_bytes()

    def test_the_command_line_shows_and_verifies_it(self, record: Path) -> None:
        assert doorward_cli("export").returncode == 0
        shown = doorward_cli("audit", "tail").stdout.splitlines()
        assert " begun       export by=doorward user=" in shown[0]
        assert " done        export by=doorward user=" in shown[1]
        assert "The chain holds: 2 lines" in doorward_cli("audit", "verify").stdout
        record.write_bytes(record.read_bytes().replace(b"doorward", b"somebody", 1))
        assert doorward_cli("audit", "verify", str(record)).returncode == 1

    def test_its_chain_may_have_a_key(self, record: Path) -> None:
        key = {"DOORWARD_AUDIT_KEY": "0123456789abcdef-key"}
        assert doorward_cli("export", **key).returncode == 0
        assert doorward_cli("audit", "verify", **key).returncode == 0
        assert doorward_cli("audit", "verify").returncode == 1
        refused = doorward_cli("export", DOORWARD_AUDIT_KEY="short")
        assert (refused.returncode, "could be guessed" in refused.stderr) == (2, True)


class TestWhatCanNotBeTold:
    """It is not done."""

    def test_no_sign_in_and_no_renewal(self, sign_in: SignIn, person: Path, record: Path, issuer: DevIssuer) -> None:
        session = sign_in()
        asked = issuer.requests
        before = Vault().get("default")
        break_it(record)
        for act in (lambda: sign_in(profile="other"), session.sign_out):
            with pytest.raises(RecordUnavailable) as refused:
                act()
            assert "It was not begun." in refused.value.message
            assert refused.value.reason == "audit_no_folder"
        assert Vault().get("default") == before
        assert Vault().names() == ["default"]
        assert session.renew(rejected="another") == session.token(), "the token that is good is still given"
        assert Vault().get("default") == before
        assert issuer.requests == asked

    @pytest.mark.parametrize(
        "arguments",
        [("token",), ("logout",), ("export",), ("forget", "--all"), ("vault", "seal", "--key-file", "KEY")],
        ids=" ".join,
    )
    def test_no_command(self, arguments: tuple[str, ...], signed_in: doorward.Session, record: Path) -> None:
        token = signed_in.token()
        before = Vault().get("default")
        break_it(record)
        arguments = tuple(str(record.parent.with_name("vault.key")) if each == "KEY" else each for each in arguments)
        done = doorward_cli(*arguments, "--json")
        assert done.returncode == 4, done.stdout
        assert json.loads(done.stdout)["error"]["code"] == "record_unavailable"
        assert token not in done.stdout
        assert Vault().get("default") == before

    def test_its_end_can_not_be_told_and_that_is_said(self, record: Path) -> None:
        with pytest.raises(RecordUnavailable, match="It was done, and the record says only"), noting("export"):
            break_it(record)
        record.parent.mkdir()
        with pytest.raises(StopAsyncIteration), noting("export"):  # what failed by itself says so
            _break_and_raise(record)


class TestTheSetting:
    def test_the_file_of_settings_turns_it_on(self, doorward_home: Path, tmp_path: Path) -> None:
        doorward_home.mkdir()
        settings = doorward_home / "doorward.toml"
        settings.write_text(f'[record]\npath = "{tmp_path / "record.jsonl"}"\n')
        settings.chmod(0o600)
        assert doorward_cli("export").returncode == 0
        assert told(tmp_path / "record.jsonl") == [("export", "begun"), ("export", "done")]
        assert (tmp_path / "record.jsonl").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ('[record]\npath = "record.jsonl"\n', "absolute path"),
            ("[record]\npath = 7\n", "must be a path"),
            ("[record]\nfile = '/x'\n", "record.file is no setting"),
            ("record = true\n", "record"),
            ("[record\n", "is not valid TOML"),
        ],
    )
    def test_a_setting_that_is_wrong_lets_nothing_happen(self, settings: str, said: str, doorward_home: Path) -> None:
        doorward_home.mkdir()
        (doorward_home / "doorward.toml").write_text(settings)
        (doorward_home / "doorward.toml").chmod(0o600)
        for arguments in (("export",), ("token",)):
            done = doorward_cli(*arguments)
            assert done.returncode in (2, 3), done.stdout
        assert said in doorward_cli("export").stderr

    def test_off_is_how_it_begins(self) -> None:
        assert doorward_cli("export").returncode == 0
        refused = doorward_cli("audit", "verify")
        assert refused.returncode == 2
        assert "No record is kept here" in refused.stderr

    def test_forget_leaves_it_unless_that_is_asked_for(self, record: Path) -> None:
        said = doorward_cli("forget", "--all").stdout
        assert f"{record} stays" not in said, "nothing was noted yet"
        assert doorward_cli("export").returncode == 0
        assert f"{record} stays" in doorward_cli("forget", "--all").stdout
        assert doorward_cli("forget", "--record", "--profile", "x").returncode == 2
        assert doorward_cli("forget", "--all", "--record").returncode == 0
        assert (list(record.parent.iterdir()), full_files(record)) == ([], [])


def test_many_processes_write_one_chain(record: Path) -> None:
    code = (
        "from doorward.record.noting import noting, note_use\nfor n in range(10):\n  note_use('a', to='https://x/?s')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    lines = tail(record, 100)
    assert verify(record).ok
    assert [line["seq"] for line in lines] == list(range(1, 41))
    assert {line["to"] for line in lines} == {"https://x/"}, "a query may hold a secret"
    assert len({line["pid"] for line in lines}) == 4


def test_a_writer_that_is_killed_leaves_a_chain_that_holds(record: Path) -> None:
    code = "from doorward.record.noting import note_use\nwhile True: note_use('a')"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", code])
        give_up_at, size = time.monotonic() + 60, record.stat().st_size if record.exists() else 0
        while not record.exists() or record.stat().st_size <= size:
            assert time.monotonic() < give_up_at
        writer.kill()
        writer.wait()
    assert doorward_cli("export").returncode == 0
    assert verify(record).ok


def test_a_download_with_a_session_is_told_of(record: Path, tmp_path: Path) -> None:
    now = time.time()
    Vault().institutions.put(
        InstitutionEntry(
            name="uni",
            where="university.example",
            institution_url="https://go.openathens.net/redirector/university.example",
            target="https://sp.invalid/paper.pdf",
            user_agent="Mozilla/5.0",
            signed_in_at=now,
            created_at=now,
            proven_at=now,
            cookies=(KeptCookie(name="s", value=Secret("planted-cookie"), domain="sp.invalid"),),
        )
    )
    library = Library(tmp_path / "papers", Institution.named("uni").open_session())
    library.fetch("https://127.0.0.1:9/paper.pdf?token=planted")
    assert told(record) == [("download", "begun"), ("download", "done")]
    line = tail(record, 1)[0]
    assert (line["institution"], line["to"], line["result"]) == ("uni", "https://127.0.0.1:9/paper.pdf", "unavailable")
    assert b"planted" not in record.read_bytes()
    Library(tmp_path / "papers").fetch("https://127.0.0.1:9/paper.pdf")
    assert len(tail(record)) == 2, "nobody's session was used"
    Institution.named("uni").open_session().clear()
    assert told(record)[2:] == [("sign_out", "begun"), ("sign_out", "done")]
