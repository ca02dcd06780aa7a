"""``doorward whoami``: who the ID token says you are, from the vault alone."""

from __future__ import annotations

import click

from doorward.cli.options import json_option, profile_option
from doorward.cli.terminal import print_facts, print_json
from doorward.cli.view import instant
from doorward.errors import printable
from doorward.signin.session import open_session

__all__ = ["command"]


@click.command("whoami")
@profile_option
@json_option
def command(*, profile: str, as_json: bool) -> None:
    """Show who you are to the provider. No network is used."""
    session = open_session(profile)
    principal = session.principal
    if as_json:
        print_json(
            {
                "profile": profile,
                "issuer": principal.issuer,
                "subject": principal.subject,
                "email": principal.email,
                "email_verified": principal.email_verified,
                "groups": list(principal.groups),
                "scopes": list(principal.scopes),
                "ended_at": instant(session.ended_at),
            }
        )
        return
    email = "none"
    if principal.email is not None:
        email = f"{principal.email} ({'verified by the issuer' if principal.email_verified else 'not verified'})"
    facts = [
        ("Profile", profile),
        ("Issuer", principal.issuer),
        ("Subject", principal.subject),
        ("E-mail", email),
        ("Groups", ", ".join(principal.groups) or "none"),
        ("Scopes", " ".join(principal.scopes) or "none"),
    ]
    if session.ended_at is not None:
        facts.append(("Session", "ended by the issuer: sign in again"))
    print_facts([(name, printable(value)) for name, value in facts])
