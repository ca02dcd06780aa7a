"""The two clients, blocking and asynchronous: what they allow and how long they wait. Light to import.

How a request is sent stands in ``wire``, where it may go in ``target``, whom TLS trusts in ``trust``. TLS and HTTP take
60 ms to import, so the first request does that: a token that is fresh in the vault needs neither.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from doorward.errors import DoorwardError
from doorward.http.settings import ClientSettings

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Self

    from doorward.http.wire import StreamedResponse
    from doorward.model import HttpRequest, HttpResponse

__all__ = ["AsyncHttpClient", "HttpClient", "load"]


def load() -> None:
    """Import now what the first request would import.

    For programs whose threads send it: where another thread forks amid an import, the child waits for it for ever.
    """
    import encodings.idna  # noqa: F401, PLC0415 - names of hosts go through it
    import secrets  # noqa: F401, PLC0415 - ``SystemEntropy`` wants it

    import doorward.http.trust  # noqa: PLC0415 - see the module's head
    import doorward.http.wire  # noqa: F401, PLC0415 - the same


class HttpClient:
    """Sends requests, blocking. Nothing is kept between them, neither connection nor cookie; threads may share one.

    https only, verified against the system's trust store, and besides that SSL_CERT_FILE, SSL_CERT_DIR,
    REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE; through the proxy (http, https, SOCKS 5) that HTTPS_PROXY or ALL_PROXY names,
    unless NO_PROXY says otherwise. Redirects are not followed.

    Args:
        insecure_loopback_http: allow http to 127.0.0.0/8, ``[::1]`` and ``localhost``, for tests and development.
        connect_timeout_s: for finding and reaching the host, and again for the TLS handshake.
        total_timeout_s: for the whole of a request, from name resolution to the last byte of the response.
        insecure_http_url: allow http to this one URL, for a network that protects it otherwise.
        ca_file: trust the CAs in this file of PEM, and no others.
        client_certificate: the files of the certificate and of the key that prove who we are to a server that asks.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        *,
        insecure_loopback_http: bool = False,
        connect_timeout_s: float = 10.0,
        total_timeout_s: float = 30.0,
        insecure_http_url: str | None = None,
        ca_file: str | None = None,
        client_certificate: tuple[str, str] | None = None,
    ) -> None:
        self._settings = ClientSettings(
            insecure_loopback_http,
            connect_timeout_s,
            total_timeout_s,
            insecure_http_url,
            ca_file,
            client_certificate,
        )

    def send(self, request: HttpRequest, *, timeout_s: float | None = None) -> HttpResponse:
        """Send ``request`` and return the whole response, whatever its status.

        Args:
            request: what to send.
            timeout_s: instead of ``total_timeout_s``, where several requests share one deadline.

        Raises:
            ConfigurationError: the URL, a header, a proxy or a trust setting can't be used.
            TransportError: no complete answer. Reasons: ``dns_failed``, ``connection_refused``, ``connection_failed``,
                ``connection_reset``, ``tls_certificate``, ``tls_failed``, ``timeout_connect``, ``timeout_total``,
                ``truncated``, ``protocol_error``, ``proxy_failed``.
            InvalidResponse: ``response_too_large`` or ``response_encoded``.
        """
        from doorward.http.wire import exchange  # noqa: PLC0415 - see the module's head

        outcome = exchange(request, self._settings, timeout_s=timeout_s)
        if isinstance(outcome, DoorwardError):
            raise outcome
        return outcome

    @contextmanager
    def stream(
        self, request: HttpRequest, *, idle_timeout_s: float = 30.0, user_agent: str | None = None
    ) -> Generator[StreamedResponse]:
        """Send ``request`` and give its response as it comes in, whatever its status.

        ``total_timeout_s`` ends with the response's head; from then on the server must go on within ``idle_timeout_s``,
        and whoever needs a bound for the whole sets it between two parts. Leaving the context closes the connection.

        Args:
            request: what to send; its ``max_response_bytes`` is the bound of the body.
            idle_timeout_s: the longest wait for the next part of the body.
            user_agent: what to present ourselves as, where a session is tied to the browser it was made with.

        Raises:
            ConfigurationError, TransportError: as ``send`` does; here and while the body comes in, with the reason
                ``timeout_idle`` besides.
            InvalidResponse: when the body is asked for; ``response_too_large`` or ``response_encoded``.
        """
        from doorward.http.wire import open_stream  # noqa: PLC0415 - see the module's head

        response = open_stream(request, self._settings, idle_timeout_s=idle_timeout_s, user_agent=user_agent)
        if isinstance(response, DoorwardError):
            raise response
        try:
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Do nothing, for nothing is held between requests. Here so that a client reads like other resources."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncHttpClient:
    """Sends requests from asyncio. Arguments, rules and errors are those of ``HttpClient``."""

    def __init__(
        self,
        *,
        insecure_loopback_http: bool = False,
        connect_timeout_s: float = 10.0,
        total_timeout_s: float = 30.0,
        client_certificate: tuple[str, str] | None = None,
    ) -> None:
        self._settings = ClientSettings(
            insecure_loopback_http, connect_timeout_s, total_timeout_s, client_certificate=client_certificate
        )

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send ``request`` like ``HttpClient.send``. Cancelling closes the connection."""
        from doorward.http.wire import exchange_async  # noqa: PLC0415 - see the module's head

        outcome = await exchange_async(request, self._settings)
        if isinstance(outcome, DoorwardError):
            raise outcome
        return outcome

    def blocking(self) -> HttpClient:
        """Return the client that allows and waits for the same, and blocks."""
        settings = self._settings
        return HttpClient(
            insecure_loopback_http=settings.insecure_loopback_http,
            connect_timeout_s=settings.connect_timeout_s,
            total_timeout_s=settings.total_timeout_s,
            client_certificate=settings.client_certificate,
        )

    async def aclose(self) -> None:
        """Do nothing, like ``HttpClient.close``."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
