"""What the provider knows us as: one client at one issuer, with the scopes and the audience it asks for.

A value, checked when made. The client secret travels in it as a Secret and is never stored (S10).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from doorward.errors import ConfigurationError, KeyringLocked, KeyringUnavailable, printable
from doorward.keyring.problems import NO_KEYRING
from doorward.model import Secret
from doorward.protocol.client_auth import Client, SecretBasic, SecretPost, choose_authentication
from doorward.protocol.jwk import SigningKey
from doorward.protocol.metadata import check_issuer_url
from doorward.signin.providers import habits_of
from doorward.signin.settings.client_secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.providers import Habits

__all__ = [
    "DEFAULT_SCOPES",
    "Registration",
    "SecretMethod",
    "SecurityProfile",
    "Transport",
    "Use",
    "as_audiences",
    "as_certificate",
    "as_scopes",
    "as_secret",
    "find_client_secret",
    "needed_client_secret",
    "read_client_key",
]

_log = logging.getLogger("doorward.registration")

SecretMethod = Literal["client_secret_basic", "client_secret_post"]

SecurityProfile = Literal["fapi2"]

Use = Literal["auto", "always", "never"]
"""When to use what makes a sign-in stronger (decision 18)."""


class Transport(TypedDict):
    """What an HTTP client is made with."""

    insecure_loopback_http: bool
    client_certificate: tuple[str, str] | None


DEFAULT_SCOPES = ("openid", "email", "profile", "offline_access")
"""Asked for when the caller names no scopes; those that the provider does not list are then left out."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One client at one issuer.

    Args:
        issuer: The issuer URL, exactly as the provider writes it.
        client_id: The client identifier.
        client_secret: The secret of a confidential client.
        client_key: The key of a client that signs assertions (``private_key_jwt``).
        secret_method: How the secret is sent, where the client is registered for one way alone; else the provider's
            metadata decides.
        scopes: What to ask for. The very tuple ``DEFAULT_SCOPES`` means "our own choice", see ``scopes_for``.
        audience: The ``audience`` parameter (Auth0 and others).
        resource: The ``resource`` parameter (RFC 8707).
        known_audiences: Who else the ID token may be meant for, where it does not say that we asked for it (``azp``).
        insecure_loopback_http: Allow http for loopback addresses, for development.
        provider: Whose habits to follow where the host does not tell, one of ``providers.PROVIDERS``.
        par: When to push authorization requests (RFC 9126).
        dpop: When to bind tokens to a key (RFC 9449).
        client_certificate: The files of the client's certificate for TLS, and of its key (RFC 8705).
        security_profile: ``"fapi2"`` demands all that the FAPI 2.0 Security Profile asks for.

    Raises:
        ConfigurationError: A field is wrong; ``field`` names it.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None = None
    client_key: SigningKey | None = None
    secret_method: SecretMethod | None = None
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    audience: str | None = None
    resource: str | None = None
    known_audiences: tuple[str, ...] = ()
    insecure_loopback_http: bool = False
    provider: str | None = None
    par: Use = "auto"
    dpop: Use = "auto"
    client_certificate: tuple[str, str] | None = None
    security_profile: SecurityProfile | None = None

    def __post_init__(self) -> None:
        check_issuer_url(self.issuer, insecure_loopback_http=self.insecure_loopback_http)
        _ = self.habits
        if not self.client_id or not self.client_id.isprintable():
            message = "client_id is empty or has control characters: give the client ID the provider registered."
            raise ConfigurationError(message, field="client_id")
        if self.client_secret is not None and self.client_key is not None:
            message = "Give client_secret or client_key, not both: a client proves itself in one way."
            raise ConfigurationError(message, field="client_key")
        if self.client_certificate is not None and (self.client_secret is not None or self.client_key is not None):
            message = "Give client_certificate or another proof, not both: a client proves itself in one way."
            raise ConfigurationError(message, field="client_certificate", reason="two_authentications")
        self._check_profile()
        for name, use in {"par": self.par, "dpop": self.dpop}.items():
            if use not in get_args(Use):
                message = f"{name} must be 'auto', 'always' or 'never'."
                raise ConfigurationError(message, field=name, reason="bad_use")
        if self.secret_method not in (None, "client_secret_basic", "client_secret_post"):
            message = "secret_method must be 'client_secret_basic' or 'client_secret_post', or left out."
            raise ConfigurationError(message, field="secret_method")
        if self.client_secret is not None and not (self.client_secret and self.client_secret.reveal().isprintable()):
            message = (
                "client_secret is empty, or has a line break or other control characters. Give it without, or leave it "
                "out for a public client."
            )
            raise ConfigurationError(message, field="client_secret")
        if any(not scope or not scope.isascii() or not scope.isprintable() or " " in scope for scope in self.scopes):
            message = "scopes must be non-empty words of printable ASCII, such as ('openid', 'email')."
            raise ConfigurationError(message, field="scopes")

    def _check_profile(self) -> None:
        if self.security_profile not in (None, "fapi2"):
            message = "security_profile must be 'fapi2', or left out."
            raise ConfigurationError(message, field="security_profile", reason="unknown_security_profile")
        for name, use in {"par": self.par, "dpop": self.dpop}.items():
            if self.security_profile is not None and use == "never":
                message = f"{name}='never' is not what the FAPI 2.0 security profile allows: leave it out."
                raise ConfigurationError(message, field=name, reason="against_security_profile")

    @property
    def habits(self) -> Habits:
        """What this provider wants beyond the standard."""
        return habits_of(self.issuer, self.provider)

    @property
    def transport(self) -> Transport:
        """What an HTTP client is made with that asks in this client's name."""
        return {
            "insecure_loopback_http": self.insecure_loopback_http,
            "client_certificate": self.client_certificate,
        }

    @property
    def expected_audiences(self) -> tuple[str, ...]:
        """Who may be in the audience of an ID token beside this client: whom tokens are for, and who was named."""
        return tuple(name for name in (self.audience, self.resource) if name is not None) + self.known_audiences

    def scopes_for(self, supported: Sequence[str] | None, *, openid: bool = True) -> tuple[str, ...]:
        """Return the scopes to send, given the provider's ``scopes_supported`` (None when it does not say).

        What the caller asked for is always sent. Of our own defaults, what the provider does not list is left out:
        some refuse a whole request for one scope they do not know. A server that does not speak OpenID Connect is
        asked for those alone that it lists.
        """
        if self.scopes is not DEFAULT_SCOPES or (openid and supported is None):
            return self.scopes
        listed = {*(supported or ()), "openid"} if openid else {*(supported or ())} - {"openid"}
        return tuple(scope for scope in self.scopes if scope in listed)

    def client_for(self, metadata: ProviderMetadata) -> Client:
        """Return the client with the way to authenticate that this provider takes."""
        if self.client_secret is not None and self.secret_method is not None:
            method = SecretBasic if self.secret_method == SecretBasic.method else SecretPost
            return Client(self.client_id, method(self.client_secret))
        authentication = choose_authentication(
            metadata.token_endpoint_auth_methods,
            client_secret=self.client_secret,
            signing_key=self.client_key,
            certificate=self.client_certificate is not None,
        )
        return Client(self.client_id, authentication)


def as_secret(value: Secret | str | None) -> Secret | None:
    """Take a secret as callers may give it, plain or wrapped."""
    return Secret(value) if isinstance(value, str) else value


def as_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    """Take scopes as callers may give them; ``DEFAULT_SCOPES`` stays itself.

    Raises:
        ConfigurationError: They are one string, whose letters would each be a scope.
    """
    if isinstance(scopes, str):
        message = "scopes must be several strings, such as ['openid', 'email'], not one."
        raise ConfigurationError(message, field="scopes", reason="scopes_one_string")
    return tuple(scopes)


def as_certificate(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    """Take the paths of a certificate and its key as callers may give them; one file may hold both.

    Raises:
        ConfigurationError: There is a key and no certificate.
    """
    if certificate is None and key is not None:
        message = "client_certificate_key is the key of a certificate: give client_certificate too."
        raise ConfigurationError(message, field="client_certificate", reason="no_certificate")
    if certificate is None:
        return None
    path = str(Path(certificate).absolute())
    return path, path if key is None else str(Path(key).absolute())


def as_audiences(names: Sequence[str]) -> tuple[str, ...]:
    """Take the names of ``known_audiences`` as callers may give them.

    Raises:
        ConfigurationError: They are one string, or not all strings.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        message = "known_audiences must be a list of strings, such as ['https://identity.example.org/']."
        raise ConfigurationError(message, field="known_audiences", reason="not_a_list")
    return tuple(names)


def find_client_secret(
    issuer: str, client_id: str, given: Secret | str | None, environ: Mapping[str, str] = os.environ
) -> Secret | None:
    """Find a client's secret: as given, else ``DOORWARD_CLIENT_SECRET``, else the operating system's keyring.

    The keyring is asked with a deadline of five seconds, under the service ``doorward`` and the user name
    ``CLIENT_ID@ISSUER``. One that can't answer counts as one that holds nothing, and the log says why.
    """
    if given is not None:
        return as_secret(given)
    if environ.get("DOORWARD_CLIENT_SECRET"):
        return Secret(environ["DOORWARD_CLIENT_SECRET"])
    try:
        return read_secret(issuer, client_id)
    except (KeyringLocked, KeyringUnavailable) as error:
        if error.reason not in NO_KEYRING:  # most machines without a person have none, and need none
            _log.warning("%s", error)
        return None


def needed_client_secret(issuer: str, client_id: str) -> Secret:
    """Find a client's secret, as ``find_client_secret`` does.

    Raises:
        ConfigurationError: There is none.
    """
    secret = find_client_secret(issuer, client_id, None)
    if secret is None:
        message = "The client's secret is missing. Set DOORWARD_CLIENT_SECRET, or keep it: doorward secret set"
        raise ConfigurationError(message, field="client_secret", reason="client_secret_missing")
    return secret


def read_client_key(prefix: str = "DOORWARD", environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """Return the key that ``PREFIX_CLIENT_KEY_FILE`` names (a PEM file), None if it names none.

    ``PREFIX_CLIENT_KEY_ALG`` is its algorithm, RS256 unless set, and ``PREFIX_CLIENT_KEY_ID`` its ``kid``.

    Raises:
        ConfigurationError: The file can't be read, or holds no key for that algorithm.
    """
    field = f"{prefix}_CLIENT_KEY_FILE"
    path = environ.get(field)
    if not path:
        return None
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        message = f"The client key in {printable(path)} can't be read: {error.strerror}. Check {field}."
        raise ConfigurationError(message, field=field, reason="client_key_unreadable") from None
    alg, kid = environ.get(f"{prefix}_CLIENT_KEY_ALG"), environ.get(f"{prefix}_CLIENT_KEY_ID")
    return SigningKey.from_pem(pem, alg=alg or "RS256", kid=kid or None)
