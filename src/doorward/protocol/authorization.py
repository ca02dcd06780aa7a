"""The authorization request that the browser opens, and the callback that it brings back. PKCE S256 always.

Nothing is read from a callback before its ``state`` is proven ours.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, urlsplit

from doorward.errors import CallbackRejected, ConfigurationError, InvalidResponse, SignInCancelled, printable
from doorward.model import Secret
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.metadata import issuer_matches
from doorward.protocol.reading.responses import oauth_error
from doorward.protocol.reading.urls import FLAWS, encode_form, url_flaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.protocol.metadata import ProviderMetadata

__all__ = [
    "PendingSignIn",
    "ValidatedCallback",
    "build_authorization_request",
    "challenge_of",
    "join_scopes",
    "validate_callback",
]

_RANDOM = re.compile(r"[A-Za-z0-9_-]{22,512}")  # 22 characters of base64url hold 128 bits
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")
_SAID_NO = frozenset({"access_denied", "consent_required", "interaction_required"})
"""How providers say that the person stopped or declined: the last two, in a browser where they could have gone on."""
_LONGEST_QUERY = 16_384
_MOST_PARAMETERS = 50


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """One sign-in that waits for its callback. What must stay between us and the provider shows in no ``repr``."""

    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: Secret = field(repr=False)
    redirect_uri: str
    iss_required: bool = False


@dataclass(frozen=True, slots=True)
class ValidatedCallback:
    """A code that came back for this very sign-in: ``state`` and ``iss`` were checked."""

    code: Secret
    pending: PendingSignIn


def build_authorization_request(  # noqa: PLR0913 - the request's parameters, by keyword
    metadata: ProviderMetadata,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    nonce: str,
    code_verifier: Secret,
    audience: str | None = None,
    resource: str | None = None,
    prompt: str | None = None,
    max_age_s: int | None = None,
    extra: Sequence[tuple[str, str]] = (),
) -> tuple[str, PendingSignIn]:
    """Build the URL to open in the browser, and what its callback will be held against.

    Args:
        metadata: The provider.
        client_id: The client.
        redirect_uri: Where the provider sends the browser back: http on loopback, or https.
        scopes: What to ask for; may be empty.
        state: At least 128 random bits, base64url.
        nonce: The same.
        code_verifier: 43 to 128 random unreserved characters.
        audience: For which API the tokens shall be (Auth0, Authelia and others).
        resource: The same, as a URI (RFC 8707).
        prompt: ``login``, ``consent``, ``select_account``, or several of them with spaces in between.
        max_age_s: How long ago the person may have signed in at the provider.
        extra: Further parameters, none that is set already.

    Raises:
        ConfigurationError: ``field`` names the argument.
        InvalidResponse: ``missing_member`` or ``bad_endpoint``: the provider has no place to sign in with a browser;
            ``no_asymmetric_algorithm``: no ID token of this provider could ever be verified.

    Source: RFC 6749 section 4.1.1, RFC 7636 section 4, RFC 8252 section 7, OIDC Core section 3.1.2.1.
    """
    flaw = url_flaw(redirect_uri, loopback_http=True, query=True)
    if flaw:
        message = f"The redirect URI {FLAWS[flaw]}. Give an https address, or http on 127.0.0.1, [::1] or localhost."
        raise ConfigurationError(message, field="redirect_uri", reason=flaw)
    _check_random(state, nonce, code_verifier)
    if max_age_s is not None and max_age_s < 0:
        raise ConfigurationError("max_age_s must not be negative.", field="max_age_s", reason="negative")
    if "openid" in scopes and not metadata.id_token_signing_algorithms:
        message = (
            "The provider announces no asymmetric signature for ID tokens, only what anyone with the client secret "
            "could sign. Choose a signing key (such as RS256) for this application at the provider."
        )
        raise InvalidResponse(message, reason="no_asymmetric_algorithm")
    optional = {
        "scope": join_scopes(scopes),
        "audience": audience,
        "resource": resource,
        "prompt": prompt,
        "max_age": None if max_age_s is None else str(max_age_s),
    }
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge_of(code_verifier),
        "code_challenge_method": "S256",
    } | {name: value for name, value in optional.items() if value is not None}
    endpoint = metadata.need("authorization_endpoint")
    taken = {*parameters, *(name for name, _ in parse_qsl(urlsplit(endpoint).query, keep_blank_values=True))}
    for name, value in extra:
        if name in taken:
            message = f"The extra parameter {printable(name)} is set already: give it once, by its own argument."
            raise ConfigurationError(message, field="extra", reason="parameter_repeated")
        taken.add(name)
        parameters[name] = value
    pending = PendingSignIn(
        issuer=metadata.issuer,
        state=state,
        nonce=nonce,
        code_verifier=code_verifier,
        redirect_uri=redirect_uri,
        iss_required=metadata.iss_parameter_supported,
    )
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{encode_form(parameters.items())}", pending


def challenge_of(code_verifier: Secret) -> str:
    """Return the S256 code challenge (RFC 7636 section 4.2)."""
    return encode_base64url(hashlib.sha256(code_verifier.reveal().encode()).digest())


def join_scopes(scopes: Sequence[str] | None) -> str | None:
    """Return the ``scope`` parameter, or None for no scopes.

    Raises:
        ConfigurationError: A scope has characters that scopes can't have, or ``scopes`` is one string.

    Source: RFC 6749 section 3.3.
    """
    if isinstance(scopes, str) or not all(_SCOPE.fullmatch(scope) for scope in scopes or ()):
        message = "A scope is one word of printable ASCII without quotes and backslashes. Give each scope by itself."
        raise ConfigurationError(message, field="scopes", reason="bad_scope")
    return " ".join(scopes) if scopes else None


def validate_callback(pending: PendingSignIn, query: str) -> ValidatedCallback:
    """Hold a callback against the sign-in that waits.

    A rejection whose reason begins with ``state_`` says nothing about this sign-in: it was somebody else's request, and
    the real callback may still come. Every other error is an answer to this sign-in, and ends it.

    Args:
        pending: The sign-in that waits.
        query: What follows the ``?`` in the URL that was called, still encoded.

    Raises:
        CallbackRejected: ``state_unreadable``, ``state_missing``, ``state_repeated``, ``state_mismatch``; then
            ``parameter_repeated``, ``iss_mismatch``, ``iss_missing``, ``code_missing``, ``code_malformed``.
        SignInCancelled: The person, or a policy of the provider, said no: ``access_denied``, ``consent_required``,
            ``interaction_required``.
        OAuthError: Any other error that the provider sent back.
        ProviderUnavailable: ``server_error``, ``temporarily_unavailable``.

    Source: RFC 6749 sections 4.1.2 and 10.12, RFC 9207 section 2.4.
    """
    parameters = _parameters_of_this_sign_in(pending, query)
    _check_issuer(pending, parameters.get("iss"))
    error = parameters.get("error")
    if error in _SAID_NO:
        description = printable(parameters.get("error_description", ""))
        told = f" ({description})" if description else ""
        message = f"The sign-in was denied{told}. If that was a mistake, sign in again."
        raise SignInCancelled(message, reason=error)
    if error:
        raise oauth_error(error, parameters.get("error_description"), purpose="the authorization endpoint")
    code = parameters.get("code")
    if not code:
        _reject("The callback has neither a code nor an error. Sign in again.", "code_missing")
    if not _CODE.fullmatch(code):
        _reject("The code in the callback is too long or not printable. Sign in again.", "code_malformed")
    return ValidatedCallback(Secret(code), pending)


def _parameters_of_this_sign_in(pending: PendingSignIn, query: str) -> Mapping[str, str]:
    """Compare ``state`` before anything else, in constant time; return all parameters, each of them once."""
    stranger = "so it does not belong to this sign-in and was ignored."
    if len(query) > _LONGEST_QUERY or query.count("&") >= _MOST_PARAMETERS:
        _reject(f"The callback is too large, {stranger}", "state_unreadable")
    pairs = parse_qsl(query, keep_blank_values=True)
    states = [value for name, value in pairs if name == "state"]
    if not states:
        _reject(f"The callback has no state, {stranger}", "state_missing")
    if len(states) > 1:
        _reject(f"The callback has more than one state, {stranger}", "state_repeated")
    if not hmac.compare_digest(states[0].encode(errors="backslashreplace"), pending.state.encode()):
        _reject(f"The callback has another state, {stranger}", "state_mismatch")
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        _reject("The callback has a parameter twice, which is not allowed. Sign in again.", "parameter_repeated")
    return parameters


def _check_issuer(pending: PendingSignIn, issuer: str | None) -> None:
    if issuer is None and pending.iss_required:
        message = "The callback does not name its issuer (iss), though this provider always does. Sign in again."
        _reject(message, "iss_missing")
    if issuer is not None and not issuer_matches(pending.issuer, issuer):
        message = f"The callback is of another issuer, {printable(issuer)}: somebody may be mixing up two sign-ins."
        _reject(f"{message} Do not go on with it; sign in again.", "iss_mismatch")


def _reject(message: str, reason: str) -> NoReturn:
    raise CallbackRejected(message, reason=reason)


def _check_random(state: str, nonce: str, code_verifier: Secret) -> None:
    for name, value in (("state", state), ("nonce", nonce)):
        if not _RANDOM.fullmatch(value):
            message = f"{name} must be 22 or more random base64url characters (128 bits)."
            raise ConfigurationError(message, field=name, reason="not_random")
    if not _CODE_VERIFIER.fullmatch(code_verifier.reveal()):
        message = "code_verifier must be 43 to 128 random unreserved characters."
        raise ConfigurationError(message, field="code_verifier", reason="not_random")
