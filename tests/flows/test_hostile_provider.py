"""S8 and S17: a provider that changes one thing at a time. Each lie is refused, by the class and reason that fits it.

``REFUSED`` covers every lie of DevIssuer that a sign-in or a refresh can meet, but for those in ``HARMLESS``, which
change nothing that we rely on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from people import Onlooker

import doorward
from doorward import errors
from doorward.testing import MISBEHAVIOURS, DevIssuer
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = """
InvalidResponse issuer_mismatch:
    metadata_issuer_with_slash metadata_issuer_other_case metadata_issuer_other_host
InvalidResponse missing_member:
    pushed_request_uri_missing pushed_expires_in_missing
    metadata_issuer_missing metadata_token_endpoint_missing metadata_authorization_endpoint_missing
    metadata_jwks_uri_missing token_access_token_missing
InvalidResponse wrong_member_type:
    pushed_request_uri_number pushed_request_uri_empty pushed_request_uri_line_break
    metadata_issuer_in_list metadata_token_endpoint_number metadata_scopes_string metadata_scopes_numbers
    metadata_algorithms_string metadata_auth_methods_object metadata_iss_parameter_string
    token_access_token_number token_expires_in_words token_expires_in_true
    token_refresh_token_number token_refresh_token_control_characters token_access_token_empty
    token_access_token_control_characters token_access_token_not_ascii id_token_number
InvalidResponse bad_endpoint:
    metadata_authorization_endpoint_http metadata_token_endpoint_http metadata_jwks_uri_http
    metadata_jwks_uri_link_local metadata_jwks_uri_file metadata_authorization_endpoint_script
    metadata_authorization_endpoint_option metadata_token_endpoint_with_user
    metadata_token_endpoint_with_fragment metadata_token_endpoint_with_line_break
    metadata_token_endpoint_relative
InvalidResponse no_asymmetric_algorithm:
    metadata_algorithms_symmetric
InvalidResponse invalid_json:
    metadata_duplicate_issuer metadata_empty metadata_list metadata_not_json metadata_not_utf8 metadata_deep
    metadata_nan jwks_empty jwks_list jwks_not_json jwks_not_utf8 jwks_deep jwks_nan token_expires_in_huge
    token_expires_in_infinity token_list token_empty token_duplicate_member token_deep
InvalidResponse redirect:
    metadata_redirect metadata_moved_inside jwks_redirect jwks_moved_inside token_redirect
InvalidResponse not_json:
    metadata_html jwks_html token_html
InvalidResponse response_too_large:
    metadata_huge jwks_many_keys jwks_huge token_access_token_huge token_huge metadata_gzip_bomb jwks_gzip_bomb
InvalidResponse unexpected_status:
    jwks_not_found token_error_types token_error_missing
InvalidResponse no_metadata:
    metadata_not_found
InvalidResponse jwk_set_without_keys:
    jwks_without_keys jwks_keys_object
UnknownKey unknown_kid:
    jwks_no_key jwks_kid_number id_token_kid_unknown id_token_kid_path
UnknownKey jwk_symmetric:
    jwks_only_oct
UnknownKey jwk_private:
    jwks_private_key
UnknownKey jwk_use_mismatch:
    jwks_for_encryption
UnknownKey jwk_alg_mismatch:
    jwks_alg_mismatch
UnknownKey jwk_kty_unsupported:
    jwks_unknown_type
BadSignature bad_signature:
    jwks_other_key id_token_signature_flipped id_token_signed_with_another_key id_token_kid_of_another_key
UnknownKey ambiguous_kid:
    jwks_duplicate_kid
InvalidResponse unsupported_token_type:
    token_type_mac
InvalidResponse negative_duration:
    pushed_expires_in_negative
    token_expires_in_negative
OAuthError invalid_request:
    pushed_error_with_200
InvalidResponse token_not_bound:
    proof_unbound
OAuthError oauth_error:
    proof_nonce_missing proof_nonce_malformed proof_nonce_loop
OAuthError invalid_grant:
    token_error_with_200 callback_code_unknown
CallbackRejected iss_missing:
    callback_iss_missing
CallbackRejected iss_mismatch:
    callback_iss_wrong callback_iss_with_slash
CallbackRejected parameter_repeated:
    callback_iss_repeated callback_code_repeated
SignInTimeout callback_missing:
    callback_state_changed callback_state_missing callback_state_repeated callback_error_without_state
CallbackRejected code_missing:
    callback_code_missing callback_code_empty
SignInCancelled access_denied:
    callback_error_beside_code
ProviderUnavailable server_error:
    callback_error_escapes
OAuthError oauth_error:
    token_error_escapes
UnknownIssuer issuer_mismatch:
    id_token_wrong_issuer id_token_issuer_with_slash id_token_issuer_prefix id_token_refresh_changed_issuer
Malformed iss_malformed:
    id_token_issuer_in_list
MissingClaim iss_missing:
    id_token_missing_issuer
WrongAudience audience_mismatch:
    id_token_wrong_audience id_token_audience_list_without_us id_token_refresh_changed_audience
Malformed aud_malformed:
    id_token_audience_number id_token_audience_nested
MissingClaim aud_missing:
    id_token_missing_audience
Expired expired:
    id_token_expired
MissingClaim exp_missing:
    id_token_missing_exp
Malformed exp_malformed:
    id_token_exp_string id_token_exp_true id_token_exp_list
Malformed json_integer_range:
    id_token_exp_huge
Malformed json_syntax:
    id_token_exp_infinity id_token_payload_not_json id_token_payload_not_utf8
NotYetValid iat_in_future:
    id_token_iat_in_future
Malformed iat_malformed:
    id_token_iat_string
MissingClaim iat_missing:
    id_token_missing_iat
NotYetValid nbf_in_future:
    id_token_nbf_in_future
MissingClaim sub_missing:
    id_token_missing_subject
Malformed sub_malformed:
    id_token_empty_subject id_token_subject_number
Malformed token_too_long:
    id_token_too_big
WrongAudience authorized_party_missing:
    id_token_audience_list_without_azp
WrongAudience authorized_party_mismatch:
    id_token_wrong_azp
WrongNonce nonce_mismatch:
    id_token_wrong_nonce id_token_refresh_changed_nonce
WrongNonce nonce_missing:
    id_token_missing_nonce
Malformed nonce_malformed:
    id_token_nonce_in_list
WrongTokenHash at_hash_mismatch:
    id_token_wrong_at_hash
Malformed at_hash_malformed:
    id_token_at_hash_number
MissingClaim auth_time_missing:
    id_token_missing_auth_time
WrongAuthTime auth_time_too_old:
    id_token_old_auth_time
Malformed auth_time_malformed:
    id_token_auth_time_string
Malformed header_kid:
    id_token_kid_number
Malformed header_crit:
    id_token_crit_header
Malformed header_b64:
    id_token_b64_header
Malformed header_enc:
    id_token_enc_header
Malformed header_x5u:
    id_token_x5u_header
Malformed header_zip:
    id_token_zip_header
Malformed json_repeated_name:
    id_token_duplicate_member
Malformed json_too_deep:
    id_token_deep_payload
Malformed json_not_object:
    id_token_payload_list
Malformed signature_missing:
    id_token_signature_missing
Malformed base64_alphabet:
    id_token_not_base64 id_token_trailing_padding
Malformed token_parts:
    id_token_two_parts
Malformed jwe:
    id_token_five_parts
AlgorithmNotAllowed alg_none:
    id_token_alg_none id_token_alg_none_odd_case
AlgorithmNotAllowed alg_symmetric:
    id_token_alg_hs256_public_key id_token_symmetric_key
AlgorithmNotAllowed alg_not_allowed:
    id_token_alg_unannounced
Malformed header_jwk:
    id_token_embedded_key
UnknownKey jwk_rsa_too_small:
    id_token_weak_key
SubjectChanged subject_changed:
    id_token_refresh_changed_subject
InvalidResponse id_token_missing:
    id_token_missing
WrongType typ_mismatch:
    id_token_of_type_access_token
"""
"""Class and reason, and the lies that they refuse."""

HARMLESS = {
    "id_token_kid_missing": "each key of the provider that fits is tried, four at most",
    "metadata_response_types_without_code": "the provider says whether it takes the request when it gets it",
    "jwks_key_string": "what is no key is left out of the set; the token's own key is still there",
    "jwks_small_order_key": "a weak key is left out of the set; the token's own key is still there",
    "token_scope_list": "Twitch gives scopes so, and they say the same",
    "token_type_missing": "the token is used as Bearer and in no other way",
    "id_token_refresh_changed_auth_time": "nothing is decided by it after the sign-in",
}
ELSEWHERE = ("access_token_", "userinfo_", "device_")
"""Lies that another flow meets: the guard's, the device flow's."""


def lies() -> Iterator[tuple[str, type[errors.DoorwardError], str]]:
    for line in REFUSED.strip().splitlines():
        if line.endswith(":"):
            error, reason = line.removesuffix(":").split()
        else:
            yield from ((lie, getattr(errors, error), reason) for lie in line.split())


LIES = list(lies())


def test_the_table_is_whole() -> None:
    told = {lie for lie in MISBEHAVIOURS if not lie.startswith(ELSEWHERE)}
    assert {lie for lie, _, _ in LIES} | set(HARMLESS) == told
    assert len({(error, reason) for _, error, reason in LIES}) >= 40
    assert len({lie for lie, _, _ in LIES}) == len(LIES) >= 100


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize(("lie", "error", "reason"), LIES, ids=[lie for lie, _, _ in LIES])
def test_a_lie_is_refused_by_its_own_error(
    issuer: DevIssuer, doorward_home: Path, lie: str, error: type[errors.DoorwardError], reason: str
) -> None:
    def sign_in(**options: Any) -> doorward.Session:
        return doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, prompt=Onlooker(), **options)

    options = {"max_age_s": 600} if "auth_time" in lie else {}
    if reason == "callback_missing":
        options["timeout_s"] = 1  # a callback without our state is nobody's: the wait goes on to its end
    if lie.startswith("id_token_refresh"):
        session = sign_in()
        kept = Vault().get("default")
        issuer.misbehave(lie)
        with pytest.raises(error) as refused:
            session.renew(session.token())
        entry = Vault().get("default")
        assert (entry.access_token, entry.id_token, entry.claims) == (kept.access_token, kept.id_token, kept.claims)
        assert entry.ended_at is None
    else:
        if lie.startswith("proof_"):
            issuer.change(dpop="required", dpop_nonces=True)
            options["dpop"] = "always"
        if lie.startswith("pushed_"):
            issuer.change(pushed_requests="offered")
        issuer.misbehave(lie)
        with pytest.raises(error) as refused:
            sign_in(**options)
        assert Vault().get("default") is None
    assert (type(refused.value), refused.value.reason) == (error, reason)
    assert refused.value.message.isprintable()


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("lie", HARMLESS)
def test_a_harmless_lie_changes_nothing(issuer: DevIssuer, lie: str) -> None:
    session = doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, prompt=Onlooker())
    issuer.misbehave(lie)
    session.renew(session.token())
    assert session.principal.subject == "alice"
