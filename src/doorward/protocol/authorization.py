"""The authorization request that the browser opens, and the callback that it brings back. PKCE S256 always.

Nothing is read from a callback before its ``state`` is proven ours.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, urlsplit

from doorward.errors import (
    CallbackRejected,
    ConfigurationError,
    InvalidResponse,
    SignInCancelled,
    SignInRequired,
    printable,
)
from doorward.model import Secret
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.client_auth import SecretBasic, build_form_request
from doorward.protocol.metadata import issuer_matches
from doorward.protocol.reading.answers import Answer
from doorward.protocol.reading.responses import oauth_error
from doorward.protocol.reading.urls import FLAWS, encode_form, url_flaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorward.model import HttpRequest, HttpResponse
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata

__all__ = [
    "PendingSignIn",
    "ValidatedCallback",
    "authorization_parameters",
    "build_authorization_request",
    "build_pushed_request",
    "challenge_of",
    "join_scopes",
    "parse_pushed_response",
    "validate_callback",
]

_RANDOM = re.compile(r"[A-Za-z0-9_-]{22,512}")  # 22 characters of base64url hold 128 bits
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")
_SAID_NO = frozenset({"access_denied", "consent_required", "interaction_required"})
"""How providers say that the person stopped or declined: the last two, in a browser where they could have gone on."""
_WANTS_THE_PERSON = _SAID_NO - {"access_denied"} | {"login_required", "account_selection_required"}
"""What an answer to ``prompt=none`` is when the person would have to be asked (OIDC Core section 3.1.2.6)."""
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_OWNED = {
    "scope": "scopes (--scope)",
    "audience": "audience (--audience)",
    "resource": "resource (--resource)",
    "max_age": "max_age_s (--max-age)",
    "redirect_uri": "redirect_uri (--redirect-uri)",
    "client_id": "client_id (--client-id)",
} | dict.fromkeys(
    (
        *("response_type", "response_mode", "state", "nonce", "code_challenge", "code_challenge_method"),
        *("code_verifier", "request", "request_uri", "registration", "dpop_jkt", "grant_type", "code", "device_code"),
        *("client_secret", "client_assertion", "client_assertion_type", "access_token", "refresh_token", "password"),
    )
)
"""What no free parameter may say: what a sign-in stands on, or no address may hold; and which argument says it."""
_PUSH = "the pushed authorization request endpoint"
_LONGEST_PUSHED_LIFE_S = 86_400
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
    silent: bool = False


@dataclass(frozen=True, slots=True)
class ValidatedCallback:
    """A code that came back for this very sign-in: ``state`` and ``iss`` were checked."""

    code: Secret
    pending: PendingSignIn


def authorization_parameters(
    *,
    prompt: str | None = None,
    login_hint: str | None = None,
    acr_values: str | None = None,
    ui_locales: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return what an authorization request says besides the protocol's own, checked and by name.

    Args:
        prompt: As ``prompt``, ``login_hint``, ``acr_values`` and ``ui_locales`` are defined in OIDC Core 3.1.2.1.
        login_hint: Who is expected to sign in.
        acr_values: The ways to sign in that are wanted, with spaces in between.
        ui_locales: The languages for the pages, with spaces in between.
        parameters: Any others. None can say what the protocol owns, in any spelling that a server may take for it.

    Raises:
        ConfigurationError: ``field`` names the argument; ``parameters_not_a_mapping``, ``bad_parameter``,
            ``reserved_parameter``, ``parameter_repeated``, ``prompt_none_not_alone``.
    """
    own = {"prompt": prompt, "login_hint": login_hint, "acr_values": acr_values, "ui_locales": ui_locales}
    asked = {name: value for name, value in own.items() if value is not None}
    given: object = {} if parameters is None else parameters
    if not isinstance(given, Mapping):
        message = "parameters must be a mapping of names to texts, such as {'hd': 'example.org'}."
        raise ConfigurationError(message, field="parameters", reason="parameters_not_a_mapping")
    for name, value in given.items():
        _check_name(name, asked)
        asked[name] = value
    for name, value in asked.items():
        if not isinstance(value, str) or not value or not value.isprintable():
            field = name if name in own else "parameters"
            message = f"{name} must be a text of printable characters. Correct it, or leave it out."
            raise ConfigurationError(message, field=field, reason="bad_parameter")
    words = asked.get("prompt", "").split()
    if "none" in words and len(words) > 1:
        message = "prompt='none' asks that the person is shown nothing: it can't stand beside another word."
        raise ConfigurationError(message, field="prompt", reason="prompt_none_not_alone")
    return asked


def _check_name(name: object, taken: Mapping[str, str]) -> None:
    """Refuse a free parameter that the request has anyway. Some servers read ``Scope`` or ``client.id`` as that too."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = f"parameters has a name that is none: {printable(str(name))}. Use letters, digits and '_.:-'."
        raise ConfigurationError(message, field="parameters", reason="bad_parameter")
    meant = re.sub(r"[.:-]", "_", name.lower())
    if meant in _OWNED:
        own = _OWNED[meant]
        remedy = f"give it as {own}" if own else "Doorward says it by itself, or it is too secret for an address"
        message = f"parameters can't hold {name}: {remedy}."
        raise ConfigurationError(message, field="parameters", reason="reserved_parameter")
    if meant in {each.lower() for each in taken}:
        message = f"The parameter {name} is given twice. Give it once."
        raise ConfigurationError(message, field="parameters", reason="parameter_repeated")


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
    max_age_s: int | None = None,
    dpop_jkt: str | None = None,
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
        max_age_s: How long ago the person may have signed in at the provider.
        dpop_jkt: The thumbprint of the key that the code is bound to (RFC 9449 section 10).
        extra: Further parameters, such as ``authorization_parameters`` gives; none that is set already.

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
        "max_age": None if max_age_s is None else str(max_age_s),
        "dpop_jkt": dpop_jkt,
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
        silent=parameters.get("prompt") == "none",
    )
    return _with_query(endpoint, parameters), pending


def build_pushed_request(metadata: ProviderMetadata, client: Client, url: str, *, now: float, jti: str) -> HttpRequest:
    """Push what ``url``, made by ``build_authorization_request``, would have the browser say.

    Raises:
        InvalidResponse: ``missing_member`` or ``bad_endpoint``: there is no place to push it to.

    Source: RFC 9126 section 2.1.
    """
    endpoint = metadata.need("pushed_authorization_request_endpoint")
    asked = parse_qsl(url[len(metadata.need("authorization_endpoint")) + 1 :], keep_blank_values=True)
    if not isinstance(client.authentication, SecretBasic):  # of all others, the proof names the client in the form
        asked = [(name, value) for name, value in asked if name != "client_id"]
    return build_form_request(endpoint, _PUSH, asked, client, issuer=metadata.issuer, now=now, jti=jti)


def parse_pushed_response(
    response: HttpResponse, *, metadata: ProviderMetadata, client_id: str, request: HttpRequest, now: float
) -> str:
    """Return the URL to open in place of the one that was pushed.

    Raises:
        ProviderUnavailable, OAuthError, InvalidResponse: See ``responses.read_object``; ``missing_member``,
            ``wrong_member_type``, ``negative_duration``.

    Source: RFC 9126 sections 2.2 and 4.
    """
    answer = Answer.read(response, request=request, now=now)
    answer.seconds("expires_in", most=_LONGEST_PUSHED_LIFE_S)
    request_uri = answer.token("request_uri").reveal()  # no secret, but of the same letters
    said = {"client_id": client_id, "request_uri": request_uri}
    return _with_query(metadata.need("authorization_endpoint"), said)


def _with_query(endpoint: str, parameters: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{encode_form(parameters.items())}"


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
        SignInRequired: The person has to be asked, and ``prompt=none`` forbade it.
        OAuthError: Any other error that the provider sent back.
        ProviderUnavailable: ``server_error``, ``temporarily_unavailable``.

    Source: RFC 6749 sections 4.1.2 and 10.12, RFC 9207 section 2.4.
    """
    parameters = _parameters_of_this_sign_in(pending, query)
    _check_issuer(pending, parameters.get("iss"))
    error = parameters.get("error")
    if pending.silent and error in _WANTS_THE_PERSON:
        message = "The provider wants to ask the person, which prompt='none' forbids. Sign in without it."
        raise SignInRequired(message, reason=error)
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
