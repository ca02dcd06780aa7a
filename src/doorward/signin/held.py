"""What the vault holds of a profile, as it is asked for: a token, the person, the client. Nothing is saved here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError
from doorward.model import Principal
from doorward.signin.registration import Registration, as_certificate, find_client_secret
from doorward.signin.settings.client_keys import find_client_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import Secret, TokenKind
    from doorward.protocol.jwk import SigningKey
    from doorward.vault.entries import ProfileEntry
    from doorward.vault.vault import Vault

__all__ = ["Wanted", "principal_of", "registration_of", "who_of"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token of a kind, other than one that was rejected, and good for a least life. Checked when made."""

    kind: TokenKind
    rejected: str | None = field(default=None, repr=False)
    least_life_s: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("access", "id"):  # never a token of another kind than was meant
            raise ConfigurationError("kind must be 'access' or 'id'.", field="kind")
        if type(self.least_life_s) not in (int, float) or not 0 <= self.least_life_s <= _DAY_S:
            message = "least_life_s must be a number of seconds from 0 to 86400."
            raise ConfigurationError(message, field="least_life_s", reason="out_of_range")

    def fresh(self, entry: ProfileEntry, *, now: float) -> str | None:
        """Return the token if it need not be renewed."""
        token = entry.fresh_token(self.kind, now=now, least_life_s=self.least_life_s)
        return None if token is None or token.reveal() == self.rejected else token.reveal()

    def usable(self, entry: ProfileEntry, *, now: float, at_least_s: float) -> str | None:
        """Return the token if it is not fresh, but not at its end either: better than none when it can't be renewed."""
        token, _, expires_at = entry.held(self.kind)
        if token is None or token.reveal() == self.rejected:
            return None
        return token.reveal() if expires_at is None or expires_at - now > at_least_s else None


def who_of(entry: ProfileEntry | None) -> dict[str, str | None]:
    """Return whose a profile is, as facts for the record."""
    if entry is None:
        return {}
    subject = (entry.claims or {}).get("sub")
    return {"issuer": entry.issuer, "client_id": entry.client_id, "subject": subject}


def principal_of(entry: ProfileEntry, claims: Mapping[str, Any]) -> Principal:
    """Return who the claims of the ID token name."""
    email, groups = claims.get("email"), claims.get("groups")
    return Principal(
        issuer=claims["iss"],
        subject=claims["sub"],
        audience=(entry.client_id,),
        email=email if isinstance(email, str) else None,
        email_verified=claims.get("email_verified") is True,
        groups=tuple(group for group in groups if isinstance(group, str)) if isinstance(groups, list) else (),
        scopes=entry.scopes if entry.granted_scopes is None else entry.granted_scopes,
        expires_at=entry.access_token_expires_at,
        claims=claims,
    )


def registration_of(
    entry: ProfileEntry, *, client_secret: Secret | None, client_key: SigningKey | None, vault: Vault
) -> Registration:
    """Return the client that the profile was signed in with, and what proves it.

    Args:
        entry: What the vault holds of the profile.
        client_secret: As it was given; else the environment and the keyring are asked, where the client has one.
        client_key: As it was given; else the vault is asked, where the entry names one.
        vault: Where the entry and the keys are.

    Raises:
        ConfigurationError: What proves the client is missing.
    """
    method, secret, secret_method = entry.client_authentication, None, None
    if method == "client_secret_basic" or method == "client_secret_post":  # noqa: PLR1714 - which types understand
        secret_method = method
        secret = find_client_secret(entry.issuer, entry.client_id, client_secret)
    if secret_method is not None and secret is None:
        message = (
            f"The client of profile {entry.profile!r} has a secret, which the vault never holds. Give it as "
            "client_secret or in DOORWARD_CLIENT_SECRET, or keep it in the keyring: doorward secret set."
        )
        raise ConfigurationError(message, field="client_secret")
    if method == "private_key_jwt":
        client_key = client_key or find_client_key(None, entry.client_key_name, vault)
    if method == "private_key_jwt" and client_key is None:
        message = f"The client of profile {entry.profile!r} signs its requests. Give its key as client_key."
        raise ConfigurationError(message, field="client_key")
    return Registration(
        issuer=entry.issuer,
        client_id=entry.client_id,
        client_secret=secret,
        client_key=client_key,
        secret_method=secret_method,
        scopes=entry.scopes,
        audience=entry.audience,
        resource=entry.resource,
        known_audiences=entry.known_audiences,
        insecure_loopback_http=entry.insecure_loopback_http,
        provider=entry.provider,
        client_certificate=as_certificate(entry.client_certificate, entry.client_certificate_key),
        security_profile=entry.security_profile,  # type: ignore[arg-type] # checked when the registration is made
    )
