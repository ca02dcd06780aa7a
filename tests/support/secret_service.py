"""A real Secret Service, GNOME's keyring, on a session bus of its own: nothing of this machine's is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jeepney import DBusAddress, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
_DEADLINE_S = 20
_NAME = "org.freedesktop.secrets"
_PASSWORD = b"login password"
_SERVICE = "/org/freedesktop/secrets"
_LOGIN = f"{_SERVICE}/collection/login"


def find_programs() -> dict[str, str] | None:
    """Return where the bus and the keyring are, None if one is missing."""
    found = {name: shutil.which(name) for name in ("dbus-daemon", "gnome-keyring-daemon")}
    return None if None in found.values() else found


class SessionBus:
    """A bus that starts nothing by itself. Its address is what ``DBUS_SESSION_BUS_ADDRESS`` has to be."""

    def __init__(self, programs: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bus-")  # short: it is the path of a socket
        self.folder = Path(self._folder.name)
        self._programs = programs
        self._path = self.folder / "bus"
        self.address = f"unix:path={self._path}"
        config = self.folder / "bus.conf"
        config.write_text(_BUS.format(path=self._path))
        self._running = [
            subprocess.Popen(
                [programs["dbus-daemon"], f"--config-file={config}", "--nofork", "--nopidfile"],
                stderr=subprocess.DEVNULL,
            )
        ]
        _wait(self._listens)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "DBUS_SESSION_BUS_ADDRESS": self.address,
        }

    def _listens(self) -> bool:
        """A socket stands in its folder a moment before anybody listens at it."""
        with socket.socket(socket.AF_UNIX) as asking:
            return asking.connect_ex(str(self._path)) == 0

    def start_keyring(self, *, unlocked: bool = True) -> subprocess.Popen[bytes]:
        """Start a keyring and wait until it answers. One that was never unlocked has no collection at all."""
        command = [self._programs["gnome-keyring-daemon"], "--foreground", "--components=secrets"]
        keyring = subprocess.Popen(
            [*command, "--unlock"] if unlocked else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            restore_signals=False,  # SIGXFSZ stays ignored: a file that may not grow is then an error, and no death
        )
        self._running.append(keyring)
        with keyring.stdin as told:
            told.write(_PASSWORD)
        _wait(lambda: _NAME in self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "ListNames")[0])
        if unlocked:
            _wait(lambda: self.default_collection() == _LOGIN)
        return keyring

    def stop(self) -> None:
        """Let the bus itself answer nobody."""
        self._running[0].send_signal(signal.SIGSTOP)

    def unlock(self) -> None:
        """Unlock the login collection, as signing in to a desktop does."""
        service = DBusAddress(_SERVICE, bus_name=_NAME, interface="org.freedesktop.Secret.Service")
        keyring = DBusAddress(
            _SERVICE, bus_name=_NAME, interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
        )
        with open_dbus_connection(self.address) as bus:

            def ask(address: DBusAddress, method: str, signature: str, body: tuple[object, ...]) -> tuple[object, ...]:
                return unwrap_msg(bus.send_and_get_reply(new_method_call(address, method, signature, body), timeout=5))

            _, session = ask(service, "OpenSession", "sv", ("plain", ("s", "")))
            master = (session, b"", _PASSWORD, "text/plain")
            ask(keyring, "UnlockWithMasterPassword", "o(oayays)", (_LOGIN, master))

    def keep_secret(self, attributes: dict[str, str], secret: bytes, *, collection: str = "login") -> None:
        """Keep a secret as another program does."""
        described = {
            "org.freedesktop.Secret.Item.Label": ("s", "another program's"),
            "org.freedesktop.Secret.Item.Attributes": ("a{ss}", attributes),
        }
        with open_dbus_connection(self.address) as bus:

            def ask(path: str, interface: str, method: str, signature: str, body: tuple[object, ...]) -> object:
                address = DBusAddress(path, bus_name=_NAME, interface=f"org.freedesktop.Secret.{interface}")
                return unwrap_msg(bus.send_and_get_reply(new_method_call(address, method, signature, body), timeout=5))

            _, session = ask(_SERVICE, "Service", "OpenSession", "sv", ("plain", ("s", "")))
            body = (described, (session, b"", secret, "text/plain"), False)
            ask(f"{_SERVICE}/collection/{collection}", "Collection", "CreateItem", "a{sv}(oayays)b", body)

    def secrets(self, user: str) -> int:
        """How many secrets are kept that the package ``keyring`` would find for a user of doorward."""
        unlocked, locked = self.ask_service("SearchItems", "a{ss}", ({"service": "doorward", "username": user},))
        return len(unlocked) + len(locked)

    def keys(self) -> int:
        """How many keys of vaults are kept."""
        unlocked, locked = self.ask_service("SearchItems", "a{ss}", ({"application": "doorward"},))
        return len(unlocked) + len(locked)

    def default_collection(self) -> str:
        return self.ask_service("ReadAlias", "s", ("default",))[0]

    def lock(self) -> None:
        """Lock the login collection, as a desktop does when nobody is there."""
        self.ask_service("Lock", "ao", ([_LOGIN],))

    def ask_service(self, method: str, signature: str, body: tuple[object, ...]) -> tuple[object, ...]:
        interface = "org.freedesktop.Secret.Service"
        return self.call(_NAME, _SERVICE, method, signature, body, interface)

    def call(
        self, name: str, path: str, method: str, signature: str | None = None, body: object = (), interface: str = ""
    ) -> tuple[object, ...]:
        address = DBusAddress(path, bus_name=name, interface=interface or name)
        with open_dbus_connection(self.address) as bus:
            return unwrap_msg(bus.send_and_get_reply(new_method_call(address, method, signature, body), timeout=5))

    def close(self) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)
        self._folder.cleanup()


@contextlib.contextmanager
def windows_of(address: str) -> Iterator[Callable[[], bool]]:
    """Stand where a bus's keyring asks for windows; give what tells whether one was asked for."""
    with open_dbus_connection(address) as connection:
        unwrap_msg(connection.send_and_get_reply(message_bus.RequestName("org.gnome.keyring.SystemPrompter")))

        def asked() -> bool:
            with contextlib.suppress(TimeoutError):
                while True:
                    message = connection.receive(timeout=0.2)
                    if message.header.message_type.name == "method_call":
                        return True
            return False

        yield asked


def _wait(until: object) -> None:
    give_up_at = time.monotonic() + _DEADLINE_S
    while not until():
        assert time.monotonic() < give_up_at, "the keyring or its bus did not start"
        time.sleep(0.02)
