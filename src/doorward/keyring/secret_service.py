"""Asks the Secret Service: GNOME's keyring, KDE's wallet, KeePassXC, all that Linux calls a keyring.

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

from doorward.keyring.problems import DEADLINE_S, problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jeepney import Message

    from doorward.keyring.entry import Entry

__all__ = ["check", "keep", "read", "remove"]

_BUS_NAME = "org.freedesktop.secrets"
_INTERFACES = "org.freedesktop.Secret"
_SERVICE = "/org/freedesktop/secrets"
_NOTHING = "/"
"""The path that stands for no object."""

_ABSENT = ("ServiceUnknown", "NameHasNoOwner", "Spawn.")
_LOCKED = f"{_INTERFACES}.Error.IsLocked"
_SILENT = (
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Timeout",
    "org.freedesktop.DBus.Error.TimedOut",
)


def check() -> None:
    """Make sure that the keyring of the person's session is there and unlocked. Raises what ``read`` does."""
    with _talk() as service:
        if service.is_locked(service.default_collection()):
            raise problem("locked")


def read(entry: Entry) -> str | None:
    """Return the text of an entry, None if nothing is kept.

    Raises:
        KeyringLocked, KeyringUnavailable: The message says what to do.
    """
    with _talk() as service:
        items = service.found(entry)
        if not items:
            return None
        _, _, value, _ = service.ask(items[0], "Item", "GetSecret", "o", (service.session,))[0]
        return bytes(value).decode(errors="replace")


def keep(entry: Entry, text: str) -> None:
    """Keep a text, in the keyring that the person's session opens. Raises what ``read`` does."""
    with _talk() as service:
        collection = service.default_collection()
        described = {
            f"{_INTERFACES}.Item.Label": ("s", entry.label),
            f"{_INTERFACES}.Item.Attributes": ("a{ss}", {**entry.attributes, **entry.written}),
        }
        secret = (service.session, b"", text.encode(), "text/plain")
        kept, prompt = service.ask(collection, "Collection", "CreateItem", "a{sv}(oayays)b", (described, secret, True))
        service.refuse(prompt)
        service.delete(item for item in service.found(entry) if item != kept)


def remove(entry: Entry) -> bool:
    """Remove an entry, and return whether there was one. Raises what ``read`` does."""
    with _talk() as service:
        items = service.found(entry)
        service.delete(items)
        service.found(entry)  # another that is kept in a keyring that is locked: that is said
    return bool(items)


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
        return self._ask(path, f"{_INTERFACES}.{interface}", method, signature, body)

    def is_locked(self, collection: str) -> bool:
        what = (f"{_INTERFACES}.Collection", "Locked")
        ((_, locked),) = self._ask(collection, "org.freedesktop.DBus.Properties", "Get", "ss", what)
        return locked is not False

    def _ask(self, path: str, interface: str, method: str, signature: str | None, body: Any) -> tuple[Any, ...]:
        address = DBusAddress(path, bus_name=_BUS_NAME, interface=interface)
        answer: tuple[Any, ...] = unwrap_msg(
            self._bus.send_and_get_reply(new_method_call(address, method, signature, body))
        )
        return answer

    def default_collection(self) -> str:
        (collection,) = self.ask(_SERVICE, "Service", "ReadAlias", "s", ("default",))
        if collection == _NOTHING:
            raise problem("empty")
        return str(collection)

    def found(self, entry: Entry) -> list[str]:
        unlocked, locked = self.ask(_SERVICE, "Service", "SearchItems", "a{ss}", (entry.attributes,))
        if not unlocked and locked:
            raise problem("locked")
        return list(unlocked)

    def delete(self, items: Iterable[str]) -> None:
        for item in items:
            self.refuse(self.ask(item, "Item", "Delete")[0])

    def refuse(self, prompt: str) -> None:
        """Take a wish to show a window for what it is: the keyring is locked."""
        if prompt != _NOTHING:
            raise problem("locked")


@contextmanager
def _talk() -> Iterator[_Talk]:
    try:
        with closing(_connected()) as bus:
            yield _Talk(bus)
    except TimeoutError:
        error: Exception = problem("hung")
    except OSError:
        error = problem("no_bus")
    except DBusErrorResponse as refused:
        error = _named(str(refused.name), " ".join(str(part) for part in refused.data or ()))
    except (ValueError, TypeError, LookupError):
        error = _named("an answer that is none of a Secret Service")
    else:
        return
    raise error


def _connected() -> _Bus:
    until = monotonic() + DEADLINE_S
    socket = prep_socket(_address(), timeout=DEADLINE_S)
    try:
        return _Bus(socket, until)
    except BaseException:
        socket.close()
        raise


def _address() -> str:
    """Return the session bus's: as the environment names it, else where systemd has it for cron and SSH."""
    named = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if named:
        try:
            return str(next(iter(get_connectable_addresses(named))))
        except (RuntimeError, ValueError, StopIteration):
            raise problem("no_bus") from None
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        raise problem("no_bus")
    return os.path.join(runtime, "bus")


def _named(name: str, said: str = "") -> Exception:
    if name == _LOCKED:
        return problem("locked")
    if name.endswith(_SILENT):
        return problem("hung")
    if any(part in name for part in _ABSENT):
        return problem("absent")
    return problem("refused", said or name)
