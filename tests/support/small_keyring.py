"""A Secret Service that no real one can be made to be: it cuts what it is given, or answers nonsense."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from jeepney import new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

if TYPE_CHECKING:
    from jeepney import Message

_NAME = "org.freedesktop.secrets"
_ITEM = "/org/freedesktop/secrets/item"


class SmallKeyring:
    """It keeps one item. Use it in a ``with`` block."""

    def __init__(self, address: str, *, most: int, nonsense: bool = False) -> None:
        self._bus = open_dbus_connection(address)
        self._most = most
        self._nonsense = nonsense
        self.kept: dict[str, bytes] = {}
        unwrap_msg(self._bus.send_and_get_reply(message_bus.RequestName(_NAME), timeout=5))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._bus.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                message = self._bus.receive(timeout=0.05)
                if message.header.message_type.name == "method_call":
                    self._bus.send(self._answer(message))

    def _answer(self, message: Message) -> Message:
        method = message.header.fields[3]
        answers: dict[str, tuple[str, tuple[Any, ...]]] = {
            "OpenSession": ("vo", (("s", ""), "/session")),
            "ReadAlias": ("o", ("/collection",)),
            "SearchItems": ("aoao", ([_ITEM] if self.kept else [], [])),
            "GetSecret": ("(oayays)", (("/session", b"", self.kept.get(_ITEM, b""), "text/plain"),)),
            "CreateItem": ("oo", (_ITEM, "/")),
            "Delete": ("o", ("/",)),
        }
        if method == "CreateItem":
            self.kept[_ITEM] = bytes(message.body[1][2])[: self._most]
        if method == "Delete":
            self.kept.clear()
        if method not in answers:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
        return new_method_return(message, "u", (7,)) if self._nonsense else new_method_return(message, *answers[method])
