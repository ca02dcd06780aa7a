"""Faults of the network and of servers, as data: what an endpoint does instead of answering well, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from doorward.errors import ConfigurationError
from doorward.testing.provider.web import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fault", "FaultKind", "FaultPlan", "make_fault"]

FaultKind: TypeAlias = Literal[
    "status",  # answers with the status, and an OAuth error where it is 4xx or 5xx
    "html",  # a page of a proxy or a captive portal, with the status
    "garbage",  # bytes that are no HTTP
    "reset",  # the connection is reset (RST) without a byte
    "close",  # the connection is closed (FIN) without a byte
    "hang",  # nothing comes until the client gives up, the issuer stops, or a minute has passed
    "truncated",  # the right answer, cut in the middle
    "slow_body",  # the right answer, one byte at a time
    "delay",  # the right answer, only late
]
_KINDS: tuple[str, ...] = get_args(FaultKind)
_DONE_FIRST = frozenset({"truncated", "slow_body", "delay"})
_HTML = b"<!doctype html><title>Hotel Wi-Fi</title><h1>Welcome! Please accept our terms.</h1>"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. ``done`` says that the request takes effect before its answer goes wrong."""

    kind: FaultKind
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0
    done: bool = False

    @property
    def silent(self) -> bool:
        """Whether no answer goes out at all."""
        return self.kind in {"garbage", "reset", "close", "hang"}

    def reply(self) -> Reply:
        """Return the answer that a fault of kind ``status`` or ``html`` sends."""
        headers = tuple(self.headers.items())
        if self.kind == "html":
            return Reply(self.status, self.body or _HTML, "text/html; charset=utf-8", headers)
        return Reply(
            self.status, b'{"error": "temporarily_unavailable"}' if self.body is None else self.body, headers=headers
        )


def make_fault(  # noqa: PLR0913 - keyword-only but for the first
    kind: FaultKind,
    *,
    status: int | None,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    delay_s: float,
    done: bool | None,
) -> Fault:
    """Fill in what is usual for a kind of fault; the arguments are those of ``DevIssuer.fail``."""
    if kind not in _KINDS:
        message = f"There is no fault {kind}; choose out of {', '.join(_KINDS)}."
        raise ConfigurationError(message, field="kind", reason="no_such_fault")
    return Fault(
        kind=kind,
        status=(200 if kind == "html" else 503) if status is None else status,
        headers=dict(headers or {}),
        body=body,
        delay_s=delay_s,
        done=kind in _DONE_FIRST if done is None else done,
    )


class FaultPlan:
    """Which faults wait at which endpoint. The caller holds the issuer's lock."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Fault, int | None]]] = {}

    def add(self, endpoint: str, fault: Fault, times: int | None) -> None:
        self._waiting.setdefault(endpoint, []).append((fault, times))

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault for a request that comes now, and count it off."""
        waiting = self._waiting.get(endpoint)
        if not waiting:
            return None
        fault, times = waiting[0]
        if times is None:
            return fault
        if times > 1:
            waiting[0] = (fault, times - 1)
        else:
            waiting.pop(0)
        return fault

    def clear(self) -> None:
        self._waiting.clear()
