"""What the endpoints share: addresses, rules, people, clients, keys, memory, and the seam for switches."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from doorward.testing.provider.store import Store
from doorward.testing.provider.switches import Moment, Switchboard
from doorward.testing.provider.web import Refusal

if TYPE_CHECKING:
    from doorward.ports import Clock, Entropy
    from doorward.testing.provider.keys import KeyRing
    from doorward.testing.provider.rules import Client, Rules, User
    from doorward.testing.provider.switches import Point

__all__ = ["ENDPOINTS", "Core", "EndpointName"]

EndpointName: TypeAlias = Literal[
    "discovery",
    "jwks",
    "authorize",
    "par",
    "token",
    "device_authorization",
    "device",
    "introspect",
    "revoke",
    "userinfo",
    "end_session",
]
ENDPOINTS: tuple[str, ...] = get_args(EndpointName)


@dataclass(slots=True)
class Core:
    """One issuer's whole state. Whoever reads or changes it holds ``lock``."""

    clock: Clock
    entropy: Entropy
    keys: KeyRing
    base_rules: Rules
    origin: str = ""
    path: str = ""
    trailing_slash: bool = False
    clients: dict[str, Client] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    mode: Literal["ask", "sign_in", "deny"] = "ask"
    automatic_user: str = ""
    store: Store = field(default_factory=Store)
    board: Switchboard = field(default_factory=Switchboard)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def rules(self) -> Rules:
        """The rules in force, with what the switches change."""
        return dataclasses.replace(self.base_rules, **self.board.rules)

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.origin + self.path + ("/" if self.trailing_slash else "")

    @property
    def port(self) -> int | None:
        """The port that the issuer is reached at."""
        return urlsplit(self.origin).port

    def endpoint(self, name: EndpointName) -> str:
        """Return an endpoint's absolute URL."""
        return f"{self.origin}{self.path}/{name}"

    def now(self) -> int:
        """Return the present in whole seconds, as tokens count it."""
        return int(self.clock.now())

    def moment(self, **facts: str) -> Moment:
        """Return the context for a hook."""
        return Moment(core=self, now=self.clock.now(), **facts)

    def bend(self, point: Point, value: Any, moment: Moment | None = None) -> Any:
        """Let the switches change an honest value."""
        return self.board.bend(point, value, moment or self.moment())

    def random(self) -> str:
        """Return 256 random bits as text."""
        return self.entropy.token_urlsafe(32)

    def user(self, subject: str) -> User | None:
        """Find a person by subject."""
        return next((user for user in self.users.values() if user.subject == subject), None)

    def id_token_algorithms(self) -> tuple[str, ...]:
        """Return the algorithms that ID tokens are signed with here, the default first."""
        asked = (client.id_token_signed_response_alg for client in self.clients.values())
        return tuple(dict.fromkeys((self.rules.signing_algorithm, *(alg for alg in asked if alg))))

    def grant_scopes(self, asked: str) -> tuple[str, ...]:
        """Return the scopes to grant for a ``scope`` parameter; raise Refusal for one that is not allowed."""
        rules = self.rules
        scopes = tuple(dict.fromkeys(asked.split()))
        if rules.allowed_scopes is not None:
            unknown = [scope for scope in scopes if scope not in rules.allowed_scopes]
            if unknown:
                raise Refusal("invalid_scope", f"this issuer does not know the scope {unknown[0]}")
        return tuple(scope for scope in scopes if scope not in rules.ignored_scopes)
