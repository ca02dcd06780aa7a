"""Asks the Secret Service for keys: GNOME's keyring, KDE's wallet, KeePassXC, all that Linux calls a keyring.

We talk to it ourselves, over the session bus, for three things that the ``keyring`` package does not give: a deadline
for each answer, no window (a locked keyring is said to be locked, not opened), and a start that takes a tenth as long.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress, new_method_call  # type: ignore[import-untyped] # jeepney has no types
from jeepney.bus import get_connectable_addresses  # type: ignore[import-untyped] # the same
from jeepney.io.blocking import DBusConnection, prep_socket  # type: ignore[import-untyped] # the same
from jeepney.wrappers import DBusErrorResponse, unwrap_msg  # type: ignore[import-untyped] # the same

from doorward.errors import KeyringLocked, KeyringUnavailable, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jeepney import Message

__all__ = ["keep", "read", "remove"]

_DEADLINE_S = 5.0
_BUS_NAME = "org.freedesktop.secrets"
_SERVICE = "/org/freedesktop/secrets"
_NOTHING = "/"
"""The path that stands for no object."""

_ABSENT = ("ServiceUnknown", "NameHasNoOwner", "Spawn.")
_LOCKED = "org.freedesktop.Secret.Error.IsLocked"
_SILENT = (
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Timeout",
    "org.freedesktop.DBus.Error.TimedOut",
)
_KEY_FILE_INSTEAD = "Where there is no keyring, take a key file or a passphrase: doorward vault --help"


def read(name: str) -> str | None:
    """Return what is kept under a name, None if nothing is.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    with _talk() as service:
        item = service.found(name)
        if item is None:
            return None
        _, _, value, _ = service.ask(item, "Item", "GetSecret", "o", (service.session,))[0]
        return bytes(value).decode(errors="replace")


def keep(name: str, text: str) -> None:
    """Keep a text under a name, in the keyring that the person's session opens. Raises what ``read`` does."""
    with _talk() as service:
        (collection,) = service.ask(_SERVICE, "Service", "ReadAlias", "s", ("default",))
        if collection == _NOTHING:
            message = f"The keyring service has no default keyring. Make one in its settings. {_KEY_FILE_INSTEAD}"
            raise KeyringUnavailable(message, reason="keyring_empty")
        described = {
            "org.freedesktop.Secret.Item.Label": ("s", "Doorward: the key of a vault"),
            "org.freedesktop.Secret.Item.Attributes": ("a{ss}", _attributes(name)),
        }
        secret = (service.session, b"", text.encode(), "text/plain")
        _, prompt = service.ask(collection, "Collection", "CreateItem", "a{sv}(oayays)b", (described, secret, True))
        service.refuse(prompt)


def remove(name: str) -> None:
    """Remove what is kept under a name, if anything is. Raises what ``read`` does."""
    with _talk() as service:
        item = service.found(name)
        if item is not None:
            service.refuse(service.ask(item, "Item", "Delete")[0])


class _Bus(DBusConnection):  # type: ignore[misc] # jeepney has no types
    """A connection with one deadline for everything: jeepney's own greeting has none."""

    def __init__(self, socket: Any, until: float) -> None:
        self._until = until
        super().__init__(socket)

    def receive(self, *, timeout: float | None = None) -> Message:  # noqa: ARG002 - ours goes for all
        return super().receive(timeout=max(self._until - monotonic(), 0.0))


class _Talk:
    """What is asked of the service on one connection. What it gives away is for this user's own bus, in plain."""

    def __init__(self, bus: _Bus) -> None:
        self._bus = bus
        _, self.session = self.ask(_SERVICE, "Service", "OpenSession", "sv", ("plain", ("s", "")))

    def ask(
        self, path: str, interface: str, method: str, signature: str | None = None, body: Any = ()
    ) -> tuple[Any, ...]:
        address = DBusAddress(path, bus_name=_BUS_NAME, interface=f"org.freedesktop.Secret.{interface}")
        answer: tuple[Any, ...] = unwrap_msg(
            self._bus.send_and_get_reply(new_method_call(address, method, signature, body))
        )
        return answer

    def found(self, name: str) -> str | None:
        unlocked, locked = self.ask(_SERVICE, "Service", "SearchItems", "a{ss}", (_attributes(name),))
        if not unlocked and locked:
            raise _locked()
        return str(unlocked[0]) if unlocked else None

    def refuse(self, prompt: str) -> None:
        """Take a wish to show a window for what it is: the keyring is locked."""
        if prompt != _NOTHING:
            raise _locked()


@contextmanager
def _talk() -> Iterator[_Talk]:
    try:
        with closing(_connected()) as bus:
            yield _Talk(bus)
    except TimeoutError:
        error: Exception = _hung()
    except OSError:
        error = _no_bus()
    except DBusErrorResponse as refused:
        error = _named(str(refused.name), " ".join(str(part) for part in refused.data or ()))
    except (ValueError, TypeError, LookupError):
        error = _named("an answer that is none of a Secret Service")
    else:
        return
    raise error


def _connected() -> _Bus:
    until = monotonic() + _DEADLINE_S
    socket = prep_socket(_address(), timeout=_DEADLINE_S)
    try:
        return _Bus(socket, until)
    except BaseException:
        socket.close()
        raise


def _attributes(name: str) -> dict[str, str]:
    return {"application": "doorward", "doorward-vault-key": name}


def _address() -> str:
    """Return the session bus's: as the environment names it, else where systemd has it for cron and SSH."""
    named = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if named:
        try:
            return str(next(iter(get_connectable_addresses(named))))
        except (RuntimeError, ValueError, StopIteration):
            raise _no_bus() from None
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        raise _no_bus()
    return os.path.join(runtime, "bus")


def _named(name: str, said: str = "") -> Exception:
    if name == _LOCKED:
        return _locked()
    if name.endswith(_SILENT):
        return _hung()
    if any(part in name for part in _ABSENT):
        message = f"No keyring service runs in this session. Start one, such as gnome-keyring. {_KEY_FILE_INSTEAD}"
        return KeyringUnavailable(message, reason="keyring_absent")
    message = (
        f"The keyring refused: {printable(said or name)}. See in its own program whether it works, and whether its "
        f"disk is full. {_KEY_FILE_INSTEAD}"
    )
    return KeyringUnavailable(message, reason="keyring_refused")


def _locked() -> KeyringLocked:
    message = (
        "The keyring is locked. Unlock it, by signing in to your desktop or in the keyring's own program (Passwords "
        "and Keys, KWallet, KeePassXC), and try again. Nothing is lost."
    )
    return KeyringLocked(message, reason="keyring_locked")


def _hung() -> KeyringUnavailable:
    message = (
        f"The keyring did not answer, or not within {_DEADLINE_S:g} s. See whether it waits for you in a window; else "
        "restart it, or sign out of your desktop and in again. Nothing is lost."
    )
    return KeyringUnavailable(message, reason="keyring_hung")


def _no_bus() -> KeyringUnavailable:
    message = (
        "This session has no D-Bus session bus, and so no keyring: as in a container, by SSH, or in cron. "
        f"{_KEY_FILE_INSTEAD}"
    )
    return KeyringUnavailable(message, reason="keyring_no_bus")
