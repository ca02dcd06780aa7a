"""The front door for a person, sync and async: what may be asked of a sign-in, checked before anything happens.

The sign-in itself is ``interactive``'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doorward.errors import ConfigurationError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, run
from doorward.protocol.reading.urls import url_flaw
from doorward.signin.interactive import SigningIn
from doorward.signin.loopback.sockets import ADDRESSES
from doorward.signin.prompt import TerminalPrompt, in_notebook
from doorward.signin.providers import habits_of
from doorward.signin.registration import DEFAULT_SCOPES, Registration, as_audiences, as_scopes, as_secret
from doorward.system import SystemClock, SystemEntropy
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.model import Secret
    from doorward.ports import Clock, Entropy
    from doorward.protocol.jwk import SigningKey
    from doorward.signin.interactive import Mode
    from doorward.signin.prompt import Prompt
    from doorward.signin.registration import SecretMethod
    from doorward.signin.session import Session

__all__ = ["asign_in", "sign_in"]


def sign_in(  # noqa: PLR0913 - keyword-only, and each has a default
    issuer: str,
    client_id: str,
    *,
    client_secret: Secret | str | None = None,
    client_key: SigningKey | None = None,
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
    insecure_loopback_http: bool = False,
    cool_down: bool = True,
    prompt: Prompt | None = None,
    vault: Vault | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Session:
    """Sign a person in and keep the session in the vault. ``asign_in`` is its async twin.

    Args:
        issuer: The issuer URL, exactly as the provider writes it.
        client_id: The client identifier registered there.
        client_secret: The secret of a confidential client. Never stored.
        client_key: The key of a client that signs assertions (``private_key_jwt``). Never stored.
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
        max_age_s: Ask the provider for a sign-in no older than this, in seconds.
        insecure_loopback_http: Allow http to loopback addresses, for development.
        cool_down: Refuse to ask again soon after a sign-in that nobody answered (``reason="cooling_down"``). Switch it
            off only where a person has just asked for this sign-in.
        prompt: How to speak to the person; left out, plain lines on standard error.
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
    signing_in = _signing_in(**locals())  # nothing else is there yet
    with HttpClient(insecure_loopback_http=insecure_loopback_http) as transport:
        return run(signing_in.flow(), transport, signing_in.clock)


async def asign_in(  # noqa: PLR0913 - keyword-only, and each has a default
    issuer: str,
    client_id: str,
    *,
    client_secret: Secret | str | None = None,
    client_key: SigningKey | None = None,
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
    insecure_loopback_http: bool = False,
    cool_down: bool = True,
    prompt: Prompt | None = None,
    vault: Vault | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Session:
    """Do as ``sign_in`` does, its async twin: the same arguments, and the event loop is not blocked."""
    signing_in = _signing_in(**locals())  # nothing else is there yet
    async with AsyncHttpClient(insecure_loopback_http=insecure_loopback_http) as transport:
        return await arun(signing_in.flow(), transport, signing_in.clock)


def _signing_in(  # noqa: PLR0913 - what the two doors take, a test holds them to it
    *,
    issuer: str,
    client_id: str,
    client_secret: Secret | str | None,
    client_key: SigningKey | None,
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
    insecure_loopback_http: bool,
    cool_down: bool,
    prompt: Prompt | None,
    vault: Vault | None,
    clock: Clock | None,
    entropy: Entropy | None,
) -> SigningIn:
    """Check what was asked at either door."""
    registration = Registration(
        issuer=issuer,
        client_id=client_id,
        client_secret=as_secret(client_secret),
        client_key=client_key,
        secret_method=secret_method,
        scopes=as_scopes(scopes),
        audience=audience,
        resource=resource,
        known_audiences=as_audiences(known_audiences),
        insecure_loopback_http=insecure_loopback_http,
    )
    if mode not in ("auto", "browser", "device"):
        raise ConfigurationError("mode must be 'auto', 'browser' or 'device'.", field="mode")
    if not 1 <= timeout_s <= 3600:  # noqa: PLR2004 - the documented range
        raise ConfigurationError("timeout_s must be between 1 and 3600 seconds.", field="timeout_s")
    if not isinstance(ports, Sequence) or not all(type(port) is int for port in ports):
        raise ConfigurationError("ports must be a list of numbers, such as [8080].", field="ports", reason="not_a_list")
    redirect_uri = redirect_uri or habits_of(issuer).redirect_uri
    if url_flaw(redirect_uri, loopback_http=True) or not _is_ours(redirect_uri):
        message = (
            "redirect_uri must be http on 127.0.0.1, [::1] or localhost, without a query, such as "
            "http://127.0.0.1/callback."
        )
        raise ConfigurationError(message, field="redirect_uri", reason="redirect_uri_not_loopback")
    clock = clock or SystemClock()
    return SigningIn(
        registration=registration,
        profile=profile,
        mode=mode,
        ports=tuple(ports),
        redirect_uri=redirect_uri,
        timeout_s=timeout_s,
        max_age_s=max_age_s,
        cool_down=cool_down and not in_notebook(),  # there a person runs the cell again
        prompt=prompt or TerminalPrompt(),
        vault=vault or Vault(clock=clock),
        clock=clock,
        entropy=entropy or SystemEntropy(),
        started_at=clock.now(),
    )


def _is_ours(redirect_uri: str) -> bool:
    """Whether the listener can stand there: it speaks http, on loopback alone."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in ADDRESSES
