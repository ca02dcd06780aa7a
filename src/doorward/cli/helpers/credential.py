"""``doorward credential``: what other programs run to get a token. Each speaks a protocol, in a module of its own."""

from __future__ import annotations

import click

from doorward.cli.helpers.aws import aws
from doorward.cli.helpers.docker import docker
from doorward.cli.helpers.git import git
from doorward.cli.helpers.kubectl import kubectl

__all__ = ["command"]


@click.group("credential")
def command() -> None:
    """Give a token to another program in the way that it asks. That program runs this; nobody is asked anything."""


for _each in (aws, docker, git, kubectl):
    command.add_command(_each)
