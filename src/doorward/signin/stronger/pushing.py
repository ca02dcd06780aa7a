"""Pushing an authorization request (RFC 9126): when it is done, and what its failure means (decision 18)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, InvalidResponse, OAuthError
from doorward.protocol.authorization import build_pushed_request, parse_pushed_response
from doorward.signin.exchanges import answer_to

if TYPE_CHECKING:
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.registration import Use

__all__ = ["must_push", "push"]

_log = logging.getLogger("doorward.signin")

_ENDPOINT = "pushed_authorization_request_endpoint"
_NOT_THIS_CLIENT = frozenset({"invalid_client", "unauthorized_client"})
_NOT_HERE = frozenset({401, 403, 404, 405, 410})


def must_push(metadata: ProviderMetadata, par: Use) -> bool:
    """Say whether only a pushed request will do: for the provider, or for us.

    Raises:
        ConfigurationError: One of the two wants it and the other does not: ``par_demanded``, ``par_unsupported``.
    """
    if metadata.push_required and par == "never":
        message = "The provider takes pushed authorization requests alone: leave par at 'auto'."
        raise ConfigurationError(message, field="par", reason="par_demanded")
    if par == "always" and getattr(metadata, _ENDPOINT) is None and _ENDPOINT not in metadata.flaws:
        message = "The provider offers no pushed authorization requests: leave par at 'auto'."
        raise ConfigurationError(message, field="par", reason="par_unsupported")
    return metadata.push_required or par == "always"


def push(  # noqa: PLR0913 - what is asked, and the outside it happens in
    metadata: ProviderMetadata, client: Client, url: str, *, par: Use, clock: Clock, entropy: Entropy
) -> Flow[str]:
    """Push the authorization request that ``url`` says, and return the address to open in its place.

    Returns:
        ``url`` itself where nothing is pushed.

    Raises:
        ConfigurationError: As ``must_push``.
        UnavailableError, ProviderError: It was not taken. An outage never leads to the weaker request.
    """
    demanded = must_push(metadata, par)
    if par == "never" or not (demanded or metadata.pushed_authorization_request_endpoint):
        return url
    request = build_pushed_request(metadata, client, url, now=clock.now(), jti=entropy.token_urlsafe(16))
    response = yield from answer_to(request)
    try:
        return parse_pushed_response(
            response, metadata=metadata, client_id=client.client_id, request=request, now=clock.now()
        )
    except (OAuthError, InvalidResponse) as error:
        not_ours = error.error in _NOT_THIS_CLIENT if isinstance(error, OAuthError) else response.status in _NOT_HERE
        if demanded or not not_ours:
            raise
        _log.warning("The authorization request was not pushed, and goes by the browser: %s", error.message)
        return url
