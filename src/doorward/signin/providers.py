"""Habits of well-known providers, as data: what each needs beyond the standard. No behaviour, no requests.

An issuer that is not in the table gets the standard and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BY_HOST", "STANDARD", "Habits", "habits_of"]


@dataclass(frozen=True, slots=True)
class Habits:
    """What one provider wants beyond the standard.

    Attributes:
        name: The provider, for people.
        authorization_parameters: Sent with every authorization request.
        prompt: The ``prompt`` parameter of every authorization request.
        consent_for_offline_access: The scope offline_access is asked for with ``prompt=consent``, as OIDC Core section
            11 says it must be.
        redirect_uri: The loopback redirect URI without its port, as this provider's native clients register it.
        issuer_template: The literal issuer of multi-tenant metadata, with ``{tenantid}`` for the tenant.
        redirect_uri_on_refresh: The refresh request repeats the redirect URI.
        scope_on_refresh: The refresh request names the scopes again, or no ID token comes back.
    """

    name: str = "standard"
    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    consent_for_offline_access: bool = True
    redirect_uri: str = "http://127.0.0.1/callback"
    issuer_template: str | None = None
    redirect_uri_on_refresh: bool = False
    scope_on_refresh: bool = False


STANDARD = Habits()

_ENTRA_TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"

BY_HOST: Mapping[str, Habits] = {
    # A second sign-in yields a refresh token only after a new consent.
    "accounts.google.com": Habits(name="Google", authorization_parameters={"access_type": "offline"}, prompt="consent"),
    "auth.globus.org": Habits(name="Globus", authorization_parameters={"access_type": "offline"}),
    "gitlab.com": Habits(name="GitLab", redirect_uri_on_refresh=True),
    # Entra ignores the port for localhost alone, and 127.0.0.1 can only be registered by editing the manifest. Asked
    # for consent, it stops everybody whose administrator has consented for them.
    "login.microsoftonline.com": Habits(
        name="Microsoft Entra",
        consent_for_offline_access=False,
        redirect_uri="http://localhost",
        scope_on_refresh=True,
    ),
}

_ENTRA_SHARED = frozenset(
    f"https://login.microsoftonline.com/{tenant}/v2.0" for tenant in ("common", "organizations", "consumers")
)


def habits_of(issuer: str) -> Habits:
    """Return what ``issuer`` needs beyond the standard, judged by its host alone."""
    habits = BY_HOST.get(urlsplit(issuer).hostname or "", STANDARD)
    return replace(habits, issuer_template=_ENTRA_TEMPLATE) if issuer in _ENTRA_SHARED else habits
