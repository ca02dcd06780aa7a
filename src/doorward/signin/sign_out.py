"""The end of a session at the provider: what is revoked there, and what the person hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from doorward.errors import OAuthError, ProviderError, UnavailableError
from doorward.protocol.endpoints import build_logout_url, build_revocation_request, parse_revocation_response
from doorward.signin.exchanges import answer_to, discover

if TYPE_CHECKING:
    from doorward.ports import Clock, Entropy, Flow
    from doorward.signin.registration import Registration
    from doorward.vault.entries import ProfileEntry

__all__ = ["SignOut", "revoke"]

_Revocable: TypeAlias = Literal["refresh_token", "access_token"]


@dataclass(frozen=True, slots=True)
class SignOut:
    """What a sign-out did. The vault entry is gone in every case.

    Attributes:
        revoked: The provider confirmed that the session is over: its refresh token is no longer good, or where there is
            none, its access token.
        problem: Why it did not, in words; None if it did or has no way to.
        logout_url: Where a browser ends the provider's own session; None if it offers no such place.
        access_token_revoked: The provider confirmed that the access token is no longer good. Some can't revoke those.
    """

    revoked: bool
    problem: str | None
    logout_url: str | None
    access_token_revoked: bool = False


def revoke(entry: ProfileEntry, registration: Registration, *, clock: Clock, entropy: Entropy) -> Flow[SignOut]:
    """Have the provider revoke what a profile holds, the refresh token first.

    Raises what the exchanges raise before anything was asked to be revoked.

    Source: RFC 7009; OIDC RP-Initiated Logout 1.0.
    """
    metadata = yield from discover(registration, now=clock.now())
    offered = metadata.end_session_endpoint is not None
    logout_url = build_logout_url(metadata, client_id=entry.client_id) if offered else None
    if metadata.revocation_endpoint is None:
        return SignOut(revoked=False, problem=None, logout_url=logout_url)
    revoked: set[_Revocable] = set()
    problems: dict[_Revocable, str] = {}
    for kind, token in entry.revocable(now=clock.now()).items():
        request = build_revocation_request(
            metadata,
            registration.client_for(metadata),
            token,
            token_type_hint=kind,
            now=clock.now(),
            jti=entropy.token_urlsafe(16),
        )
        try:
            parse_revocation_response((yield from answer_to(request)), request=request, now=clock.now())
            revoked.add(kind)
        except UnavailableError as error:
            problems[kind] = error.message
            break  # the next question would wait as long
        except ProviderError as error:
            if not (isinstance(error, OAuthError) and error.error == "unsupported_token_type"):
                problems[kind] = error.message
    main: _Revocable = "access_token" if entry.refresh_token is None else "refresh_token"
    return SignOut(
        revoked=main in revoked,
        problem=problems.get(main),
        logout_url=logout_url,
        access_token_revoked="access_token" in revoked,
    )
