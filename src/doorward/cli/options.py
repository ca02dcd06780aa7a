"""The options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from doorward.errors import printable

__all__ = ["SECONDS", "Group", "json_option", "profile_names", "profile_option"]


_NO_LIMIT = 1000


def profile_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a profile for the shell: one that is signed in, or stands in ``doorward.toml``."""
    from doorward.signin.settings.profiles import read_profiles
    from doorward.vault.vault import Vault

    return [CompletionItem(name) for name in sorted({*Vault().names(), *read_profiles()}) if name.startswith(begun)]


class _Command(click.Command):
    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click would break a sentence off there
        return super().get_short_help_str(_NO_LIMIT)


class Group(click.Group):
    """A group whose commands are told of, in its help and by the shell, in whole sentences."""

    command_class = _Command


class _Seconds(click.ParamType[float]):
    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"{printable(repr(value))} is no number. Give seconds, such as 600.", param, ctx)


SECONDS = _Seconds()

profile_option = click.option(
    "--profile",
    metavar="NAME",
    envvar="DOORWARD_PROFILE",
    default="default",
    shell_complete=profile_names,
    help="Which of your sessions; DOORWARD_PROFILE, or else 'default'.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
