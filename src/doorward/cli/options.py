"""The options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

__all__ = ["json_option", "profile_names", "profile_option"]


def profile_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a profile for the shell: one that is signed in, or stands in ``doorward.toml``."""
    from doorward.signin.settings.profiles import read_profiles
    from doorward.vault.vault import Vault

    return [CompletionItem(name) for name in sorted({*Vault().names(), *read_profiles()}) if name.startswith(begun)]


profile_option = click.option(
    "--profile",
    metavar="NAME",
    envvar="DOORWARD_PROFILE",
    default="default",
    shell_complete=profile_names,
    help="Which of your sessions; DOORWARD_PROFILE, or else 'default'.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
