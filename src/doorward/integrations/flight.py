"""Puts a token source on the calls of Arrow Flight, by pyarrow. Nothing here gets, keeps or judges tokens.

Flight's middleware does not know which server it is for, and when it fails, the call goes on without a token. So the
client here checks the server when it is made, and has the token at hand before each call.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from pyarrow import flight  # type: ignore[import-untyped] # pyarrow has no types

from doorward.errors import ConfigurationError, printable
from doorward.integrations.sending.origins import origin_of, parse_origins
from doorward.integrations.sending.refused import RenewingSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from doorward.integrations.sending.origins import Origin
    from doorward.ports import TokenSource

__all__ = ["FlightClient", "TokenProvider"]

_SCHEMES = {"grpc+tls": "https", "grpc": "http", "grpc+tcp": "http"}


class TokenProvider:
    """An object with ``get_token()``, for programs that take one, such as micromegas' ``FlightSQLClient``.

    Where the token goes is that program's business: nothing is checked here.

    Args:
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.

    Raises:
        ConfigurationError: field ``source``.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = RenewingSource(source)

    def get_token(self) -> str:
        """Return a token that is good now. Raises what the source raises."""
        return self._source.token().reveal()

    def refused(self) -> None:
        """Note that the last token was refused: the next one is another."""
        self._source.refused()


class FlightClient(flight.FlightClient):  # type: ignore[misc] # pyarrow has no types
    """A Flight client whose calls carry a token.

    An error of the source is raised by the call, before anything is sent. A call that is refused as unauthenticated is
    made once more with another token. Where the refusal comes only while the answer is read or a stream is written
    (``list_flights``, ``do_action``, ``do_put``, ``do_exchange``), the next call has another token.

    Args:
        location: the server, as ``grpc+tls://host:port``, or a ``flight.Location``.
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.
        origins: whom they are meant for, as ``https://host:port``. The server has to be one of them.
        insecure_loopback_http: allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``, for ``grpc://``.
        tls_root_certs: what certificates to trust, as ``flight.FlightClient`` takes it, like all below.
        cert_chain: the client's own certificate.
        private_key: its key.
        middleware: other factories of middleware.
        write_size_limit_bytes: how large a batch may be.
        generic_options: for gRPC.

    Raises:
        ConfigurationError: field ``location``, ``source`` or ``origins``.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        location: str | flight.Location,
        source: TokenSource,
        *,
        origins: Iterable[str],
        insecure_loopback_http: bool = False,
        tls_root_certs: bytes | str | None = None,
        cert_chain: bytes | str | None = None,
        private_key: bytes | str | None = None,
        middleware: Sequence[flight.ClientMiddlewareFactory] = (),
        write_size_limit_bytes: int | None = None,
        generic_options: Sequence[tuple[str, int | str]] = (),
    ) -> None:
        _check(location, parse_origins(origins, loopback_http=insecure_loopback_http))
        self._bearer = _Bearer(source)
        super().__init__(
            location,
            tls_root_certs=tls_root_certs,
            cert_chain=cert_chain,
            private_key=private_key,
            middleware=[*middleware, self._bearer],
            write_size_limit_bytes=write_size_limit_bytes,
            generic_options=list(generic_options),
        )

    def list_actions(self, options: Any = None) -> Any:
        return self._call(super().list_actions, options)

    def list_flights(self, criteria: Any = None, options: Any = None) -> Any:
        return self._call(super().list_flights, criteria, options)

    def get_flight_info(self, descriptor: Any, options: Any = None) -> Any:
        return self._call(super().get_flight_info, descriptor, options)

    def get_schema(self, descriptor: Any, options: Any = None) -> Any:
        return self._call(super().get_schema, descriptor, options)

    def do_action(self, action: Any, options: Any = None) -> Any:
        return self._call(super().do_action, action, options)

    def do_get(self, ticket: Any, options: Any = None) -> Any:
        return self._call(super().do_get, ticket, options)

    def do_put(self, descriptor: Any, schema: Any, options: Any = None) -> Any:
        return self._call(super().do_put, descriptor, schema, options)

    def do_exchange(self, descriptor: Any, options: Any = None) -> Any:
        return self._call(super().do_exchange, descriptor, options)

    def as_async(self) -> Any:
        self._bearer.prepare()
        return super().as_async()

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        self._bearer.prepare()
        try:
            return method(*arguments)
        except (flight.FlightError, OSError):  # get_schema raises the latter
            if not (self._bearer.was_refused() and self._bearer.prepare()):
                raise
            return method(*arguments)


_Prepared: TypeAlias = "tuple[int, Mapping[str, str]]"
"""How many tokens were renewed when this one was asked for, and its headers."""


class _Bearer(flight.ClientMiddlewareFactory):  # type: ignore[misc] # pyarrow has no types
    """Middleware that sends what was prepared, for it must not fail; and hears of refusals.

    Flight calls middleware in the thread of the call. A stream that another thread reads goes with what was last
    prepared by any.
    """

    def __init__(self, source: TokenSource) -> None:
        super().__init__()
        self._source = RenewingSource(source)
        self._thread = threading.local()
        self._prepared: _Prepared = (0, {})

    def prepare(self) -> bool:
        """Have a token at hand, and say whether it is another. Raises what the source raises."""
        _, before = self._prepared_here()
        self._thread.prepared = self._prepared = self._source.renewals, self._source.headers("POST", "")
        return self._prepared_here()[1] != before

    def was_refused(self) -> bool:
        """Say whether this thread's last call was refused as unauthenticated."""
        return getattr(self._thread, "refused", False)

    def start_call(self, info: object) -> flight.ClientMiddleware:  # noqa: ARG002 - as Flight calls it
        since, headers = self._prepared_here()
        return _Call(headers, partial(self._completed, since=since))

    def _prepared_here(self) -> _Prepared:
        return getattr(self._thread, "prepared", self._prepared)

    def _completed(self, exception: BaseException | None, *, since: int) -> None:
        self._thread.refused = isinstance(exception, flight.FlightUnauthenticatedError)
        if self._thread.refused:
            self._source.refused(since=since)


class _Call(flight.ClientMiddleware):  # type: ignore[misc] # pyarrow has no types
    def __init__(self, headers: Mapping[str, str], completed: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self._headers, self._completed = headers, completed

    def sending_headers(self) -> Mapping[str, str]:
        return self._headers

    def call_completed(self, exception: BaseException | None) -> None:
        self._completed(exception)


def _check(location: str | flight.Location, origins: frozenset[Origin]) -> None:
    text = location if isinstance(location, str) else location.uri.decode()
    try:
        parts = urlsplit(text)
        origin = origin_of(_SCHEMES.get(parts.scheme, ""), parts.hostname or "", parts.port)
    except ValueError:
        origin = origin_of("", "", None)
    if origin not in origins:
        message = (
            f"The server {printable(text)} is none of the origins that the token is meant for. If it may have the "
            "token, name it in origins, such as https://flight.example.org:443 for grpc+tls://flight.example.org:443."
        )
        raise ConfigurationError(message, field="location", reason="other_origin")
