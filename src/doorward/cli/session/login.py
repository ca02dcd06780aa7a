"""``doorward login``: turn a command line into one call of ``sign_in``, and say in one line how it ended."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from doorward.cli.options import SECONDS, json_option, profile_names, profile_option
from doorward.cli.session.credentials import client_secret, is_profile_name, say_what_renewals_need
from doorward.cli.session.prompt import TerminalPrompt
from doorward.cli.terminal import print_json, print_note, print_text
from doorward.cli.view import entry_object, signed_in_line, who
from doorward.errors import ConfigurationError, CorruptEntry, SignInRequired, printable
from doorward.protocol.authorization import authorization_parameters
from doorward.signin.providers import PROVIDERS
from doorward.signin.registration import DEFAULT_SCOPES, Use, read_client_key
from doorward.signin.settings.profiles import read_profiles
from doorward.signin.sign_in import sign_in
from doorward.system import SystemClock
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.protocol.jwk import SigningKey
    from doorward.signin.registration import SecretMethod, SecurityProfile
    from doorward.signin.settings.profiles import NamedProfile
    from doorward.vault.entries import ProfileEntry

__all__ = ["command"]

_Proof: TypeAlias = Literal["secret", "key", "none"]

_PROOFS: dict[str, _Proof] = {
    "none": "none",
    "client_secret_basic": "secret",
    "client_secret_post": "secret",
    "private_key_jwt": "key",
    "tls_client_auth": "none",
    "self_signed_tls_client_auth": "none",
}

_SECRET_METHODS: dict[str | None, SecretMethod] = {"basic": "client_secret_basic", "post": "client_secret_post"}


_WISHES = ("prompt", "login_hint", "acr_values", "ui_locales", "parameters")
"""What the provider hears of the person, for one sign-in."""


@click.command("login")
@click.argument("issuer", required=False, metavar="[ISSUER|NAME]", shell_complete=profile_names)
@click.option("--client-id", metavar="ID", help="The client ID that the provider has for this program.")
@profile_option
@click.option("--device", is_flag=True, help="Sign in with a code, on any device, instead of in a browser here.")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="Ask for this scope instead of the usual ones.")
@click.option("--audience", metavar="NAME", help="The API to call, where the provider takes an 'audience'.")
@click.option("--resource", metavar="URI", help="The API to call, where the provider takes a 'resource'.")
@click.option(
    "--known-audience",
    "known_audiences",
    metavar="NAME",
    multiple=True,
    help="Whom else the ID token may be meant for, where its provider adds somebody and no 'azp'.",
)
@click.option("--port", "ports", metavar="PORT", type=int, multiple=True, help="Listen here for the browser's return.")
@click.option(
    "--redirect-uri", metavar="URI", help="The loopback redirect URI that the provider has, if it is special."
)
@click.option("--timeout", "timeout_s", metavar="S", type=SECONDS, help="Wait this many seconds, else 300.")
@click.option("--max-age", "max_age_s", metavar="S", type=int, help="Sign in anew if that was more seconds ago.")
@click.option("--prompt", metavar="WORDS", help="What the provider shows: select_account, login, consent or none.")
@click.option("--login-hint", metavar="WHO", help="Who signs in, such as an e-mail address.")
@click.option("--acr-values", metavar="NAMES", help="The ways to sign in that are wanted, as the provider calls them.")
@click.option("--ui-locales", metavar="LANGUAGES", help="The languages for the provider's pages, such as 'de en'.")
@click.option("--parameter", "parameters", metavar="NAME=VALUE", multiple=True, help="Send this to the provider too.")
@click.option(
    "--provider",
    metavar="NAME",
    shell_complete=lambda _context, _parameter, begun: [name for name in PROVIDERS if name.startswith(begun)],
    help=f"Whose habits to follow where the host does not tell: {', '.join(PROVIDERS)}.",
)
@click.option(
    "--par",
    type=click.Choice(get_args(Use)),
    help="Push the authorization request to the provider: auto, where it offers that.",
)
@click.option(
    "--dpop",
    type=click.Choice(get_args(Use)),
    help="Have the tokens bound to a key: auto, where the provider gives no others. 'doorward token' prints none then.",
)
@click.option(
    "--client-key", "client_key_name", metavar="NAME", help="The client proves itself with this key: see client-key."
)
@click.option("--client-certificate", metavar="PATH", help="The client proves itself with this certificate in TLS.")
@click.option("--client-certificate-key", metavar="PATH", help="The key of that certificate, if it is another file.")
@click.option("--security-profile", type=click.Choice(["fapi2"]), help="Demand all that this profile asks for.")
@click.option("--confidential", is_flag=True, help="The client has a secret; see above.")
@click.option(
    "--secret-method",
    type=click.Choice(["basic", "post"]),
    help="How the secret is sent, where the client is registered for one way.",
)
@click.option("--insecure-loopback-http", is_flag=True, help="Allow http to this computer, for development.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - the options of the command, all by keyword
    context: click.Context,
    *,
    issuer: str | None,
    client_id: str | None,
    profile: str,
    device: bool,
    scopes: tuple[str, ...],
    audience: str | None,
    resource: str | None,
    known_audiences: tuple[str, ...],
    ports: tuple[int, ...],
    redirect_uri: str | None,
    timeout_s: float | None,
    max_age_s: int | None,
    prompt: str | None,
    login_hint: str | None,
    acr_values: str | None,
    ui_locales: str | None,
    parameters: tuple[str, ...],
    provider: str | None,
    client_key_name: str | None,
    client_certificate: str | None,
    client_certificate_key: str | None,
    security_profile: SecurityProfile | None,
    par: Use | None,
    dpop: Use | None,
    confidential: bool,
    secret_method: str | None,
    insecure_loopback_http: bool,
    as_json: bool,
) -> None:
    """Sign in at ISSUER, in your browser or with a code, and keep the session.

    NAME is a profile: one of doorward.toml, whose settings are taken where no option says otherwise, or one that has
    been signed in, and stays as it was. It is the same with --profile, and with 'default' where neither is given.
    But --prompt, --login-hint, --acr-values, --ui-locales, --parameter and --max-age are for one sign-in alone.
    --scope, --port, --known-audience and --parameter may be given more than once.

    A client's secret is never an argument. With --confidential it is read from DOORWARD_CLIENT_SECRET or the keyring,
    else you are asked for it. A client's key is one that client-key keeps, or comes from DOORWARD_CLIENT_KEY_FILE.
    """
    vault, clock = Vault(), SystemClock()
    profiles = read_profiles()
    settings = profile
    if issuer and is_profile_name(issuer, {*profiles, *vault.names()}):
        settings, issuer = issuer, None
        if context.get_parameter_source("profile") is not ParameterSource.COMMANDLINE:
            profile = settings
    named = profiles.get(settings.lower())
    target = _Target(
        issuer=issuer or "",
        client_id=client_id or "",
        scopes=scopes,
        audience=audience,
        resource=resource,
        known_audiences=known_audiences,
        redirect_uri=redirect_uri,
        provider=provider,
        client_key_name=client_key_name,
        proof="secret" if confidential or secret_method else "key",
        secret_method=_SECRET_METHODS.get(secret_method),
        insecure_loopback_http=insecure_loopback_http,
    )
    given = {
        "mode": "device" if device else None,
        "ports": ports,
        "timeout_s": timeout_s,
        "max_age_s": max_age_s,
        "prompt": prompt,
        "login_hint": login_hint,
        "acr_values": acr_values,
        "ui_locales": ui_locales,
        "parameters": _by_name(parameters),
        "client_certificate": client_certificate or os.environ.get("DOORWARD_CLIENT_CERTIFICATE"),
        "client_certificate_key": client_certificate_key or os.environ.get("DOORWARD_CLIENT_CERTIFICATE_KEY"),
        "security_profile": security_profile,
        "par": par,
        "dpop": dpop,
    }
    asked: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, (), {})}
    before = _held(vault, profile)
    if named is not None and target.issuer in ("", named.keywords["issuer"]):
        target, rest = target.completed_by(named)
        asked = {**rest, **asked}
    elif not (issuer and client_id):
        target = target.completed_from(before if settings == profile else _held(vault, settings), settings)
    asked["parameters"] = authorization_parameters(**{name: asked.pop(name, None) for name in _WISHES})
    speaker = TerminalPrompt(issuer=target.issuer, timeout_s=asked.setdefault("timeout_s", 300), clock=clock)
    by_secret = target.proof == "secret"
    if not by_secret and os.environ.get("DOORWARD_CLIENT_SECRET"):
        print_note("DOORWARD_CLIENT_SECRET is set, but not used: give --confidential if this client has a secret.")
    secret, source = client_secret(target.issuer, target.client_id) if by_secret else (None, "")
    key_name, key = _client_key(target)
    asked.setdefault("dpop", "always" if _was_bound(before, target) else "auto")
    with speaker:
        sign_in(
            target.issuer,
            target.client_id,
            client_secret=secret,
            client_key=key,
            client_key_name=key_name,
            secret_method=target.secret_method if by_secret else None,
            scopes=target.scopes or DEFAULT_SCOPES,
            audience=target.audience,
            resource=target.resource,
            known_audiences=target.known_audiences,
            profile=profile,
            redirect_uri=target.redirect_uri,
            prompt=speaker,
            provider=target.provider,
            insecure_loopback_http=target.insecure_loopback_http,
            cool_down=not speaker.attended,
            vault=vault,
            clock=clock,
            **asked,
        )
    if secret is not None:
        say_what_renewals_need(target.issuer, target.client_id, secret, source)
    entry = vault.get(profile)
    if entry is None:
        message = f"Profile {profile!r} was signed out again in the meantime, by another process."
        raise SignInRequired(message, reason="signed_out_meanwhile")
    if before is not None and before.refresh_token is not None and _person(before) != _person(entry):
        note = (
            f"Profile {profile!r} held the session of {who(before)} at {printable(before.issuer)} before: it is gone "
        )
        note += "from here, but was not revoked. To keep several, give each a --profile."
        print_note(note)
    if as_json:
        print_json(entry_object(entry, now=clock.now()))
    else:
        print_text(signed_in_line(entry, now=clock.now()))


def _client_key(target: _Target) -> tuple[str | None, SigningKey | None]:
    """Find the key of a client that may have one: its name in the vault, or itself."""
    if target.proof != "key":
        return None, None
    name = target.client_key_name or os.environ.get("DOORWARD_CLIENT_KEY_NAME") or None
    return name, None if name else read_client_key()


def _was_bound(before: ProfileEntry | None, target: _Target) -> bool:
    """Say whether the profile's tokens were bound to a key: that does not become weaker unless somebody says so."""
    return before is not None and before.dpop_key is not None and before.issuer == target.issuer


def _by_name(parameters: tuple[str, ...]) -> dict[str, str]:
    """Read what was given as ``NAME=VALUE``."""
    pairs = [each.partition("=") for each in parameters]
    named = {name: value for name, equals, value in pairs if equals}
    if len(named) < len(pairs):
        message = "--parameter is NAME=VALUE, such as --parameter hd=example.org, and each NAME is given once."
        raise ConfigurationError(message, field="--parameter", reason="bad_parameter")
    return named


def _held(vault: Vault, profile: str) -> ProfileEntry | None:
    """Return what the profile holds before the sign-in. A corrupt entry is no reason not to sign in."""
    try:
        return vault.get(profile)
    except CorruptEntry as error:
        print_note(error.message)
        return None


def _person(entry: ProfileEntry) -> tuple[str, str, object]:
    return entry.issuer, entry.client_id, (entry.claims or {}).get("sub")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where to sign in as what. ``proof`` is what the client may prove itself with; a key, if there is one."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    audience: str | None
    resource: str | None
    known_audiences: tuple[str, ...]
    redirect_uri: str | None
    provider: str | None
    client_key_name: str | None
    proof: _Proof
    secret_method: SecretMethod | None
    insecure_loopback_http: bool

    def completed_by(self, named: NamedProfile) -> tuple[_Target, dict[str, Any]]:
        """Fill in what was not given from a profile of ``doorward.toml``, and return what else it says."""
        rest = dict(named.keywords)
        of_target = {name: rest.pop(name) for name in self.__slots__ if name in rest}
        given = {name: getattr(self, name) for name in of_target if getattr(self, name)}
        target = replace(self, **{**of_target, **given})
        return replace(target, proof="secret") if named.confidential else target, rest

    def completed_from(self, entry: ProfileEntry | None, profile: str) -> _Target:
        """Fill in what was not given from the last sign-in of the profile."""
        if entry is None:
            missing = " and ".join(
                name for name, at in (("ISSUER", self.issuer), ("--client-id", self.client_id)) if not at
            )
            message = f"Profile {profile!r} is new: give {missing}."
            raise ConfigurationError(
                message, field="--client-id" if self.issuer else "ISSUER", reason="unknown_profile"
            )
        if self.issuer not in ("", entry.issuer):
            message = f"Profile {profile!r} was signed in at another issuer: give --client-id for this one."
            raise ConfigurationError(message, field="--client-id", reason="other_issuer")
        method = entry.client_authentication
        kept_method = method if method in {"client_secret_basic", "client_secret_post"} else None
        return _Target(
            issuer=entry.issuer,
            client_id=self.client_id or entry.client_id,
            scopes=self.scopes or entry.scopes,
            audience=self.audience or entry.audience,
            resource=self.resource or entry.resource,
            known_audiences=self.known_audiences or entry.known_audiences,
            redirect_uri=self.redirect_uri or _without_port(entry.redirect_uri),
            provider=self.provider or entry.provider,
            client_key_name=self.client_key_name or entry.client_key_name,
            proof="secret" if self.proof == "secret" else _PROOFS[method],
            secret_method=self.secret_method or kept_method,
            insecure_loopback_http=self.insecure_loopback_http or entry.insecure_loopback_http,
        )


def _without_port(redirect_uri: str | None) -> str | None:
    """Return a redirect URI as it is registered: the port was that of one sign-in."""
    if redirect_uri is None:
        return None
    parts = urlsplit(redirect_uri)
    return parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")).geturl()
