"""Which habits real providers have together, so that a test can try one provider whole. Names of ``HABITS``, as data.

What cannot be a habit of the issuer is left to the test: redirect rules and secrets belong to its client, the path and
the trailing slash to the issuer's address.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IMITATIONS"]

IMITATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "auth0": ("metadata_pkce_plain_first", "access_token_audience_list"),
        "authelia": ("access_token_opaque", "claims_at_userinfo_only", "no_end_session"),
        "cilogon": ("metadata_pkce_misspelt", "offline_access_ignored", "refresh_token_always", "no_end_session"),
        "cognito": (
            "offline_access_refused",
            "refresh_token_always",
            "refresh_token_stays",
            "access_token_without_audience",
            "no_device_flow",
            "logout_other_name",
        ),
        "dex": (
            "no_iss_parameter",
            "rotation_grace",
            "refresh_repeats_nonce",
            "dead_refresh_token_invalid_request",
            "access_token_shaped_as_id_token",
            "no_revocation",
            "no_end_session",
        ),
        "entra": (
            "metadata_without_pkce",
            "no_iss_parameter",
            "redirect_slash_added",
            "keys_without_alg",
            "keys_with_issuer",
            "old_refresh_token_stays_valid",
            "dead_refresh_token_interaction_required",
            "expires_in_random",
            "access_token_typ_jwt",
            "access_token_scp_string",
            "device_without_complete",
            "device_odd_denial",
            "device_odd_code",
            "no_revocation",
        ),
        "gitlab": (
            "refresh_token_always",
            "refresh_needs_redirect_uri",
            "refresh_kills_access_token",
            "id_token_two_minutes",
            "access_token_opaque",
        ),
        "globus": (
            "metadata_without_pkce",
            "no_iss_parameter",
            "refresh_token_by_parameter",
            "signs_rs512",
            "no_device_flow",
            "no_end_session",
        ),
        "google": (
            "metadata_pkce_plain_first",
            "iss_unadvertised",
            "refresh_token_by_parameter",
            "refresh_token_stays",
            "refresh_without_id_token",
            "access_token_opaque",
            "device_verification_url",
            "no_end_session",
        ),
        "indigo": (
            "metadata_lists_weak_algorithms",
            "no_iss_parameter",
            "refresh_token_stays",
            "access_token_issuer_slash",
            "access_token_without_audience",
            "no_end_session",
        ),
        "keycloak": (
            "refresh_token_always",
            "old_refresh_token_stays_valid",
            "access_token_five_minutes",
            "access_token_typ_jwt",
            "keys_for_thirty_days",
        ),
        "okta": ("rotation_grace", "access_token_untyped", "access_token_scp_list"),
        "orcid": (
            "metadata_scopes_openid_only",
            "metadata_without_pkce",
            "no_iss_parameter",
            "refresh_token_always",
            "access_token_opaque",
            "access_token_twenty_years",
            "no_device_flow",
        ),
    }
)
