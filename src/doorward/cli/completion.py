"""``doorward completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from doorward.cli.terminal import print_line

__all__ = ["command"]

_VARIABLE = "_DOORWARD_COMPLETE"
"""Where the script says that the shell asks: ``click`` answers then, and nothing of ours runs."""

_ZSH_BEGIN = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
"""What a new user's ``.zshrc`` does not do; below the first line, by which zsh finds the file in its own folders."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> None:
    """Print what lets your shell complete commands and options.

    \b
    For good:
      bash  doorward completion bash >> ~/.bashrc
      zsh   doorward completion zsh >> ~/.zshrc
      fish  doorward completion fish > ~/.config/fish/completions/doorward.fish
    """  # noqa: D301 - click's mark for lines to be left alone
    from doorward.cli.app import application

    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    lines = script(application, {}, "doorward", _VARIABLE).source().strip()
    print_line(lines.replace("\n", f"\n{_ZSH_BEGIN}\n", 1) if shell == "zsh" else lines)
