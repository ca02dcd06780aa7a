"""Habits of well-known providers, as data: what each needs beyond the standard. No requests.

A provider is known by its host, or by the name that the person gives it. One that is in no table gets the standard and
nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from urllib.parse import SplitResult

__all__ = ["BY_HOST", "PROVIDERS", "STANDARD", "Habits", "habits_of", "with_habits"]


@dataclass(frozen=True, slots=True)
class Habits:
    """What one provider wants beyond the standard.

    Attributes:
        name: The provider, for people.
        authorization_parameters: Sent with every authorization request.
        consent_for_refresh_token: A refresh token (``offline_access``, ``access_type=offline``) is given only after a
            consent to this very request, as OIDC Core section 11 says it may be.
        redirect_uri: The loopback redirect URI without its port, as this provider's native clients register it.
        issuer_template: Another issuer that the metadata may name, with ``{tenantid}`` for the tenant.
        redirect_uri_on_refresh: The refresh request repeats the redirect URI.
        scope_on_refresh: The refresh request names the scopes again, or no ID token comes back.
        exchange_grant: How a service asks for a token in its caller's name, where the metadata do not tell.
    """

    name: str
    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    consent_for_refresh_token: bool = False
    redirect_uri: str = "http://127.0.0.1/callback"
    issuer_template: str | None = None
    redirect_uri_on_refresh: bool = False
    scope_on_refresh: bool = False
    exchange_grant: Literal["token-exchange", "jwt-bearer"] | None = None


STANDARD = Habits("standard")

# Entra ignores the port for localhost alone, and 127.0.0.1 can only be registered by editing the manifest.
_ENTRA = Habits("Microsoft Entra", redirect_uri="http://localhost", scope_on_refresh=True, exchange_grant="jwt-bearer")

PROVIDERS: Mapping[str, Habits] = {
    "auth0": Habits("Auth0"),
    "authelia": Habits("Authelia"),
    "authentik": Habits("authentik"),
    "b2c": replace(_ENTRA, name="Azure AD B2C"),
    "cilogon": Habits("CILogon"),
    "cognito": Habits("Amazon Cognito"),
    "dex": Habits("Dex"),
    "entra": _ENTRA,
    "gitlab": Habits("GitLab", redirect_uri_on_refresh=True),
    "globus": Habits("Globus", authorization_parameters={"access_type": "offline"}),
    # A second sign-in yields a refresh token only after a new consent.
    "google": Habits("Google", authorization_parameters={"access_type": "offline"}, consent_for_refresh_token=True),
    "indigo-iam": Habits("INDIGO IAM"),
    "keycloak": Habits("Keycloak"),
    # It drops offline_access without a word otherwise. So do Logto, which is made of it, Gluu, Janssen and oidcop.
    "oidc-provider": Habits("oidc-provider", consent_for_refresh_token=True),
    "okta": Habits("Okta"),
    "orcid": Habits("ORCID"),
    "zitadel": Habits("Zitadel"),
}
"""By the name that a person may give: what is self-hosted, or has a domain of one's own, no host tells."""

BY_HOST: Mapping[str, str] = {
    "aai.egi.eu": "keycloak",
    "accounts.google.com": "google",
    "auth.globus.org": "globus",
    "cilogon.org": "cilogon",
    "gitlab.com": "gitlab",
    "login.microsoftonline.com": "entra",
    "login.microsoftonline.us": "entra",
    "login.partner.microsoftonline.cn": "entra",
    "orcid.org": "orcid",
}
_BY_DOMAIN: Mapping[str, str] = {
    ".auth0.com": "auth0",
    ".b2clogin.com": "b2c",
    ".ciamlogin.com": "entra",
    ".okta.com": "okta",
    ".oktapreview.com": "okta",
}

_OF_MANY_TENANTS = frozenset({"/common/v2.0", "/organizations/v2.0", "/consumers/v2.0"})
_OF_ONE_TENANT = re.compile(r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0/?")


def habits_of(issuer: str, provider: str | None = None) -> Habits:
    """Return what ``issuer`` needs beyond the standard: as ``provider`` is named, else as its host shows.

    Raises:
        ConfigurationError: ``unknown_provider``.
    """
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    named = provider or BY_HOST.get(host) or next((_BY_DOMAIN[end] for end in _BY_DOMAIN if host.endswith(end)), None)
    if named is None:
        return STANDARD
    if named not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        message = f"provider can't be {printable(str(named))!r}. Leave it out, or name one of {known}."
        raise ConfigurationError(message, field="provider", reason="unknown_provider")
    habits = PROVIDERS[named]
    template = _issuer_template(named, parts)
    return habits if template is None else replace(habits, issuer_template=template)


def _issuer_template(provider: str, parts: SplitResult) -> str | None:
    """Return the issuer that Microsoft's metadata names where it is not the one asked: of the same host or tenant."""
    if provider == "b2c":  # asked by the tenant's name and a policy
        return f"{parts.scheme}://{parts.netloc}/{{tenantid}}/v2.0/"
    if provider == "entra" and parts.path in _OF_MANY_TENANTS:
        return f"{parts.scheme}://{parts.netloc}/{{tenantid}}/v2.0"
    tenant = _OF_ONE_TENANT.fullmatch(parts.path)
    if provider == "entra" and tenant and (parts.hostname or "").endswith(".ciamlogin.com"):  # asked by its name there
        return f"https://{tenant[1]}.ciamlogin.com/{tenant[1]}/v2.0"
    return None


def with_habits(habits: Habits, asked: Mapping[str, str], scopes: Collection[str]) -> dict[str, str]:
    """Return what an authorization request asks besides the protocol's own: the person's wishes, then habits.

    Consent is added to another ``prompt``, since a session without a refresh token soon ends; never to ``none``.
    """
    parameters = {**habits.authorization_parameters, **asked}
    offline = "offline_access" in scopes or parameters.get("access_type") == "offline"
    words = parameters.get("prompt", "").split()
    if habits.consent_for_refresh_token and offline and not {"consent", "none"} & {*words}:
        parameters["prompt"] = " ".join([*words, "consent"])
    return parameters
