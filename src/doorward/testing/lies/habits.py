"""What real providers do besides the standard, one habit a name. Allowed, common, or at least out there: no lies."""

from __future__ import annotations

import dataclasses
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from doorward.testing.lies.bends import REMOVED, put, put_pair, toggle_slash
from doorward.testing.provider.switches import Switch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.testing.provider.switches import Hook, Moment, Point
    from doorward.testing.provider.web import Reply

__all__ = ["HABITS", "HABIT_SWITCHES"]

_TENANT = "11111111-2222-3333-4444-555555555555"
_TWENTY_YEARS_S = 631_138_519
_PENDING = {"authorization_pending", "slow_down"}


def _habit(
    name: str,
    description: str,
    *touches: str,
    hooks: dict[Point, Hook] | None = None,
    rules: dict[str, Any] | None = None,
) -> Switch:
    return Switch(name, description, hooks or {}, rules or {}, frozenset(touches))


def _issuer_and_metadata() -> tuple[Switch, ...]:
    advertised = "authorization_response_iss_parameter_supported"
    return (
        _habit(
            "issuer_template",
            "Entra: the metadata's issuer holds a literal {tenantid}, tokens the tenant",
            "metadata.issuer",
            "id_token.payload.iss",
            hooks={
                "metadata": put("issuer", lambda old, _: f"{old.rstrip('/')}/{{tenantid}}/v2.0"),
                "id_token_claims": put("iss", lambda old, _: f"{old.rstrip('/')}/{_TENANT}/v2.0"),
            },
        ),
        _habit(
            "id_token_issuer_without_scheme",
            "Google once: iss without https://",
            "id_token.payload.iss",
            hooks={"id_token_claims": put("iss", lambda old, _: urlsplit(old).netloc)},
        ),
        _habit(
            "access_token_issuer_slash",
            "INDIGO: the access token's iss differs from the issuer by a slash",
            "access_token.payload.iss",
            hooks={"access_token_claims": put("iss", lambda old, _: toggle_slash(old))},
        ),
        _metadata("metadata_scopes_openid_only", "ORCID: lists openid alone", "scopes_supported", ["openid"]),
        _metadata("metadata_without_scopes", "GitHub: lists no scopes", "scopes_supported", REMOVED),
        _metadata("metadata_without_pkce", "Entra, Globus: PKCE works, unlisted", "code_challenge_methods_supported",
                  REMOVED),
        _metadata(
            "metadata_pkce_plain_first",
            "Google, Auth0: lists plain before S256",
            "code_challenge_methods_supported",
            ["plain", "S256"],
        ),
        _habit(
            "metadata_pkce_misspelt",
            "CILogon: lists PKCE under a misspelt name",
            "metadata.code_challenge_methods_supported",
            "metadata.code_challenge_method_supported",
            hooks={"metadata": _misspell_pkce},
        ),
        _metadata("metadata_lists_weak_algorithms", "INDIGO: none and HS256 beside the real ones",
                  "id_token_signing_alg_values_supported", lambda old, _: ["none", "HS256", *old]),
        _metadata("metadata_without_auth_methods", "lists no authentication methods: Basic is meant",
                  "token_endpoint_auth_methods_supported", REMOVED),
        _metadata("iss_unadvertised", "Google since 2026: iss in the callback, not announced", advertised, REMOVED),
        _habit(
            "no_iss_parameter",
            "Entra, Dex, ORCID: no iss in the callback, none announced",
            f"metadata.{advertised}",
            "callback.iss",
            hooks={"metadata": put(advertised, REMOVED), "callback": put_pair("iss", None)},
        ),
        _metadata("no_end_session", "Google, Authelia: no end_session endpoint", "end_session_endpoint", REMOVED),
        _habit("logout_other_name", "Cognito: logout_uri and not post_logout_redirect_uri", "logout_http",
               rules={"logout_redirect_parameter": "logout_uri"}),
        _metadata("no_revocation", "Entra, Dex: no revocation endpoint", "revocation_endpoint", REMOVED),
        _metadata("no_device_flow", "Cognito, ORCID: no device flow", "device_authorization_endpoint", REMOVED),
        _metadata("no_userinfo", "no userinfo endpoint", "userinfo_endpoint", REMOVED),
        _habit(
            "redirect_slash_added",
            "Entra: a redirect URI without a path comes back with a slash",
            "redirect",
            hooks={"redirect_uri": lambda old, _: old if urlsplit(old).path else f"{old}/"},
        ),
    )  # fmt: skip


def _refreshing() -> tuple[Switch, ...]:
    return (
        _habit("refresh_token_by_parameter", "Google, Globus: access_type=offline, not a scope",
               "token.refresh_token", rules={"refresh_tokens": "by_parameter"}),
        _habit("refresh_token_always", "Keycloak, GitLab: always gives one", rules={"refresh_tokens": "always"}),
        _habit("refresh_token_never", "GitHub: never gives one", "token.refresh_token",
               rules={"refresh_tokens": "never"}),
        _habit("offline_access_refused", "Cognito, Dex: an unlisted scope is an error", "metadata.scopes_supported",
               "callback", rules={"allowed_scopes": ("openid", "email", "profile")}),
        _habit("offline_access_ignored", "CILogon: offline_access has no effect", "token.scope", "token.refresh_token",
               "access_token.payload.scope", rules={"ignored_scopes": ("offline_access",)}),
        _habit("offline_access_needs_consent", "oidc-provider, Gluu: no offline_access without prompt=consent",
               "token.scope", "token.refresh_token", "access_token.payload.scope",
               rules={"offline_access_needs_consent": True}),
        _habit("prompt_login_or_none", "OneLogin: takes no other prompt", "metadata.prompt_values_supported",
               rules={"prompts": ("none", "login")}),
        _habit("refresh_token_stays", "Google, Okta: a refresh brings no new one",
               "refresh.refresh_token", "reuse", "reuse_http", rules={"rotation": "same"}),
        _habit("old_refresh_token_stays_valid", "Entra, Keycloak: new one, old one good", "reuse", "reuse_http",
               rules={"rotation": "old_stays_valid"}),
        _habit("rotation_grace", "Okta: the old one is good for 30 s more", "reuse", "reuse_http",
               rules={"rotation_grace_s": 30}),
        _habit("refresh_kills_access_token", "GitLab: a refresh ends the old access token", "old_token",
               rules={"refresh_kills_access_token": True}),
        _habit("refresh_needs_redirect_uri", "GitLab: a refresh must repeat redirect_uri", "refresh", "refresh_http",
               rules={"refresh_needs_redirect_uri": True}),
        _habit("dead_refresh_token_invalid_request", "Dex: a dead refresh token is invalid_request, in its own words",
               "reuse.error", "reuse.error_description", rules={"dead_refresh_token_error": "invalid_request"}),
        _habit("dead_refresh_token_interaction_required", "Entra: a dead refresh token is interaction_required",
               "reuse.error", rules={"dead_refresh_token_error": "interaction_required"}),
        _habit("dead_refresh_token_server_error", "some answer 500 for a dead refresh token", "reuse.error",
               "reuse_http.status", rules={"dead_refresh_token_error": "server_error"}),
        _habit("refresh_without_id_token", "Google sometimes: no ID token on refresh", "refresh.id_token",
               rules={"refresh_gives_id_token": False}),
        _habit("refresh_repeats_nonce", "Dex: the refreshed ID token carries the first nonce",
               "refresh.id_token.payload.nonce", rules={"refresh_repeats_nonce": True}),
    )  # fmt: skip


def _lifetimes_and_tokens() -> tuple[Switch, ...]:
    def expires_in(name: str, description: str, value: Any) -> Switch:
        return _habit(name, description, "token.expires_in", hooks={"token_response": put("expires_in", value)})

    def access(name: str, description: str, member: str, value: Any) -> Switch:
        touched = f"access_token.payload.{member}"
        return _habit(name, description, touched, hooks={"access_token_claims": put(member, value)})

    exp, lifetime = "access_token.payload.exp", "token.expires_in"
    return (
        _habit("id_token_two_minutes", "GitLab: the ID token lives for 2 minutes", "id_token.payload.exp",
               rules={"id_token_lifetime_s": 120}),
        _habit("access_token_five_minutes", "Keycloak: the access token lives for 5 minutes", exp, lifetime,
               rules={"access_token_lifetime_s": 300}),
        _habit("access_token_twenty_years", "ORCID: the access token lives for 20 years", exp, lifetime,
               rules={"access_token_lifetime_s": _TWENTY_YEARS_S}),
        expires_in("expires_in_random", "Entra: 60 to 90 minutes, at random",
                   lambda old, moment: old + 7 + int(moment.now) % 1793),
        expires_in("expires_in_string", "old Azure: expires_in is a string of digits", lambda old, _: str(old)),
        expires_in("expires_in_missing", "GitHub: no expires_in", REMOVED),
        _habit("token_type_lower_case", "many: token_type is bearer", "token.token_type",
               hooks={"token_response": put("token_type", "bearer")}),
        _habit("scope_missing", "many: no scope in the answer when all was granted", "token.scope",
               hooks={"token_response": put("scope", REMOVED)}),
        _habit("access_token_opaque", "Google, GitLab, Authelia: opaque access tokens", "access_token",
               rules={"access_token_format": "opaque"}),
        _habit("access_token_typ_jwt", "Entra, Auth0: typ is JWT", "access_token.header.typ",
               rules={"access_token_format": "jwt"}),
        _habit("access_token_untyped", "Okta: no typ", "access_token.header.typ",
               rules={"access_token_format": "untyped"}),
        _habit("access_token_shaped_as_id_token", "Dex: the access token looks like an ID token",
               "access_token.header.typ", "access_token.payload.aud", "access_token.payload.client_id",
               "access_token.payload.scope", "access_token.payload.jti", "access_token.payload.at_hash",
               rules={"access_token_format": "jwt"}, hooks={"access_token_claims": _shaped_as_id_token}),
        access("access_token_without_audience", "Cognito, INDIGO: no aud", "aud", REMOVED),
        access("access_token_audience_list", "Auth0: aud lists the userinfo endpoint too", "aud",
               lambda old, moment: [old, moment.core.endpoint("userinfo")]),
        access("access_token_scp_string", "Entra: scp, a string, beside scope", "scp", "read write"),
        access("access_token_scp_list", "Okta: scp, a list, beside scope", "scp", ["read", "write"]),
    )  # fmt: skip


def _device_flow() -> tuple[Switch, ...]:
    def device(name: str, description: str, member: str, value: Any) -> Switch:
        touched = f"device.{member}"
        return _habit(name, description, touched, hooks={"device_authorization": put(member, value)})

    return (
        _habit("device_verification_url", "Google: verification_url and not verification_uri",
               "device.verification_uri", "device.verification_url", hooks={"device_authorization": _verification_url}),
        device("device_without_complete", "Entra: no complete address", "verification_uri_complete", REMOVED),
        device("device_without_interval", "some: no interval, 5 s is meant", "interval", REMOVED),
        _habit("device_odd_denial", "Entra: authorization_declined", "denied.error",
               hooks={"token_error": _rename_error("access_denied", "authorization_declined")}),
        _habit("device_odd_code", "Entra: bad_verification_code", "bad_code.error",
               hooks={"token_error": _rename_error("invalid_grant", "bad_verification_code")}),
        _habit("slow_down_with_interval", "GitHub: slow_down brings the new interval", "slow_down.interval",
               hooks={"token_error": _add_interval}),
        _habit("token_errors_with_200", "GitHub: errors come with status 200", "errors_http.status",
               hooks={"token_reply": _error_with_200}),
        _habit("token_errors_form_encoded", "GitHub: errors are form-encoded", "errors", "errors_http.content_type",
               hooks={"token_reply": _error_as_form}),
    )  # fmt: skip


def _keys_and_claims() -> tuple[Switch, ...]:
    def keys(name: str, description: str, change: Hook) -> Switch:
        hook = put("keys", lambda old, moment: [change(jwk, moment) for jwk in old])
        return _habit(name, description, "jwks.keys", hooks={"jwks": hook})

    def user(name: str, description: str, member: str, value: Any) -> Switch:
        change = put(member, value)
        paths = (f"id_token.payload.{member}", f"userinfo.{member}")
        return _habit(name, description, *paths, hooks={"id_token_claims": change, "userinfo": change})

    return (
        keys("keys_without_alg", "Entra: keys have no alg", put("alg", REMOVED)),
        keys("keys_without_kid", "one key, without kid", put("kid", REMOVED)),
        keys("keys_with_issuer", "Entra: each key names its issuer",
             put("issuer", lambda _, moment: moment.core.issuer)),
        _habit("keys_for_thirty_days", "Keycloak: max-age of 30 days", "jwks_http.cache_control",
               rules={"jwks_max_age_s": 2_592_000}),
        _habit("signs_rs512", "Globus: RS512 alone", "metadata.id_token_signing_alg_values_supported", "jwks.keys",
               "id_token.header.alg", "id_token.header.kid", "access_token.header.alg",
               "access_token.header.kid", rules={"signing_algorithm": "RS512"}),
        user("groups_overage", "Entra: too many groups, so only a pointer to them", "_claim_names", {"groups": "src1"}),
        user("emails_list", "B2C: emails, a list", "emails", ["alice@example.org"]),
        user("email_never_verified", "Authentik: email_verified is always false", "email_verified", value=False),
        user("email_verified_string", "some: email_verified is a string", "email_verified", "true"),
        _habit("claims_at_userinfo_only", "Authelia: e-mail, profile and groups only at userinfo",
               "id_token.payload.email", "id_token.payload.email_verified", "id_token.payload.groups",
               "id_token.payload.name", "id_token.payload.preferred_username",
               rules={"user_claims_in_id_token": False}),
    )  # fmt: skip


def _metadata(name: str, description: str, member: str, value: Any) -> Switch:
    return _habit(name, description, f"metadata.{member}", hooks={"metadata": put(member, value)})


def _misspell_pkce(metadata: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    methods = metadata["code_challenge_methods_supported"]
    rest = {name: value for name, value in metadata.items() if name != "code_challenge_methods_supported"}
    return {**rest, "code_challenge_method_supported": methods}


def _shaped_as_id_token(claims: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    rest = {name: value for name, value in claims.items() if name not in {"client_id", "scope", "jti"}}
    return {**rest, "aud": claims["client_id"], "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}


def _verification_url(answer: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    rest = {name: value for name, value in answer.items() if name != "verification_uri"}
    return {**rest, "verification_url": answer["verification_uri"]}


def _rename_error(standard: str, odd: str) -> Hook:
    def hook(document: dict[str, Any], moment: Moment) -> dict[str, Any]:
        device = moment.grant_type.endswith(":device_code")
        return {**document, "error": odd} if device and document["error"] == standard else document

    return hook


def _add_interval(document: dict[str, Any], _moment: Moment) -> dict[str, Any]:
    return {**document, "interval": 10} if document["error"] == "slow_down" else document


def _error_with_200(reply: Reply, _moment: Moment) -> Reply:
    return dataclasses.replace(reply, status=200) if reply.status == 400 else reply  # noqa: PLR2004 - an HTTP status


def _error_as_form(reply: Reply, _moment: Moment) -> Reply:
    if reply.status != 400:  # noqa: PLR2004 - an HTTP status
        return reply
    body = urlencode(json.loads(reply.body)).encode()
    return dataclasses.replace(reply, body=body, content_type="application/x-www-form-urlencoded")


HABIT_SWITCHES: Mapping[str, Switch] = MappingProxyType(
    {
        switch.name: switch
        for switch in (
            *_issuer_and_metadata(),
            *_refreshing(),
            *_lifetimes_and_tokens(),
            *_device_flow(),
            *_keys_and_claims(),
        )
    }
)

HABITS: Mapping[str, str] = MappingProxyType({name: switch.description for name, switch in HABIT_SWITCHES.items()})
