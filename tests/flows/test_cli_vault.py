"""``doorward vault`` as a person has it: what it prints, asks, and exits with; and that no key of it shows anywhere."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

DOORWARD = str(Path(sys.executable).with_name("doorward"))
WORDS = "planted six words nobody guesses"
NEXT = "planted another six words for it"


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def vault() -> Vault:
    now = time.time()
    vault = Vault()
    vault.put(
        ProfileEntry(
            profile="default",
            issuer="https://id.example.org",
            client_id="cli",
            client_authentication="none",
            created_at=now,
            access_token=Secret("planted-access"),
            access_token_issued_at=now,
            access_token_expires_at=now + 3600,
            refresh_token=Secret("planted-refresh"),
        )
    )
    return vault


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DOORWARD, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def typed(*arguments: str, answers: list[str], **environment: str) -> str:
    """Run it on a terminal, type an answer at each colon, and return what the terminal showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [DOORWARD, *arguments], stdin=follower, stdout=follower, stderr=follower, env={**os.environ, **environment}
    )
    os.close(follower)
    shown = "".join(_conversation(leader, list(answers)))
    os.close(leader)
    assert process.wait(30) == 0, shown
    return shown


def _conversation(leader: int, answers: list[str]) -> Iterator[str]:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and select.select([leader], [], [], 60)[0]:
        try:
            text = os.read(leader, 4096).decode()
        except OSError:  # it has ended
            return
        yield text
        if answers and text.rstrip().endswith(":"):
            os.write(leader, f"{answers.pop(0)}\n".encode())


def test_without_a_keyring_nothing_is_sealed_and_the_remedy_is_named(vault: Vault) -> None:
    refused = run("vault", "seal")
    assert refused.returncode == 1
    assert "doorward vault --help" in refused.stderr
    assert [file.name for file in Path(vault.folder).iterdir()] == ["profile-default.json"]
    assert json.loads(run("vault", "seal", "--json").stdout)["error"]["reason"] == "keyring_no_bus"


def test_with_a_key_file_from_seal_to_unseal(vault: Vault, tmp_path: Path) -> None:
    key, after = str(tmp_path / "vault.key"), str(tmp_path / "next.key")
    assert "not sealed" in run("vault", "status").stdout
    sealed = run("vault", "seal", "--key-file", key)
    assert sealed.returncode == 0
    assert f"set DOORWARD_VAULT_KEY_FILE to {key}" in sealed.stdout
    assert "sign out and in again" in sealed.stdout
    assert run("token").returncode == 2
    assert run("token", DOORWARD_VAULT_KEY_FILE=key).stdout == "planted-access\n"
    standing = json.loads(run("vault", "status", "--json", DOORWARD_VAULT_KEY_FILE=key).stdout)
    assert standing == {
        "folder": vault.folder,
        "state": "sealed",
        "key": "key_file",
        "error": None,
        "sealed": ["profile-default.json"],
        "plain": [],
    }
    assert run("vault", "rotate", DOORWARD_VAULT_KEY_FILE=key).returncode == 2  # which new one?
    assert run("vault", "rotate", "--key-file", after, DOORWARD_VAULT_KEY_FILE=key).returncode == 0
    assert run("token", DOORWARD_VAULT_KEY_FILE=key).returncode == 1
    assert run("token", DOORWARD_VAULT_KEY_FILE=after).stdout == "planted-access\n"
    done = json.loads(run("vault", "unseal", "--json", DOORWARD_VAULT_KEY_FILE=after).stdout)
    assert done == {"key": None, "rewritten": 1, "left": [], "completed": False, "problem": None}
    assert run("token").stdout == "planted-access\n"


def test_with_a_passphrase_that_is_typed(vault: Vault) -> None:
    shown = typed("vault", "seal", "--passphrase", answers=[WORDS, WORDS])
    shown += typed("vault", "status", answers=[WORDS])
    assert "a passphrase: at hand" in shown
    shown += typed("vault", "rotate", "--passphrase", answers=[NEXT, NEXT, WORDS])
    shown += run("token").stderr
    assert "planted" not in shown
    assert run("token", DOORWARD_VAULT_PASSPHRASE=NEXT).stdout == "planted-access\n"
    assert run("token", DOORWARD_VAULT_PASSPHRASE=WORDS).returncode == 1


def test_with_a_passphrase_where_nobody_is_at_a_terminal(vault: Vault) -> None:
    refused = run("vault", "seal", "--passphrase")
    assert refused.returncode == 2
    assert refused.stderr.startswith("doorward: There is no passphrase. Set DOORWARD_VAULT_PASSPHRASE")
    assert run("vault", "seal", "--passphrase", DOORWARD_VAULT_PASSPHRASE=WORDS).returncode == 0
    both = {"DOORWARD_VAULT_PASSPHRASE": WORDS, "DOORWARD_VAULT_NEW_PASSPHRASE": NEXT}
    assert run("vault", "rotate", "--passphrase", **both).returncode == 0
    assert run("token", DOORWARD_VAULT_PASSPHRASE=NEXT).stdout == "planted-access\n"


@pytest.mark.parametrize("kind", ["key_file", "passphrase"])
def test_the_key_of_today_is_no_new_key(vault: Vault, tmp_path: Path, kind: str) -> None:
    key = str(tmp_path / "vault.key")
    given = ["--key-file", key] if kind == "key_file" else ["--passphrase"]
    today = {"DOORWARD_VAULT_KEY_FILE": key} if kind == "key_file" else {"DOORWARD_VAULT_PASSPHRASE": WORDS}
    assert run("vault", "seal", *given, **today).returncode == 0
    seal = Path(vault.folder, "seal.json").read_bytes()
    refused = run("vault", "rotate", *given, **today, DOORWARD_VAULT_NEW_PASSPHRASE=WORDS)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "already" in refused.stderr
    assert "nother" in refused.stderr, "what to do"
    assert Path(vault.folder, "seal.json").read_bytes() == seal


def test_each_change_says_what_it_leaves_behind(vault: Vault, tmp_path: Path) -> None:
    key, after = str(tmp_path / "vault.key"), str(tmp_path / "next.key")
    assert "in plain text before" in run("vault", "seal", "--key-file", key).stdout
    rotated = run("vault", "rotate", "--key-file", after, DOORWARD_VAULT_KEY_FILE=key).stdout
    assert "plain text" not in rotated
    assert "Who has the old key" in rotated


def test_a_key_that_is_not_at_hand_is_told_once(vault: Vault, tmp_path: Path) -> None:
    run("vault", "seal", "--key-file", str(tmp_path / "vault.key"))
    told = run("vault", "status").stdout
    assert re.search(r"^Key +a key file: not at hand$", told, re.MULTILINE)
    assert told.endswith("\nThis vault is sealed with a key file. Name it with DOORWARD_VAULT_KEY_FILE.\n")


def test_one_kind_of_key_at_a_time(vault: Vault, tmp_path: Path) -> None:
    assert run("vault", "seal", "--key-file", str(tmp_path / "key"), "--passphrase").returncode == 2
    assert not (tmp_path / "key").exists()


def test_a_plain_entry_in_a_sealed_vault_is_shown_to_the_person(vault: Vault, tmp_path: Path) -> None:
    key = str(tmp_path / "vault.key")
    plain = (Path(vault.folder) / "profile-default.json").read_bytes()
    run("vault", "seal", "--key-file", key)
    (Path(vault.folder) / "profile-default.json").write_bytes(plain)
    (Path(vault.folder) / "profile-default.json").chmod(0o600)
    told = run("token", DOORWARD_VAULT_KEY_FILE=key)
    assert (told.returncode, told.stdout) == (1, "")
    assert "not used" in run("vault", "status", DOORWARD_VAULT_KEY_FILE=key).stdout
    after = str(tmp_path / "next.key")
    assert "could not be opened" in run("vault", "rotate", "--key-file", after, DOORWARD_VAULT_KEY_FILE=key).stdout
    run("logout", DOORWARD_VAULT_KEY_FILE=after)
    assert not (Path(vault.folder) / "profile-default.json").exists()


def test_no_key_shows_in_what_is_printed_kept_or_raised(vault: Vault, tmp_path: Path, doorward_home: Path) -> None:
    """Planted: a key file's content and two passphrases, looked for in all output, with and without debugging."""
    key = tmp_path / "vault.key"
    key.write_text("planted-key-" + "x" * 32)
    key.chmod(0o600)
    given = {"DOORWARD_VAULT_KEY_FILE": str(key), "DOORWARD_VAULT_PASSPHRASE": WORDS, "DOORWARD_DEBUG": "1"}
    commands = (
        ["vault", "seal", "--key-file", str(key)],
        ["vault", "status"],
        ["status"],
        ["vault", "rotate", "--passphrase"],
        ["vault", "status", "--json"],
        ["vault", "seal"],
    )
    told = [run(*arguments, DOORWARD_VAULT_NEW_PASSPHRASE=NEXT, **given) for arguments in commands]
    told.append(run("token", **{**given, "DOORWARD_VAULT_PASSPHRASE": "planted and not the right one"}))
    assert [each.returncode for each in told[:4]] == [0, 0, 0, 0]
    text = "".join(each.stdout + each.stderr for each in told)
    text += "".join(file.read_bytes().decode(errors="replace") for file in doorward_home.rglob("*") if file.is_file())
    assert "planted" not in text
