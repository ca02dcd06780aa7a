"""A confidential client at the command line: its secret in the keyring, and what is said of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from command_line import doorward_cli
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from secret_service import SessionBus

    from doorward.testing import DevIssuer

pytestmark = pytest.mark.peer

SECRET = "hunter2 and more"


@pytest.fixture
def client(issuer: DevIssuer, person: Path) -> tuple[str, ...]:
    """The words that name a confidential client."""
    issuer.add_client("web", secret=SECRET)
    return (issuer.url, "--client-id", "web")


@pytest.fixture
def keyring(session_bus: SessionBus) -> SessionBus:
    """GNOME's keyring, unlocked."""
    session_bus.start_keyring()
    return session_bus


def test_a_secret_that_is_kept_serves_the_sign_in_and_renewals(client: tuple[str, ...], keyring: SessionBus) -> None:
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


def test_a_secret_of_the_environment_is_needed_again_and_that_is_said(
    client: tuple[str, ...], keyring: SessionBus
) -> None:
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
def test_what_can_not_be_kept_is_told(arguments: tuple[str, ...], said: str, keyring: SessionBus) -> None:
    done = doorward_cli("secret", "set", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert keyring.secrets("web@https://id.example.org") == 0


def test_a_locked_keyring_is_named_and_a_token_that_is_good_still_given(
    client: tuple[str, ...], keyring: SessionBus
) -> None:
    login = ("login", *client, "--confidential", "--insecure-loopback-http")
    assert doorward_cli(*login, DOORWARD_CLIENT_SECRET=SECRET).returncode == 0
    assert doorward_cli("secret", "set", typed=SECRET).returncode == 0
    keyring.lock()
    refused = doorward_cli("secret", "set", typed=SECRET)
    assert refused.returncode == 1
    assert "The keyring is locked." in refused.stderr
    assert doorward_cli("token").returncode == 0
    assert "The keyring is locked." in doorward_cli("token", "--renew").stderr


QUESTION = "Keep it in your keyring?"
NOTE = "set DOORWARD_CLIENT_SECRET, or keep it in the keyring: doorward secret set"


class TestTheQuestion:
    """A secret was typed at ``login``: whether to keep it is the person's to say."""

    def conversation(self, client: tuple[str, ...], answer: str | None) -> str:
        """Sign in at a terminal, type the secret, then the answer; return what the terminal showed."""
        with Terminal("login", *client, "--confidential", "--insecure-loopback-http", columns=2000) as terminal:
            terminal.wait_for("Secret of client web:")
            terminal.type(f"{SECRET}\n")
            if answer is not None:
                terminal.wait_for(re.escape(QUESTION))
                terminal.type(f"{answer}\n")
            terminal.rest()
            assert terminal.process.returncode == 0, terminal.shown
            assert SECRET not in terminal.shown
            assert "Signed in as alice@example.org" in terminal.plain
            return terminal.plain

    @pytest.mark.parametrize("answer", ["y", ""])
    def test_yes_keeps_it(self, issuer: DevIssuer, client: tuple[str, ...], keyring: SessionBus, answer: str) -> None:
        assert NOTE not in self.conversation(client, answer)
        assert keyring.secrets(f"web@{issuer.url}") == 1
        assert doorward_cli("token", "--renew").returncode == 0

    def test_no_keeps_nothing_and_says_what_a_renewal_needs(
        self, issuer: DevIssuer, client: tuple[str, ...], keyring: SessionBus
    ) -> None:
        assert NOTE in self.conversation(client, "n")
        assert keyring.secrets(f"web@{issuer.url}") == 0
        assert doorward_cli("token", "--renew").returncode == 2

    def test_one_that_is_kept_is_not_asked_about(self, client: tuple[str, ...], keyring: SessionBus) -> None:
        assert doorward_cli("secret", "set", *client, typed=SECRET).returncode == 0
        with Terminal("login", *client, "--confidential", "--insecure-loopback-http") as terminal:
            shown = terminal.rest()
        assert "Signed in" in shown
        assert QUESTION not in shown
        assert "Secret of client" not in shown

    @pytest.mark.parametrize("state", ["absent", "locked"])
    def test_without_a_keyring_to_keep_it_nothing_is_asked(
        self, client: tuple[str, ...], session_bus: SessionBus, state: str
    ) -> None:
        if state == "locked":
            session_bus.start_keyring()
            assert doorward_cli("secret", "set", *client, typed="an older one").returncode == 0
            session_bus.lock()
        shown = self.conversation(client, None)
        assert QUESTION not in shown
        assert NOTE in shown
