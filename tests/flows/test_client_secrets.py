"""A confidential client at the command line: its secret in the keyring, and what is said of it (C19)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing import DevIssuer

DOORWARD = Path(sys.executable).with_name("doorward")
SUPPORT = Path(__file__).parents[1] / "support"
SECRET = "hunter2 and more"


def doorward_cli(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DOORWARD, *arguments],
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def client(issuer: DevIssuer, person: Path) -> tuple[str, ...]:
    """The words that name a confidential client."""
    issuer.add_client("web", secret=SECRET)
    return (issuer.url, "--client-id", "web")


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small keyring in a file."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "small_backend.Small")
    monkeypatch.setenv("SMALL_KEYRING", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_a_secret_that_is_kept_serves_the_sign_in_and_renewals(client: tuple[str, ...], keyring: Path) -> None:
    kept = doorward_cli("secret", "set", *client, typed=SECRET + "\n")
    assert (kept.returncode, kept.stdout.startswith("Kept in the keyring")) == (0, True), kept.stderr
    done = doorward_cli("login", *client, "--confidential", "--insecure-loopback-http")
    assert done.returncode == 0, done.stderr
    assert "Renewals need" not in done.stderr
    assert doorward_cli("token", "--renew").returncode == 0
    assert "default: the client's secret is in the keyring." in doorward_cli("status").stdout
    assert json.loads(doorward_cli("status", "--json").stdout)[0]["client_secret"] == "keyring"

    gone = doorward_cli("secret", "forget")  # the client of the profile
    assert gone.stdout.startswith("Removed from the keyring")
    assert doorward_cli("secret", "forget").stdout.startswith("The keyring does not hold")
    assert "renewals need the client's secret" in " ".join(doorward_cli("status").stdout.split())
    refused = doorward_cli("token", "--renew")
    assert refused.returncode == 2
    assert "doorward secret set" in " ".join(refused.stderr.split())
    assert SECRET not in "".join(each.stdout + each.stderr for each in (kept, done, gone, refused))


def test_a_secret_of_the_environment_is_needed_again_and_that_is_said(client: tuple[str, ...], keyring: Path) -> None:
    done = doorward_cli("login", *client, "--confidential", "--insecure-loopback-http", DOORWARD_CLIENT_SECRET=SECRET)
    assert done.returncode == 0
    assert "keep DOORWARD_CLIENT_SECRET set, or keep it in the keyring: doorward secret set" in " ".join(
        done.stderr.split()
    )
    assert "comes from DOORWARD_CLIENT_SECRET" in doorward_cli("status", DOORWARD_CLIENT_SECRET=SECRET).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("https://id.example.org",), "Give both ISSUER and --client-id"),
        (("--profile", "nobody"), "'nobody' is none of the profiles"),
        (("https://id.example.org", "--client-id", "web"), "client_secret is empty"),
    ],
)
def test_what_can_not_be_kept_is_told(arguments: tuple[str, ...], said: str, keyring: Path) -> None:
    done = doorward_cli("secret", "set", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not keyring.exists()


def test_a_locked_keyring_is_named_and_a_token_that_is_good_still_given(client: tuple[str, ...], keyring: Path) -> None:
    login = ("login", *client, "--confidential", "--insecure-loopback-http")
    assert doorward_cli(*login, DOORWARD_CLIENT_SECRET=SECRET).returncode == 0
    refused = doorward_cli("secret", "set", typed=SECRET, SMALL_KEYRING_MOOD="locked")
    assert refused.returncode == 1
    assert "The keyring is locked." in refused.stderr
    assert doorward_cli("token", SMALL_KEYRING_MOOD="locked").returncode == 0
    assert "The keyring is locked." in doorward_cli("token", "--renew", SMALL_KEYRING_MOOD="locked").stderr


@pytest.mark.peer
def test_a_real_keyring(client: tuple[str, ...], tmp_path: Path, require_peer: Callable[[str, object], None]) -> None:
    programs = [shutil.which(name) for name in ("dbus-run-session", "gnome-keyring-daemon")]
    require_peer("GNOME's keyring", all(programs))
    script = f"""
        printf 'login password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        printf '%s\\n' "$SECRET" | {DOORWARD} secret set "$@" || exit 1
        {DOORWARD} login "$@" --confidential --insecure-loopback-http || exit 2
        {DOORWARD} token --renew >/dev/null || exit 3
        {DOORWARD} status
        {DOORWARD} secret forget
        {DOORWARD} token --renew
        echo ended with $?
    """
    done = subprocess.run(
        [str(programs[0]), "--", "sh", "-c", script, "sh", *client],
        env={**os.environ, "SECRET": SECRET, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in ("Kept in the keyring", "secret is in the keyring", "Removed from the keyring", "ended with 2"):
        assert said in done.stdout
    assert SECRET not in done.stdout + done.stderr
