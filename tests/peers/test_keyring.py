"""A client's secret in GNOME's keyring: as 0.1 kept it, and each thing that a keyring can't do told by name."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from small_keyring import SmallKeyring

from doorward.errors import KeyringLocked, KeyringUnavailable
from doorward.model import Secret
from doorward.signin.registration import find_client_secret
from doorward.signin.settings.client_secrets import forget_secret, keep_secret, read_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_service import SessionBus

ISSUER = "https://id.example.org"
USER = f"web@{ISSUER}"
SECRET = Secret("planted ü")

_PACKAGE = """
import sys
from keyring.backends.SecretService import Keyring
action, *rest = sys.argv[1:]
print(getattr(Keyring(), action)("doorward", *rest))
"""


def by_package(action: str, *arguments: str) -> str:
    """Do as 0.1 did, through the ``keyring`` package."""
    command = [sys.executable, "-c", _PACKAGE, action, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_what_is_kept_is_read_until_it_is_forgotten(session_bus: SessionBus, prompter: Callable[[], bool]) -> None:
    session_bus.start_keyring()
    assert read_secret(ISSUER, "web") is None
    keep_secret(ISSUER, "web", Secret("an older one"))
    keep_secret(ISSUER, "web", SECRET)
    assert read_secret(ISSUER, "web") == find_client_secret(ISSUER, "web", None) == SECRET
    assert read_secret(ISSUER, "other") is read_secret("https://id.example.com", "web") is None
    assert session_bus.secrets(USER) == 1
    assert forget_secret(ISSUER, "web")
    assert not forget_secret(ISSUER, "web")
    assert read_secret(ISSUER, "web") is None
    assert session_bus.secrets(USER) == 0
    assert not prompter()


def test_the_secrets_of_0_1_are_read_replaced_and_forgotten(session_bus: SessionBus) -> None:
    session_bus.start_keyring()
    by_package("set_password", USER, "planted by 0.1")
    assert read_secret(ISSUER, "web") == Secret("planted by 0.1")
    keep_secret(ISSUER, "web", SECRET)
    assert by_package("get_password", USER) == SECRET.reveal()
    assert session_bus.secrets(USER) == 1
    by_package("set_password", USER, "planted by 0.1")
    assert session_bus.secrets(USER) == 1
    assert forget_secret(ISSUER, "web")
    assert session_bus.secrets(USER) == 0


def test_one_that_another_program_kept_is_replaced_and_forgotten(session_bus: SessionBus) -> None:
    """Its attributes are more than ours, so the keyring itself takes it for another."""
    session_bus.start_keyring()
    attributes = {"service": "doorward", "username": USER, "xdg:schema": "org.freedesktop.Secret.Generic", "of": "them"}
    session_bus.keep_secret(attributes, b"an older one")
    assert read_secret(ISSUER, "web") == Secret("an older one")
    keep_secret(ISSUER, "web", SECRET)
    assert session_bus.secrets(USER) == 1
    session_bus.keep_secret(attributes, b"one more")
    assert session_bus.secrets(USER) == 2
    assert forget_secret(ISSUER, "web")
    assert session_bus.secrets(USER) == 0


def _locked(bus: SessionBus, _: ExitStack) -> None:
    bus.start_keyring()
    keep_secret(ISSUER, "web", SECRET)
    bus.lock()


def _hung(bus: SessionBus, _: ExitStack) -> None:
    bus.start_keyring().send_signal(signal.SIGSTOP)


def _full(bus: SessionBus, _: ExitStack) -> None:
    resource.prlimit(bus.start_keyring().pid, resource.RLIMIT_FSIZE, (0, 0))


def _small(bus: SessionBus, ended: ExitStack) -> None:
    ended.enter_context(SmallKeyring(bus.address, most=3))


def _nonsense(bus: SessionBus, ended: ExitStack) -> None:
    ended.enter_context(SmallKeyring(bus.address, most=99, nonsense=True))


def _absent(_: SessionBus, __: ExitStack) -> None:
    pass


def _empty(bus: SessionBus, _: ExitStack) -> None:
    bus.start_keyring(unlocked=False)


@pytest.mark.parametrize(
    ("state", "reason", "read_too"),
    [
        (_locked, "keyring_locked", True),
        (_hung, "keyring_hung", True),
        (_full, "keyring_refused", False),
        (_small, "keyring_too_small", False),
        (_nonsense, "keyring_refused", True),
        (_absent, "keyring_absent", True),
        (_empty, "keyring_empty", False),
    ],
)
def test_what_it_can_not_do_is_told_by_name(
    session_bus: SessionBus,
    prompter: Callable[[], bool],
    caplog: pytest.LogCaptureFixture,
    state: Callable[[SessionBus, ExitStack], None],
    reason: str,
    read_too: bool,  # noqa: FBT001 - a column of the table
) -> None:
    with ExitStack() as ended:
        state(session_bus, ended)
        error = KeyringLocked if reason == "keyring_locked" else KeyringUnavailable
        with pytest.raises(error, match="DOORWARD_CLIENT_SECRET") as told:
            keep_secret(ISSUER, "web", SECRET)
        assert told.value.reason == reason
        assert SECRET.reveal() not in told.value.message
        if read_too:
            for ask in (read_secret, forget_secret):
                with pytest.raises(error) as told:
                    ask(ISSUER, "web")
                assert told.value.reason == reason
            assert find_client_secret(ISSUER, "web", None) is None  # said in the log, where it is worth it
            assert caplog.messages == ([] if reason == "keyring_absent" else [str(told.value)])
        else:
            assert read_secret(ISSUER, "web") is None  # half a secret is none
        assert not prompter()


@pytest.mark.parametrize("address", ["", "unix:path=/nowhere", "tcp:host=localhost", "nonsense"])
def test_no_bus(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(KeyringUnavailable, match=r"no D-Bus session bus.*DOORWARD_CLIENT_SECRET") as told:
        keep_secret(ISSUER, "web", SECRET)
    assert told.value.reason == "keyring_no_bus"
    assert find_client_secret(ISSUER, "web", None) is None
    assert caplog.messages == []


def test_forgetting_tells_of_another_that_is_kept_in_a_locked_keyring(session_bus: SessionBus) -> None:
    """What is in the session's own collection is gone with it; the rest would come back with the next unlocking."""
    session_bus.start_keyring()
    keep_secret(ISSUER, "web", SECRET)
    session_bus.keep_secret({"service": "doorward", "username": USER}, b"another", collection="session")
    session_bus.lock()
    assert read_secret(ISSUER, "web") == Secret("another")
    with pytest.raises(KeyringLocked):
        forget_secret(ISSUER, "web")
    assert session_bus.secrets(USER) == 1


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jeepney"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "doorward.keyring.secret_service", raising=False)
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(KeyringUnavailable, match=r"pip install 'doorward\[keyring\]'") as told:
        read_secret(ISSUER, "web")
    assert told.value.reason == "keyring_package_missing"
