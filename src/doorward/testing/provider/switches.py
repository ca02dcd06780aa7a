"""The seam through which the issuer lies: named points, hooks on them, and the board that says which are on.

Endpoints call ``bend`` at a point with the honest value and go on with what comes back. What the switches do is data,
in ``misbehaviours`` and ``habits``; nothing here or in the endpoints knows any of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from doorward.testing.provider.keys import KeyRing
    from doorward.testing.provider.rules import Rules

__all__ = ["HonestIssuer", "Hook", "Moment", "Point", "Switch", "Switchboard"]

Point: TypeAlias = Literal[
    "metadata",  # dict
    "jwks",  # dict
    "id_token_claims",  # dict
    "id_token_draft",  # keys.Draft: header, payload bytes, key
    "id_token",  # str, or None to leave it out
    "access_token_claims",
    "access_token_draft",
    "access_token",
    "pushed_response",  # dict
    "proof_nonce",  # dict of headers
    "token_response",  # dict in; any JSON value out
    "token_error",  # dict
    "device_authorization",  # dict
    "userinfo",  # dict
    "redirect_uri",  # str, where the callback is sent
    "callback",  # list of pairs
    "discovery_reply",  # web.Reply, whole
    "jwks_reply",
    "token_reply",
]


class HonestIssuer(Protocol):
    """What a hook may ask of the issuer it lies for."""

    keys: KeyRing

    @property
    def issuer(self) -> str: ...

    @property
    def rules(self) -> Rules: ...

    def endpoint(self, name: Any) -> str: ...

    def id_token_algorithms(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What a hook may know about the exchange it bends."""

    core: HonestIssuer = field(repr=False)
    now: float
    client_id: str = ""
    grant_type: str = ""
    access_token: str | None = field(default=None, repr=False)


Hook: TypeAlias = Callable[[Any, Moment], Any]


@dataclass(frozen=True, slots=True)
class Switch:
    """One way to differ from the honest issuer: hooks at points, and rules that change.

    ``touches`` names what a client can see change, as dotted paths such as ``id_token.payload.nonce``,
    ``metadata.issuer``, ``metadata_http.status`` (the answer around the document); the tests hold each switch to it.
    """

    name: str
    description: str
    hooks: Mapping[Point, Hook] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    touches: frozenset[str] = frozenset()


class Switchboard:
    """Which switches are on. Its map is replaced and never changed, so that turning one off needs no lock."""

    def __init__(self) -> None:
        self._on: dict[str, Switch] = {}

    def turn_on(self, table: Mapping[str, Switch], names: Sequence[str]) -> contextlib.ExitStack:
        """Turn switches on; the stack that is returned turns them off when it is left, and does nothing before."""
        for name in names:
            if name not in table:
                message = f"DevIssuer knows no {name}; the names are in MISBEHAVIOURS and HABITS."
                raise ConfigurationError(message, field="name", reason="no_such_switch")
        self._on = {**self._on, **{name: table[name] for name in names}}
        until_exit = contextlib.ExitStack()
        until_exit.callback(self._turn_off, names)
        return until_exit

    def _turn_off(self, names: Sequence[str]) -> None:
        self._on = {name: switch for name, switch in self._on.items() if name not in names}

    def clear(self) -> None:
        self._on = {}

    @property
    def rules(self) -> dict[str, Any]:
        """The rules that switches change, the latest winning."""
        changed: dict[str, Any] = {}
        for switch in self._on.values():
            changed |= switch.rules
        return changed

    def bend(self, point: Point, value: Any, moment: Moment) -> Any:
        """Pass an honest value through every hook at this point."""
        for switch in self._on.values():
            if (hook := switch.hooks.get(point)) is not None:
                value = hook(value, moment)
        return value
