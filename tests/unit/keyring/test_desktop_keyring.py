"""The keyrings of macOS and Windows, on stand-ins of the backends that ``keyring`` has for them."""

import sys
import threading
import types

import pytest
from keyring import errors

from doorward.errors import KeyringLocked, KeyringUnavailable
from doorward.keyring import desktop_keyring
from doorward.keyring.entry import Entry

ENTRY = Entry("doorward-vault", "key", {}, "a label", "Do without.")


class Backend:
    """A keyring in memory, or one that fails in a given way."""

    def __init__(self, error=None, hang=None):
        self.kept = {}
        self.error = error
        self.hang = hang

    def _meet(self):
        if self.hang is not None:
            self.hang.wait(30)
        if self.error is not None:
            raise self.error

    def get_password(self, service, name):
        self._meet()
        return self.kept.get((service, name))

    def set_password(self, service, name, text):
        self._meet()
        self.kept[service, name] = text

    def delete_password(self, service, name):
        del self.kept[service, name]


@pytest.fixture
def install(monkeypatch):
    def put_in_place(backend):
        module = types.ModuleType("keyring.backends.macOS")
        module.Keyring = lambda: backend
        monkeypatch.setitem(sys.modules, "keyring.backends.macOS", module)
        return backend

    return put_in_place


def test_a_key_is_kept_read_and_removed(install):
    backend = install(Backend())
    desktop_keyring.check()
    assert desktop_keyring.read(ENTRY) is None
    desktop_keyring.keep(ENTRY, "planted")
    assert backend.kept == {("doorward-vault", "key"): "planted"}
    assert desktop_keyring.read(ENTRY) == "planted"
    assert desktop_keyring.remove(ENTRY)
    assert not desktop_keyring.remove(ENTRY)
    assert backend.kept == {}


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (errors.KeyringLocked("planted"), KeyringLocked, "keyring_locked"),
        (errors.PasswordSetError("planted"), KeyringUnavailable, "keyring_refused"),
        (OSError("planted"), KeyringUnavailable, "keyring_refused"),
    ],
)
def test_what_it_raises_is_named_and_not_repeated(install, error, kind, reason):
    install(Backend(error))
    for use in (
        desktop_keyring.check,
        lambda: desktop_keyring.read(ENTRY),
        lambda: desktop_keyring.keep(ENTRY, "planted"),
        lambda: desktop_keyring.remove(ENTRY),
    ):
        with pytest.raises(kind) as refused:
            use()
        assert refused.value.reason == reason
        assert "planted" not in refused.value.message
        assert refused.value.__context__ is None


def test_one_that_hangs_is_not_waited_for(install):
    answer = threading.Event()
    install(Backend(hang=answer))
    with pytest.raises(KeyringUnavailable) as refused:
        desktop_keyring.read(ENTRY)
    assert refused.value.reason == "keyring_hung"
    answer.set()
