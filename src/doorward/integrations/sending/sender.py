"""How one request gets its token, and what is done when it is refused. Adapters send it; here is decided what with.

After a refusal the request is sent again at most once for each of these: a token renewed (401), a nonce of the server
in the proof (DPoP), and a person who has signed in as the API wants it (RFC 9470).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from doorward.errors import ConfigurationError
from doorward.integrations.sending.origins import parse_origins
from doorward.integrations.sending.refusals import read_step_up, wants_nonce
from doorward.model import Secret
from doorward.ports import BoundTokenSource, StepUpSource, TokenSource
from doorward.protocol.bearer import build_authorization_header

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from doorward.integrations.sending.origins import Origin
    from doorward.integrations.sending.refusals import Answer

__all__ = ["HEADERS", "Attempt", "Sender", "checked_source", "headers_for"]

HEADERS = ("Authorization", "DPoP")
"""The headers that a token may travel in."""


def checked_source(source: object) -> TokenSource:
    """Return a source of tokens as it is.

    Raises:
        ConfigurationError: field ``source``: it is none.
    """
    if not isinstance(source, TokenSource):
        message = "The source of tokens must have token(), atoken(), renew() and arenew(), as a Session does."
        raise ConfigurationError(message, field="source", reason="not_a_token_source")
    return source


def headers_for(source: TokenSource, token: Secret, method: str, url: str, nonce: str | None) -> Mapping[str, str]:
    """Return the headers that carry ``token``: Authorization, and DPoP where it is bound to a key.

    Args:
        source: Where the token is from.
        token: The token.
        method: Of the request.
        url: Of the request.
        nonce: What the server wants in the proof, if it has said so.

    Raises:
        Malformed: The token has characters that no header can hold.
    """
    if isinstance(source, BoundTokenSource):
        return source.authorization(token.reveal(), method, url, nonce=nonce)
    return {"Authorization": build_authorization_header(token)}


class Sender:
    """Gives requests to some origins the tokens of a source. Safe to share between threads and tasks.

    Args:
        source: Where tokens come from.
        origins: Whom they are meant for.
        insecure_loopback_http: Allow http origins on this machine.

    Raises:
        ConfigurationError: field ``source`` or ``origins``.
    """

    def __init__(self, source: TokenSource, origins: Iterable[str], *, insecure_loopback_http: bool) -> None:
        self.source = checked_source(source)
        self._origins = parse_origins(origins, loopback_http=insecure_loopback_http)
        self._nonces: dict[Origin, str] = {}  # one for each of the origins, the last that it gave

    def may_carry(self, origin: Origin) -> bool:
        """Say whether a request there may carry a token."""
        return origin in self._origins

    def attempt(self, origin: Origin, method: str, url: str, *, sent: Secret | None = None) -> Attempt:
        """Begin a request. One that is on its way already, with the token ``sent``, first waits for its answer."""
        return Attempt(self.source, self._steps(origin, method, url, sent))

    def _steps(self, origin: Origin, method: str, url: str, sent: Secret | None) -> _Steps:
        token = Secret((yield _Ask("token"))) if sent is None else sent
        headers = headers_for(self.source, token, method, url, self._nonces.get(origin)) if sent is None else {}
        tried: set[str] = set()
        while True:
            answer = yield headers
            if answer.nonce is not None:
                self._nonces[origin] = answer.nonce
            ask = self._remedy(answer, token)
            if ask is None or ask.method in tried:
                return
            tried.add(ask.method)
            another = yield ask
            if another is None or (ask.method != "token" and another == token.reveal()):
                return
            token = Secret(another)
            headers = headers_for(self.source, token, method, url, self._nonces.get(origin))

    def _remedy(self, answer: Answer, token: Secret) -> _Ask | None:
        """Say what to ask of the source before the request is sent again; None if the answer stands."""
        if not (answer.refused and answer.repeatable):
            return None
        if wants_nonce(*answer.challenges):
            can_prove = isinstance(self.source, BoundTokenSource) and answer.nonce is not None
            return _Ask("token") if can_prove else None
        wanted = read_step_up(*answer.challenges)
        if wanted is None:
            return _Ask("renew", (token.reveal(),))
        return _Ask("step_up", tuple(wanted)) if isinstance(self.source, StepUpSource) else None


class Attempt:
    """One request on its way. Send it with what ``headers`` returns, tell that of the answer, and so on until None."""

    def __init__(self, source: TokenSource, steps: _Steps) -> None:
        self._source = source
        self._steps = steps

    def headers(self, answer: Answer | None = None) -> Mapping[str, str] | None:
        """Return the headers to send the request with, first or again; None if the answer stands.

        Raises what the source raises.
        """
        step = self._next(answer)
        while isinstance(step, _Ask):
            step = self._next(getattr(self._source, step.method)(*step.arguments))
        return step

    async def aheaders(self, answer: Answer | None = None) -> Mapping[str, str] | None:
        """Do as ``headers`` does, for asyncio."""
        step = self._next(answer)
        while isinstance(step, _Ask):
            step = self._next(await getattr(self._source, f"a{step.method}")(*step.arguments))
        return step

    def _next(self, told: Any) -> _Ask | Mapping[str, str] | None:
        try:
            return self._steps.send(told)
        except StopIteration:
            return None


class _Ask(NamedTuple):
    """A question to the source. Its name is that of a method, whose async twin has an ``a`` before it."""

    method: Literal["token", "renew", "step_up"]
    arguments: tuple[object, ...] = ()


_Steps: TypeAlias = "Generator[_Ask | Mapping[str, str], Any, None]"
"""Yields a question, and is sent what the source says; yields headers, and is sent the server's Answer."""
