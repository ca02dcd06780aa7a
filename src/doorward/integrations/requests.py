"""Puts a token source on the calls of requests. Nothing here gets, keeps or judges tokens.

A token goes to the origins it was meant for and to no other, and a redirect to another origin leaves it behind, even
where that origin is one of those named. requests itself would take a password for the next address from a ``.netrc``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.utils import rewind_body

from doorward.integrations.sending.origins import origin_of
from doorward.integrations.sending.refusals import Answer
from doorward.integrations.sending.sender import HEADERS, Sender
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorward.integrations.sending.origins import Origin
    from doorward.ports import TokenSource

__all__ = ["BearerAuth"]

_SCHEMES = {"Bearer", "DPoP"}


class BearerAuth(requests.auth.AuthBase):
    """Authentication for requests: ``session.auth = BearerAuth(...)``, or ``auth=`` of one call.

    A request that has an Authorization header already keeps it: whoever set it meant it. After a 401 the source is
    asked for another token and the request is sent once more. A body that was streamed is gone, so then the 401 is the
    answer, and so it is after a redirect, when the request may have done its work already.

    Args:
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.
        origins: whom they are meant for, as ``https://host`` or ``https://host:port``. Nothing is matched but these.
        insecure_loopback_http: allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``, for tests and
            development. Not on port 80.

    Raises:
        ConfigurationError: field ``source`` or ``origins``.
    """

    def __init__(self, source: TokenSource, *, origins: Iterable[str], insecure_loopback_http: bool = False) -> None:
        self._sender = Sender(source, origins, insecure_loopback_http=insecure_loopback_http)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token on a request that goes where tokens may go."""
        origin = _origin(r)
        if self._sender.may_carry(origin) and "Authorization" not in r.headers:
            headers = self._sender.attempt(origin, r.method or "", r.url or "").headers()
            r.headers.update(headers or {})
            r.register_hook("response", self._answered)
            r.__class__ = _Request
        return r

    def _answered(self, response: requests.Response, **sending: Any) -> requests.Response:
        """Take an answer as it is, or send the request again with what the source says to a refusal."""
        request = response.request
        scheme, _, token = str(request.headers.get("Authorization", "")).partition(" ")
        if scheme not in _SCHEMES or getattr(request, "redirected", True):
            return response
        attempt = self._sender.attempt(_origin(request), request.method or "", request.url or "", sent=Secret(token))
        attempt.headers()
        try:
            while (headers := attempt.headers(_answer(response))) is not None:
                response = _sent_again(response, headers, sending)
        except BaseException:
            response.close()
            raise
        return response


class _Request(requests.PreparedRequest):
    """A request that carries a token: what a redirect makes of it carries it no farther than its origin."""

    redirected = False

    def copy(self) -> requests.PreparedRequest:
        copied = super().copy()
        copied.__class__ = _Request
        copied.__dict__["redirected"] = self.redirected
        return copied

    def __setattr__(self, name: str, value: object) -> None:
        before = _origin(self)
        super().__setattr__(name, value)
        if name == "url":  # only a redirect gives a request that is ready another address
            self.redirected = True
            if _origin(self) != before:
                for header in HEADERS:
                    self.headers.pop(header, None)

    def prepare_auth(self, auth: Any, url: Any = "") -> None:
        if not isinstance(auth, tuple):  # that is what requests found in a .netrc for the next address
            super().prepare_auth(auth, url)


def _origin(request: requests.PreparedRequest) -> Origin:
    parts = urlsplit(request.url or "")
    return origin_of(parts.scheme, parts.hostname or "", parts.port)


def _answer(response: requests.Response) -> Answer:
    return Answer(
        refused=response.status_code == requests.codes.unauthorized,
        repeatable=_is_repeatable(response.request),
        challenges=[response.headers.get("WWW-Authenticate", "")],
        nonce=response.headers.get("DPoP-Nonce"),
    )


def _is_repeatable(request: requests.PreparedRequest) -> bool:
    body: Any = request.body
    if body is None or isinstance(body, (str, bytes, bytearray)):
        return True
    is_file = isinstance(request._body_position, int) and hasattr(body, "seekable")  # noqa: SLF001 - what rewind_body asks
    return is_file and bool(body.seekable())


def _sent_again(response: requests.Response, headers: Mapping[str, str], sending: dict[str, Any]) -> requests.Response:
    """Send a request once more as ``requests.auth.HTTPDigestAuth`` does: by the same adapter, with the same options."""
    _ = response.content  # gives the connection back
    response.close()
    request = response.request.copy()
    if hasattr(request.body, "seek"):
        rewind_body(request)
    request.headers.update(headers)
    again = response.connection.send(request, **sending)
    again.history = [*response.history, response]
    return again
