"""``doorward login``: turn a command line into one call of ``sign_in``, and say in one line how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

import click

from doorward.cli.options import json_option, profile_option
from doorward.cli.session.credentials import client_secret
from doorward.cli.session.prompt import TerminalPrompt
from doorward.cli.terminal import print_json, print_note, print_text
from doorward.cli.view import entry_object, signed_in_line, who
from doorward.errors import ConfigurationError, CorruptEntry, SignInRequired, printable
from doorward.signin.registration import DEFAULT_SCOPES, read_client_key
from doorward.signin.sign_in import sign_in
from doorward.system import SystemClock
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.signin.registration import SecretMethod
    from doorward.vault.entries import ProfileEntry

__all__ = ["command"]

_Proof: TypeAlias = Literal["secret", "key", "none"]

_PROOFS: dict[str, _Proof] = {
    "none": "none",
    "client_secret_basic": "secret",
    "client_secret_post": "secret",
    "private_key_jwt": "key",
}

_SECRET_METHODS: dict[str | None, SecretMethod] = {"basic": "client_secret_basic", "post": "client_secret_post"}


@click.command("login")
@click.argument("issuer", required=False)
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
@click.option("--timeout", "timeout_s", metavar="S", type=float, default=300, help="Wait this many seconds, else 300.")
@click.option("--max-age", "max_age_s", metavar="S", type=int, help="Sign in anew if that was more seconds ago.")
@click.option("--confidential", is_flag=True, help="The client has a secret; see above.")
@click.option(
    "--secret-method",
    type=click.Choice(["basic", "post"]),
    help="How the secret is sent, where the client is registered for one way.",
)
@click.option("--insecure-loopback-http", is_flag=True, help="Allow http to this computer, for development.")
@json_option
def command(  # noqa: PLR0913 - the options of the command, all by keyword
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
    timeout_s: float,
    max_age_s: int | None,
    confidential: bool,
    secret_method: str | None,
    insecure_loopback_http: bool,
    as_json: bool,
) -> None:
    """Sign in at ISSUER, in your browser or with a code, and keep the session.

    Without ISSUER or --client-id, a profile that has been signed in is signed in again, and what is not given stays as
    it was. --scope, --port and --known-audience may be given more than once.

    A client's secret is never an argument. With --confidential it is read from DOORWARD_CLIENT_SECRET or the keyring,
    else you are asked for it. A client's key comes from DOORWARD_CLIENT_KEY_FILE.
    """
    vault, clock = Vault(), SystemClock()
    target = _Target(
        issuer=issuer or "",
        client_id=client_id or "",
        scopes=scopes,
        audience=audience,
        resource=resource,
        known_audiences=known_audiences,
        redirect_uri=redirect_uri,
        proof="secret" if confidential or secret_method else "key",
        secret_method=_SECRET_METHODS.get(secret_method),
        insecure_loopback_http=insecure_loopback_http,
    )
    before = _held(vault, profile)
    if not (issuer and client_id):
        target = target.completed_from(before, profile)
    prompt = TerminalPrompt(issuer=target.issuer, timeout_s=timeout_s, clock=clock)
    by_secret = target.proof == "secret"
    secret = client_secret(target.issuer, target.client_id) if by_secret else None
    key = read_client_key() if target.proof == "key" else None
    with prompt:
        sign_in(
            target.issuer,
            target.client_id,
            client_secret=secret,
            client_key=key,
            secret_method=target.secret_method if by_secret else None,
            scopes=target.scopes or DEFAULT_SCOPES,
            audience=target.audience,
            resource=target.resource,
            known_audiences=target.known_audiences,
            profile=profile,
            mode="device" if device else "auto",
            ports=ports,
            redirect_uri=target.redirect_uri,
            timeout_s=timeout_s,
            max_age_s=max_age_s,
            insecure_loopback_http=target.insecure_loopback_http,
            cool_down=not prompt.attended,
            prompt=prompt,
            vault=vault,
            clock=clock,
        )
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
    proof: _Proof
    secret_method: SecretMethod | None
    insecure_loopback_http: bool

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
