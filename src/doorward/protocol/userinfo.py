"""UserInfo: what a provider tells of a person besides the ID token. It adds to a proven ID token, and proves nothing.

Many ID tokens name nobody but a subject, as OIDC Core section 5.4 has it where there is an access token too (Okta,
Authelia, ORCID, node oidc-provider): name and address are only to be had here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from doorward.errors import InvalidResponse
from doorward.model import HttpRequest
from doorward.protocol.bearer import build_authorization_header
from doorward.protocol.reading.responses import read_object

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.model import HttpResponse, Secret
    from doorward.protocol.metadata import ProviderMetadata

__all__ = ["build_userinfo_request", "lacks_claims", "parse_userinfo_response"]

_USERINFO = "the UserInfo endpoint"
_LIMIT_BYTES = 64 * 1024
_OF_TOKENS = frozenset(
    {"iss", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "acr", "amr", "auth_time", "at_hash", "c_hash", "sid"}
)
"""What only a signed token may say: how and for whom somebody signed in."""
_TOLD_FOR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"email": ("email",), "profile": ("name", "preferred_username"), "groups": ("groups",)}
)


def lacks_claims(claims: Mapping[str, Any], scopes: Collection[str]) -> bool:
    """Say whether an ID token has nothing of what a scope asks for (OIDC Core section 5.4)."""
    return any(scope in scopes and not any(name in claims for name in names) for scope, names in _TOLD_FOR.items())


def build_userinfo_request(metadata: ProviderMetadata, access_token: Secret) -> HttpRequest:
    """Ask for what the access token releases about its person (OIDC Core section 5.3.1).

    Raises:
        InvalidResponse: As ``ProviderMetadata.need``; look at ``metadata.userinfo_endpoint`` first.
    """
    headers = {"accept": "application/json", "authorization": build_authorization_header(access_token)}
    url = metadata.need("userinfo_endpoint")
    return HttpRequest("GET", url, _USERINFO, headers, max_response_bytes=_LIMIT_BYTES)


def parse_userinfo_response(response: HttpResponse, *, subject: str, now: float) -> dict[str, Any]:
    """Return what is told of ``subject``, without what only a token may say.

    A signed or encrypted answer is refused: it would need keys and rules of its own, and TLS says whose answer it is.

    Args:
        response: The answer to ``build_userinfo_request``.
        subject: ``sub`` of the ID token, to the character.
        now: Epoch seconds, for a Retry-After date.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``subject_mismatch`` where the
            answer is about somebody else, or does not say about whom.

    Source: OIDC Core sections 5.3.2 and 5.3.4.
    """
    told = read_object(response, purpose=_USERINFO, now=now)
    if told.get("sub") != subject:
        message = "The UserInfo endpoint answered about somebody else than the ID token. Tell the provider."
        raise InvalidResponse(message, reason="subject_mismatch")
    return {name: value for name, value in told.items() if name not in _OF_TOKENS}
