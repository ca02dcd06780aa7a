"""An https service behind a real guard, for programs that are to show it a token: as Bearer, or as Basic's password."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from loopback_https import Answer, Request, Server

from doorward.errors import InvalidCredential
from doorward.guard import Guard, Issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from doorward.testing import DevIssuer

__all__ = ["Authority", "GuardedService", "token_in"]


class Authority(Protocol):
    """A server's certificate and key, as the fixture ``test_ca`` makes them."""

    certificate: Path
    key: Path


def token_in(request: Request) -> str:
    """Return the token that a request shows, however it does."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return base64.b64decode(shown).decode().partition(":")[2]
    return shown if scheme.lower() == "bearer" else ""


class GuardedService(Server):
    """Asks the guard about each request, and answers those that it lets in.

    ``refused`` are tokens that the service takes no longer, as where they were revoked; ``closed`` has it take none.
    ``shown`` are all that came.
    """

    def __init__(
        self,
        issuer: DevIssuer,
        authority: Authority,
        answer: Callable[[Request], Answer] = lambda _: Answer(200, [], b"hello"),
        *,
        audience: str = "api",
        challenges: Sequence[str] = ('Bearer realm="service"', 'Basic realm="service"'),
    ) -> None:
        self.refused: set[str] = set()
        self.closed = False
        self.shown: list[str] = []
        self._guard = Guard([Issuer(issuer.url, [audience], token_type="any", insecure_loopback_http=True)])

        def judged(request: Request) -> Answer:
            token = token_in(request)
            if token:
                self.shown.append(token)
            if self._lets_in(token):
                return answer(request)
            return Answer(401, [("WWW-Authenticate", challenge) for challenge in challenges])

        super().__init__(judged, authority.certificate, authority.key)

    def _lets_in(self, token: str) -> bool:
        if self.closed or not token or token in self.refused:
            return False
        try:
            self._guard.authenticate(f"Bearer {token}")
        except InvalidCredential:
            return False
        return True

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def close(self) -> None:
        super().close()
        self._guard.close()
