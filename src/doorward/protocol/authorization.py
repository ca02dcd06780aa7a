"""The authorization request that the browser opens, and the callback that it brings back. PKCE S256 always.

Nothing is read from a callback before its ``state`` is proven ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

from doorward.errors import CallbackRejected, ConfigurationError, InvalidResponse, SignInCancelled, printable
from doorward.model import Secret
from doorward.protocol.metadata import issuer_matches
from doorward.protocol.responses import oauth_error
from doorward.protocol.urls import url_flaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.protocol.metadata import ProviderMetadata

__all__ = ["PendingSignIn", "ValidatedCallback", "build_authorization_request", "validate_callback"]

_PURPOSE = "the authorization endpoint"
_RANDOM = re.compile(r"[A-Za-z0-9_-]{22,512}")  # 22 characters of base64url hold 128 bits
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")
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
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True)
class ValidatedCallback:
    """A code that came back for this very sign-in: ``state`` and ``iss`` were checked."""

    code: Secret
    pending: PendingSignIn


def build_authorization_request(
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
        scopes: What to ask for; none is allowed.
        state: At least 128 random bits, base64url.
        nonce: At least 128 random bits, base64url, other than ``state``.
        code_verifier: 43 to 128 unreserved characters, random.
        audience: For which API (Auth0, Authelia and others).
        resource: For which API (RFC 8707).
        prompt: ``login``, ``consent``, ``select_account`` or a list of them.
        max_age_s: How long ago the person may have signed in at the provider.
        extra: Further parameters; none of the above.

    Raises:
        ConfigurationError: ``field`` names the argument.
        InvalidResponse: ``no_asymmetric_algorithm``: an ID token of this provider could never be verified.

    Source: RFC 6749 section 4.1.1, RFC 7636 section 4, RFC 8252 section 7, OIDC Core section 3.1.2.1.
    """
    _check(redirect_uri, state, nonce, code_verifier, scopes, max_age_s)
    if "openid" in scopes and not metadata.id_token_signing_algorithms:
        message = (
            "The provider announces no asymmetric signature for ID tokens, only such as anyone with the client secret "
            "could make. Choose a signing key (such as RS256) for this application at the provider."
        )
        raise InvalidResponse(message, reason="no_asymmetric_algorithm")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.reveal().encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes) or None,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "audience": audience,
        "resource": resource,
        "prompt": prompt,
        "max_age": None if max_age_s is None else str(max_age_s),
    }
    endpoint = metadata.authorization_endpoint
    taken = set(parameters) | {name for name, _ in parse_qsl(urlsplit(endpoint).query, keep_blank_values=True)}
    for name, _ in extra:
        if name in taken:
            message = (
                f"The extra authorization parameter {printable(name)} is set already: give it by its own argument."
            )
            raise ConfigurationError(message, field="extra", reason="extra_overrides")
        taken.add(name)
    query = urlencode([(name, value) for name, value in parameters.items() if value is not None] + list(extra))
    pending = PendingSignIn(
        issuer=metadata.issuer,
        state=state,
        nonce=nonce,
        code_verifier=code_verifier,
        redirect_uri=redirect_uri,
        iss_required=metadata.iss_parameter_supported,
        max_age_s=max_age_s,
    )
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}", pending


def validate_callback(pending: PendingSignIn, query: str) -> ValidatedCallback:
    """Hold a callback against the sign-in it claims to answer.

    A rejection whose reason begins with ``state_`` or is ``query_too_large`` says nothing about this sign-in: somebody
    else's request, after which the real callback may still come. Every other error ends the sign-in.

    Args:
        pending: The sign-in that waits.
        query: What stands after the ``?`` of the URL that was called, still encoded.

    Raises:
        CallbackRejected: ``query_too_large``, ``state_missing``, ``state_repeated``, ``state_mismatch``; then
            ``parameter_repeated``, ``iss_mismatch``, ``iss_missing``, ``code_missing``, ``code_malformed``.
        SignInCancelled: ``access_denied``: the person, or the provider for them, said no.
        OAuthError: Any other error the provider sent back.
        ProviderUnavailable: ``server_error``, ``temporarily_unavailable``.

    Source: RFC 6749 sections 4.1.2 and 10.12, RFC 9207 section 2.4.
    """
    parameters = _parameters(query)
    states = [value for name, value in parameters if name == "state"]
    if not states:
        _reject("The callback has no state: it does not answer this sign-in.", "state_missing")
    if len(states) > 1:
        _reject("The callback has more than one state: it does not answer this sign-in.", "state_repeated")
    if not hmac.compare_digest(states[0].encode(errors="backslashreplace"), pending.state.encode()):
        _reject("The callback has another state: it does not answer this sign-in.", "state_mismatch")

    values = dict(parameters)
    if len(values) < len(parameters):
        _reject("The callback has a parameter twice, which is not allowed. Sign in again.", "parameter_repeated")
    issuer = values.get("iss")
    if issuer is not None and not issuer_matches(pending.issuer, issuer):
        message = f"The callback is of another provider, {printable(issuer)}: someone may be mixing up two sign-ins."
        _reject(f"{message} Do not continue; sign in again.", "iss_mismatch")
    if issuer is None and pending.iss_required:
        _reject(
            "The callback does not name its provider, though this provider always does. Sign in again.", "iss_missing"
        )

    error = values.get("error")
    if error == "access_denied":
        description = printable(values.get("error_description", ""))
        message = (
            f"The sign-in was denied{': ' + description if description else ''}. Sign in again if this was a mistake."
        )
        raise SignInCancelled(message, reason="access_denied")
    if error:
        raise oauth_error(error, values.get("error_description"), purpose=_PURPOSE)
    code = values.get("code")
    if not code:
        _reject("The callback has neither a code nor an error. Sign in again.", "code_missing")
    if not _CODE.fullmatch(code):
        _reject("The code in the callback is not of the allowed form. Sign in again.", "code_malformed")
    return ValidatedCallback(Secret(code), pending)


def _parameters(query: str) -> list[tuple[str, str]]:
    if len(query) <= _LONGEST_QUERY:
        try:
            return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            pass
    _reject("The callback is larger than any provider sends. Sign in again.", "query_too_large")


def _reject(message: str, reason: str) -> NoReturn:
    raise CallbackRejected(message, reason=reason)


def _check(
    redirect_uri: str, state: str, nonce: str, code_verifier: Secret, scopes: Sequence[str], max_age_s: int | None
) -> None:
    flaw = url_flaw(redirect_uri, loopback_http=True, query=True)
    if flaw:
        message = "The redirect URI must be http on a loopback address, or https, without a fragment."
        raise ConfigurationError(message, field="redirect_uri", reason=flaw)
    for name, value in (("state", state), ("nonce", nonce)):
        if not _RANDOM.fullmatch(value):
            message = f"{name} must be at least 22 random base64url characters (128 bits)."
            raise ConfigurationError(message, field=name, reason="weak_random")
    if not _CODE_VERIFIER.fullmatch(code_verifier.reveal()):
        message = "code_verifier must be 43 to 128 random unreserved characters (RFC 7636)."
        raise ConfigurationError(message, field="code_verifier", reason="weak_random")
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        message = "A scope is one word of printable ASCII without quotes and backslashes. Give scopes as a sequence."
        raise ConfigurationError(message, field="scopes", reason="bad_scope")
    if max_age_s is not None and max_age_s < 0:
        raise ConfigurationError("max_age_s must not be negative.", field="max_age_s", reason="negative")
