"""What a person hears after a wrong turn at the command line: which word was meant, and what to type next."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from command_line import DEADLINE_S, DOORWARD, doorward_cli

from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


ZSH = shutil.which("zsh")


def signed_in(*profiles: str) -> None:
    for profile in profiles:
        Vault().put(
            ProfileEntry(
                profile=profile,
                issuer="https://id.example.org",
                client_id="cli",
                client_authentication="none",
                created_at=0,
            )
        )


@pytest.mark.parametrize("command", ["token", "whoami"])
@pytest.mark.parametrize(
    ("profile", "advice"),
    [
        ("wrok", "Did you mean work? Sign in first: doorward login --profile wrok ISSUER --client-id ID."),
        ("default", "profile 'default'. Sign in first: doorward login ISSUER --client-id ID."),
        ("team", "profile 'team'. Sign in first: doorward login --profile team."),
    ],
)
def test_who_is_not_signed_in_is_told_what_works(command: str, profile: str, advice: str, doorward_home: Path) -> None:
    signed_in("work")
    settings = doorward_home / "doorward.toml"
    settings.write_text('[profiles.team]\nissuer = "https://id.example.org"\nclient_id = "cli"\n')
    settings.chmod(0o600)
    done = doorward_cli(command, "--profile", profile)
    assert done.returncode == 3
    assert done.stderr.endswith(f"{advice}\n")


def test_a_logout_of_nobody_names_who_was_meant() -> None:
    signed_in("work")
    assert doorward_cli("logout", "--profile", "wrok").stdout.endswith(" Did you mean work?\n")
    assert Vault().names() == ["work"]


def test_a_key_that_is_not_at_hand_is_told_once_for_all_profiles(tmp_path: Path) -> None:
    signed_in("home", "work")
    assert doorward_cli("vault", "seal", "--key-file", str(tmp_path / "key")).returncode == 0
    told = doorward_cli("status").stdout
    assert told == "home, work: This vault is sealed with a key file. Name it with DOORWARD_VAULT_KEY_FILE.\n"


@pytest.mark.parametrize("command", ["set", "forget"])
def test_a_client_is_named_by_its_profile_as_a_sign_in_is(command: str) -> None:
    signed_in("work")
    done = doorward_cli(
        "secret", command, "work", typed="hush\n", PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring"
    )
    assert "keyring" in done.stderr, "it knows whose secret that is"
    assert "Did you mean work?" in doorward_cli("secret", command, "wrok", typed="hush\n").stderr


def test_a_mistake_in_the_settings_is_told_with_its_line(doorward_home: Path) -> None:
    doorward_home.mkdir(0o700)
    (doorward_home / "doorward.toml").write_text('[profiles.team]\nissuer "https://planted.example"\n')
    (doorward_home / "doorward.toml").chmod(0o600)
    done = doorward_cli("login", "team")
    assert done.returncode == 2
    assert "at line 2, column 8" in done.stderr
    assert "planted" not in done.stderr


@pytest.mark.parametrize("command", ["create", "list"])
def test_a_file_that_is_no_database_is_no_outage_and_told_once(command: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    done = doorward_cli("keys", command, *(["bot"] * (command == "create")), "--db", str(tmp_path / "notes.txt"))
    assert done.returncode == 2
    assert done.stderr.count("name another file") == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_called_what_was_typed() -> None:
    with subprocess.Popen([DOORWARD, "issuer", "--json"], stdout=subprocess.PIPE, text=True) as issuer:
        try:
            assert issuer.stdout is not None
            port = json.loads("".join(issuer.stdout.readline() for _ in range(4)))["issuer"].rpartition(":")[2]
            done = doorward_cli("issuer", "--port", port)
        finally:
            issuer.terminate()
    assert done.returncode == 2
    assert done.stderr.startswith(f"doorward: The --port {port} of 127.0.0.1 can't be had:")


def test_the_lies_are_listed() -> None:
    assert "doorward issuer --lies" in doorward_cli("issuer", "--lie", "zzz").stderr
    listed = doorward_cli("issuer", "--lies")
    assert listed.returncode == 0
    assert "id_token_expired" in listed.stdout.splitlines()


def test_an_issuer_that_is_told_to_end_twice_makes_no_mistake() -> None:
    """A shell that goes away sends SIGTERM, and its terminal SIGHUP a moment later."""
    for _ in range(3):
        with subprocess.Popen(
            [DOORWARD, "issuer", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as issuer:
            assert issuer.stdout is not None
            issuer.stdout.readline()
            os.kill(issuer.pid, signal.SIGTERM)
            os.kill(issuer.pid, signal.SIGHUP)
            told = issuer.communicate(timeout=DEADLINE_S)[1]
        assert "mistake" not in told
        assert issuer.returncode in {143, 129, -signal.SIGTERM, -signal.SIGHUP}


@pytest.mark.skipif(ZSH is None, reason="zsh is not installed")
def test_zsh_takes_the_script_without_a_word_where_nothing_set_completion_up(tmp_path: Path) -> None:
    script = tmp_path / "completion.zsh"
    script.write_text(doorward_cli("completion", "zsh").stdout)
    done = subprocess.run(
        [
            str(ZSH),
            "-f",
            "-c",
            f"source {script} && (( $+functions[_doorward_completion] )) && print -r -- ${{_comps[doorward]}}",
        ],
        env={**os.environ, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("_doorward_completion\n", "")
