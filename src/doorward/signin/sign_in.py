"""The front door for a person, sync and async: what may be asked of a sign-in, checked before anything happens.

The sign-in itself is ``interactive``'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, aside, run
from doorward.protocol.authorization import authorization_parameters
from doorward.protocol.reading.urls import url_flaw
from doorward.signin.interactive import SigningIn
from doorward.signin.loopback.sockets import ADDRESSES
from doorward.signin.prompt import Prompt, TerminalPrompt, in_notebook
from doorward.signin.registration import (
    DEFAULT_SCOPES,
    Registration,
    as_audiences,
    as_certificate,
    as_scopes,
    as_secret,
    needed_client_secret,
)
from doorward.signin.settings.client_keys import find_client_key
from doorward.signin.settings.profiles import read_profile
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import Secret
    from doorward.ports import Clock, Entropy
    from doorward.protocol.jwk import SigningKey
    from doorward.signin.interactive import Mode
    from doorward.signin.registration import SecretMethod, SecurityProfile, Use
    from doorward.signin.session import Session

__all__ = ["asign_in", "sign_in"]


def sign_in(  # noqa: PLR0913 - keyword-only, and each has a default
    issuer: str | None = None,
    client_id: str | None = None,
    *,
    client_secret: Secret | str | None = None,
    client_key: SigningKey | None = None,
    client_key_name: str | None = None,
    client_certificate: str | None = None,
    client_certificate_key: str | None = None,
    secret_method: SecretMethod | None = None,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    audience: str | None = None,
    resource: str | None = None,
    known_audiences: Sequence[str] = (),
    profile: str = "default",
    mode: Mode = "auto",
    ports: Sequence[int] = (),
    redirect_uri: str | None = None,
    timeout_s: float = 300,
    max_age_s: int | None = None,
    prompt: Prompt | str | None = None,
    login_hint: str | None = None,
    acr_values: str | None = None,
    ui_locales: str | None = None,
    parameters: Mapping[str, str] | None = None,
    provider: str | None = None,
    par: Use = "auto",
    dpop: Use = "auto",
    security_profile: SecurityProfile | None = None,
    insecure_loopback_http: bool = False,
    cool_down: bool = True,
    vault: Vault | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Session:
    """Sign a person in and keep the session in the vault. ``asign_in`` is its async twin.

    Args:
        issuer: The issuer URL, exactly as the provider writes it. Left out together with ``client_id``: what
            ``[profiles.NAME]`` in ``doorward.toml`` says, wherever an argument is not given or is its default.
        client_id: The client identifier registered there.
        client_secret: The secret of a confidential client. Never stored.
        client_key: The key of a client that signs assertions (``private_key_jwt``). Never stored.
        client_key_name: The name of such a key that is kept in the vault (``doorward client-key``). The session keeps
            to it.
        client_certificate: The file of the client's certificate for TLS (RFC 8705). Its path is kept.
        client_certificate_key: The file of its key, if that is another.
        secret_method: ``"client_secret_basic"`` or ``"client_secret_post"``; left out, what the provider lists first.
        scopes: What to ask for, exactly. Left out: the default, as far as the provider lists it.
        audience: The ``audience`` parameter, where the provider wants one.
        resource: The ``resource`` parameter (RFC 8707).
        known_audiences: Who else the ID token may be meant for, where the provider does not say in it that this client
            asked for it (``azp``). The issuer, the ``audience`` and the ``resource`` are known anyway.
        profile: The name the session is kept under.
        mode: ``"device"``: a code to enter on any device. ``"auto"``: the browser; where none opens, the address in
            words if somebody is at a terminal. ``"browser"``: the same, and in words wherever this runs.
        ports: Callback ports to try in this order; left out, any free one.
        redirect_uri: The loopback redirect URI as registered, without its port; left out, the provider's habit.
        timeout_s: How long to wait for the person, 1 to 3600 seconds.
        max_age_s: Ask the provider for a sign-in no older than this, in seconds; the ID token has to say so.
        prompt: A text is what the provider shows (OIDC Core 3.1.2.1): ``"select_account"``, ``"login"``, ``"consent"``,
            or ``"none"`` for nothing. An object speaks to the person here, in place of plain lines on standard error;
            ``parameters={"prompt": …}`` goes with one.
        login_hint: Who is expected to sign in, such as an e-mail address.
        acr_values: The ways to sign in that are wanted, by the provider's names, with spaces in between. The provider
            may choose another one: ``session.claims["acr"]`` says which.
        ui_locales: The languages for the provider's pages, such as ``"de en"``.
        parameters: Other authorization parameters, such as ``{"kc_idp_hint": "github"}``. What the protocol owns
            (``state``, ``scope``, …) is refused.
        provider: Whose habits to follow where the host does not tell: ``"gitlab"``, ``"oidc-provider"``,
            ``"keycloak"``, … The session keeps to it.
        par: Whether to push the authorization request (RFC 9126): ``"auto"`` where the provider offers it, ``"always"``
            or ``"never"``.
        dpop: Whether to have the tokens bound to a key (RFC 9449), so that nobody else can use them: ``"always"``,
            ``"never"``, or ``"auto"`` where the provider gives no others. A program that is given such a token alone
            can't use it either: see ``Session.authorization``.
        security_profile: ``"fapi2"``: all that the FAPI 2.0 Security Profile asks for, or nobody is signed in.
        insecure_loopback_http: Allow http to loopback addresses, for development.
        cool_down: Refuse to ask again soon after a sign-in that nobody answered (``reason="cooling_down"``). Switch it
            off only where a person has just asked for this sign-in.
        vault: Another vault than the default one.
        clock: For tests.
        entropy: For tests.

    Returns:
        The session, from which ``token()`` gives access tokens from now on.

    Raises:
        ConfigurationError: An argument is wrong; ``field`` names it.
        SignInError: The person said no, did not answer in time, or nobody is there to ask.
        InvalidCredential: The provider's ID token does not hold; the class says which rule.
        ProviderError: The provider answered wrongly.
        UnavailableError: The provider could not be reached, or another process is signing this profile in for too long.
        VaultError: The vault can't be used as it is.

    Source: OIDC Core 3.1, RFC 6749 4.1, RFC 7636, RFC 8252, RFC 8628, RFC 9207.
    """
    signing_in = _signing_in(**_completed(locals()))  # nothing else is there yet
    with HttpClient(**signing_in.registration.transport) as transport:
        return run(signing_in.flow(), transport, signing_in.clock)


async def asign_in(  # noqa: PLR0913 - keyword-only, and each has a default
    issuer: str | None = None,
    client_id: str | None = None,
    *,
    client_secret: Secret | str | None = None,
    client_key: SigningKey | None = None,
    client_key_name: str | None = None,
    client_certificate: str | None = None,
    client_certificate_key: str | None = None,
    secret_method: SecretMethod | None = None,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    audience: str | None = None,
    resource: str | None = None,
    known_audiences: Sequence[str] = (),
    profile: str = "default",
    mode: Mode = "auto",
    ports: Sequence[int] = (),
    redirect_uri: str | None = None,
    timeout_s: float = 300,
    max_age_s: int | None = None,
    prompt: Prompt | str | None = None,
    login_hint: str | None = None,
    acr_values: str | None = None,
    ui_locales: str | None = None,
    parameters: Mapping[str, str] | None = None,
    provider: str | None = None,
    par: Use = "auto",
    dpop: Use = "auto",
    security_profile: SecurityProfile | None = None,
    insecure_loopback_http: bool = False,
    cool_down: bool = True,
    vault: Vault | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Session:
    """Do as ``sign_in`` does, its async twin: the same arguments, and the event loop is not blocked."""
    signing_in = _signing_in(**(await aside(_completed, locals())))  # nothing else is there yet
    async with AsyncHttpClient(**signing_in.registration.transport) as transport:
        return await arun(signing_in.flow(), transport, signing_in.clock)


def _completed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked, with the rest from the profile that ``doorward.toml`` names if no issuer was given."""
    issuer, client_id = asked["issuer"], asked["client_id"]
    if issuer is None and client_id is None:
        named = read_profile(asked["profile"])
        defaults = {**(sign_in.__kwdefaults__ or {}), "issuer": None, "client_id": None}
        asked = {**asked, **{name: value for name, value in named.keywords.items() if asked[name] == defaults[name]}}
        if named.confidential and asked["client_secret"] is None:
            asked["client_secret"] = needed_client_secret(asked["issuer"], asked["client_id"])
    elif issuer is None or client_id is None:
        field = "issuer" if issuer is None else "client_id"
        message = f"{field} is missing: give both issuer and client_id, or neither and the name of a profile."
        raise ConfigurationError(message, field=field, reason="missing_setting")
    return asked


def _signing_in(  # noqa: PLR0913 - what the two doors take, a test holds them to it
    *,
    issuer: str,
    client_id: str,
    client_secret: Secret | str | None,
    client_key: SigningKey | None,
    client_key_name: str | None,
    client_certificate: str | None,
    client_certificate_key: str | None,
    secret_method: SecretMethod | None,
    scopes: Sequence[str],
    audience: str | None,
    resource: str | None,
    known_audiences: Sequence[str],
    profile: str,
    mode: Mode,
    ports: Sequence[int],
    redirect_uri: str | None,
    timeout_s: float,
    max_age_s: int | None,
    prompt: Prompt | str | None,
    login_hint: str | None,
    acr_values: str | None,
    ui_locales: str | None,
    parameters: Mapping[str, str] | None,
    provider: str | None,
    par: Use,
    dpop: Use,
    security_profile: SecurityProfile | None,
    insecure_loopback_http: bool,
    cool_down: bool,
    vault: Vault | None,
    clock: Clock | None,
    entropy: Entropy | None,
) -> SigningIn:
    """Check what was asked at either door."""
    clock = clock or SystemClock()
    vault = vault or Vault(clock=clock)
    registration = Registration(
        issuer=issuer,
        client_id=client_id,
        client_secret=as_secret(client_secret),
        client_key=find_client_key(client_key, client_key_name, vault),
        secret_method=secret_method,
        scopes=as_scopes(scopes),
        audience=audience,
        resource=resource,
        known_audiences=as_audiences(known_audiences),
        insecure_loopback_http=insecure_loopback_http,
        provider=provider,
        par=par,
        dpop=dpop,
        client_certificate=as_certificate(client_certificate, client_certificate_key),
        security_profile=security_profile,
    )
    if mode not in ("auto", "browser", "device"):
        raise ConfigurationError("mode must be 'auto', 'browser' or 'device'.", field="mode")
    if mode == "device" and security_profile is not None:
        message = "The FAPI 2.0 security profile has no sign-in with a device code: leave mode out."
        raise ConfigurationError(message, field="mode", reason="against_security_profile")
    if not 1 <= timeout_s <= 3600:  # noqa: PLR2004 - the documented range
        raise ConfigurationError("timeout_s must be between 1 and 3600 seconds.", field="timeout_s")
    if not isinstance(ports, Sequence) or not all(type(port) is int for port in ports):
        raise ConfigurationError("ports must be a list of numbers, such as [8080].", field="ports", reason="not_a_list")
    if max_age_s is not None and (type(max_age_s) is not int or max_age_s < 0):
        raise ConfigurationError("max_age_s must be whole seconds, 0 or more.", field="max_age_s", reason="bad_max_age")
    speaker: object = TerminalPrompt() if prompt is None or isinstance(prompt, str) else prompt
    if not isinstance(speaker, Prompt):
        message = "prompt must be a text for the provider, such as 'select_account', or an object that is a Prompt."
        raise ConfigurationError(message, field="prompt", reason="not_a_prompt")
    redirect_uri = redirect_uri or registration.habits.redirect_uri
    if url_flaw(redirect_uri, loopback_http=True) or not _is_ours(redirect_uri):
        message = (
            "redirect_uri must be http on 127.0.0.1, [::1] or localhost, without a query, such as "
            "http://127.0.0.1/callback."
        )
        raise ConfigurationError(message, field="redirect_uri", reason="redirect_uri_not_loopback")
    return SigningIn(
        registration=registration,
        client_key_name=client_key_name,
        profile=profile,
        mode=mode,
        ports=tuple(ports),
        redirect_uri=redirect_uri,
        timeout_s=timeout_s,
        max_age_s=max_age_s,
        parameters=authorization_parameters(
            prompt=prompt if isinstance(prompt, str) else None,
            login_hint=login_hint,
            acr_values=acr_values,
            ui_locales=ui_locales,
            parameters=parameters,
        ),
        cool_down=cool_down and not in_notebook(),  # there a person runs the cell again
        prompt=speaker,
        vault=vault,
        clock=clock,
        entropy=entropy or SystemEntropy(),
        started_at=clock.now(),
    )


def _is_ours(redirect_uri: str) -> bool:
    """Whether the listener can stand there: it speaks http, on loopback alone."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in ADDRESSES
