"""``doorward doctor``: look at everything that a sign-in stands on, and say what is wrong and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from doorward.cli.doctor import here, kept, provider
from doorward.cli.doctor.subject import find_subject
from doorward.cli.ending import FAILED, UNAVAILABLE
from doorward.cli.options import json_option, profile_names, profile_option
from doorward.cli.terminal import make_console, print_json, print_text, show
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.cli.doctor.finding import Finding
    from doorward.cli.doctor.subject import Subject

__all__ = ["CHECKS", "command"]

CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "settings": kept.settings,
    "proxy": provider.proxy,
    "provider": provider.discovery,
    "tls": provider.tls,
    "clock": provider.clock,
    "offers": provider.offers,
    "login": here.login,
    "browser": here.browser,
    "ports": here.ports,
    "keyring": here.keyring,
    "secret": kept.secret,
    "vault": kept.vault,
    "sealing": kept.sealing,
    "entries": kept.entries,
}
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@click.command("doctor")
@click.argument("issuer", required=False, metavar="[ISSUER|NAME]", shell_complete=profile_names)
@profile_option
@json_option
@click.pass_context
def command(context: click.Context, *, issuer: str | None, profile: str, as_json: bool) -> int:
    """Look at what a sign-in stands on, and say what is wrong and what helps.

    The provider is ISSUER, or that of a profile: NAME, or --profile. Without one, this computer alone is looked at.

    Nothing is written, no window opens, and nothing secret is shown. The exit code is 1 if something failed, and 4
    if the provider is out of reach.
    """
    named = context.get_parameter_source("profile") in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    subject = find_subject(Vault(), issuer, profile, must_be=named)
    found = []
    for check, look in CHECKS.items():
        for finding in look(subject):
            found.append((check, finding))
            if not as_json:
                _show(check, finding)
    worst = {finding.level for _, finding in found}
    if as_json:
        findings = [{"check": check, **finding._asdict()} for check, finding in found]
        offered = provider.offers_of(subject)
        print_json({"ok": "failed" not in worst, "issuer": subject.issuer, "offers": offered, "findings": findings})
    else:
        counted = [f"{sum(finding.level == level for _, finding in found)} {level}" for level in _STYLES]
        print_text(f"{', '.join(counted)}.")
    if subject.asked is not None and subject.asked.unreachable:
        return UNAVAILABLE
    return FAILED if "failed" in worst else 0


def _show(check: str, finding: Finding) -> None:
    """Print a finding as soon as it is there: some take seconds."""
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=max(map(len, _STYLES)))
    row.add_column(width=max(map(len, CHECKS)))
    row.add_row(Text(finding.level, style=_STYLES[finding.level]), Text(check, style="bold"), Text(finding.message))
    show(row, make_console())
