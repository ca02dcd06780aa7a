"""Puts a token source on the calls of gRPC, sync and asyncio. Nothing here gets, keeps or judges tokens.

gRPC asks for the token in a thread of its own, so that a renewal blocks no event loop, and sends it over secure
channels only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from doorward.errors import ConfigurationError, DoorwardError
from doorward.integrations.sending.origins import origin_of, parse_origins
from doorward.integrations.sending.refused import RenewingSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from doorward.ports import TokenSource

__all__ = ["AsyncRenewal", "BearerAuth", "Renewal"]


class BearerAuth(grpc.AuthMetadataPlugin):
    """The plugin of call credentials: ``grpc.metadata_call_credentials(BearerAuth(...))``, for both kinds of channel.

    A call to a server that is none of the origins fails before it is sent, and so does one for which no token can be
    had: with ``UNAVAILABLE``, and the error's message in its details.

    Args:
        source: where tokens come from, such as a ``Session`` or ``ClientCredentials``.
        origins: whom they are meant for, as ``https://host`` or ``https://host:port``: the name that the server's
            certificate is checked for, and the port of the channel.
        insecure_loopback_http: allow http origins on 127.0.0.0/8, ``[::1]`` and ``localhost``, for channels with
            ``grpc.local_channel_credentials()``.

    Raises:
        ConfigurationError: field ``source`` or ``origins``.
    """

    def __init__(self, source: TokenSource, *, origins: Iterable[str], insecure_loopback_http: bool = False) -> None:
        self.source = RenewingSource(source)
        self._origins = parse_origins(origins, loopback_http=insecure_loopback_http)

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        """Tell gRPC what to send along."""
        try:
            url = _url(context.service_url)
            self._check(url)
            headers = self.source.headers("POST", f"{url}/{context.method_name}")
        except DoorwardError as error:
            callback((), error)
        else:
            callback(tuple(headers.items()), None)

    def refused(self) -> None:
        """Note that a call was refused as ``UNAUTHENTICATED``: the next one gets another token."""
        self.source.refused()

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if origin_of(parts.scheme, parts.hostname or "", parts.port) not in self._origins:
            message = (
                f"The server {parts.scheme}://{parts.netloc} is none of the origins that the token is meant for. Name "
                "it in origins if it may have the token."
            )
            raise ConfigurationError(message, field="origins", reason="other_origin")


class Renewal(grpc.UnaryUnaryClientInterceptor):
    """Repeats a call that was refused as ``UNAUTHENTICATED`` once, with another token: ``grpc.intercept_channel``.

    For calls with one request and one answer that are waited for. After any other, the next call has another token.
    """

    def __init__(self, auth: BearerAuth) -> None:
        self._source = auth.source

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Make the call, and once more if it was refused."""
        renewals = self._source.renewals
        call = continuation(client_call_details, request)
        is_over = not isinstance(call, grpc.Future) or call.done()
        if is_over and call.code() is grpc.StatusCode.UNAUTHENTICATED:
            self._source.refused(since=renewals)
            call = continuation(client_call_details, request)
        return call


class AsyncRenewal(grpc.aio.UnaryUnaryClientInterceptor):
    """Does the same for asyncio: ``grpc.aio.secure_channel(..., interceptors=[AsyncRenewal(auth)])``."""

    def __init__(self, auth: BearerAuth) -> None:
        self._source = auth.source

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Make the call, and once more if it was refused."""
        renewals = self._source.renewals
        call = await continuation(client_call_details, request)
        if await call.code() is grpc.StatusCode.UNAUTHENTICATED:
            self._source.refused(since=renewals)
            call = await continuation(client_call_details, request)
        return call


def _url(service_url: str) -> str:
    """Return the URL of a service. Without TLS, which is for this computer alone, gRPC names no scheme."""
    return f"http{service_url}" if service_url.startswith("://") else service_url
