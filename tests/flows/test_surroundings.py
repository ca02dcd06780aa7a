"""``doorward login`` where people have no browser: each place simulated, with a terminal and without (S11)."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from command_line import DEADLINE_S, DOORWARD
from people import last_address
from terminal import Terminal

if TYPE_CHECKING:
    from doorward.testing import DevIssuer

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22", "SSH_TTY": "/dev/pts/7"}
PLACES = {  # what the environment says, and what the person is told (the machine of the tests may be a container)
    "SSH": (SSH, "You are connected by SSH. On your own computer run: ssh -L"),
    "a container": ({"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, "This is a container"),
    "JupyterHub": ({"JUPYTERHUB_USER": "ana", "JUPYTERHUB_API_URL": "http://hub"}, "This notebook runs on a server"),
    "Codespaces": ({"CODESPACES": "true", "BROWSER": "true"}, "If your editor can do so, it opens"),
    "a console": ({}, "There is no display here|This is a container"),
}
UNATTENDED = {
    "SSH": SSH,
    "a container": PLACES["a container"][0],
    "JupyterHub": PLACES["JupyterHub"][0],
    "cron": {"LOGNAME": "ana", "SHELL": "/bin/sh"},
    "systemd": {"INVOCATION_ID": "0123456789abcdef0123456789abcdef", "SYSTEMD_EXEC_PID": "7"},
}

with_a_terminal = pytest.mark.parametrize(("place", "told"), PLACES.values(), ids=PLACES)


def arguments(issuer: DevIssuer) -> tuple[str, ...]:
    return ("login", issuer.url, "--client-id", "cli", "--insecure-loopback-http")


def sign_in_address(terminal: Terminal, issuer: DevIssuer) -> str:
    return terminal.wait_for(rf"{re.escape(issuer.url)}/authorize\S+(?=\s)")[0]


@with_a_terminal
def test_the_address_that_the_browser_ended_at_can_be_pasted(
    issuer: DevIssuer, place: dict[str, str], told: str
) -> None:
    with Terminal(*arguments(issuer), columns=2000, **place) as terminal:
        terminal.wait_for(told)
        address = sign_in_address(terminal, issuer)
        terminal.wait_for("Waiting for you")
        terminal.type(last_address(address) + "\n")
        terminal.wait_for("Signed in as alice@example.org")
        terminal.rest()
    assert terminal.process.returncode == 0


@with_a_terminal
def test_pasting_races_a_browser_whose_port_is_forwarded(issuer: DevIssuer, place: dict[str, str], told: str) -> None:
    with Terminal(*arguments(issuer), columns=2000, **place) as terminal, ThreadPoolExecutor(1) as elsewhere:
        address = sign_in_address(terminal, issuer)
        terminal.wait_for("Waiting for you")
        end = last_address(address)
        arrived = elsewhere.submit(_arrive, end)
        terminal.type(end + "\n")
        terminal.wait_for("Signed in as alice@example.org")
        terminal.rest()
        arrived.result()
    assert terminal.process.returncode == 0
    assert re.search(told, terminal.plain)


@pytest.mark.parametrize("place", UNATTENDED.values(), ids=UNATTENDED)
def test_without_a_terminal_it_says_at_once_what_a_person_has_to_do(issuer: DevIssuer, place: dict[str, str]) -> None:
    done = _run_without_terminal(arguments(issuer), place)

    assert (done.returncode, done.stdout) == (3, "")
    assert "`doorward login --device`" in done.stderr
    assert issuer.url + "/authorize" not in done.stderr


@pytest.mark.parametrize("place", UNATTENDED.values(), ids=UNATTENDED)
def test_a_log_that_somebody_follows_shows_the_code_where_that_was_asked_for(
    issuer: DevIssuer, place: dict[str, str]
) -> None:
    issuer.change(device_interval_s=1)

    done = _run_without_terminal((*arguments(issuer), "--device"), place)

    assert done.returncode == 0, done.stderr
    assert re.search(r"^[A-Z]{4}-[A-Z]{4}$", done.stderr, re.MULTILINE)


@with_a_terminal
def test_somebody_who_can_read_but_not_type_gets_a_code(issuer: DevIssuer, place: dict[str, str], told: str) -> None:
    """As behind ``docker run -t``, or where standard input is a file."""
    issuer.ask()
    issuer.change(device_interval_s=1)
    with Terminal(*arguments(issuer), can_type=False, **{**place, "BROWSER": ""}) as terminal:
        issuer.decide_device(terminal.wait_for(r"[A-Z]{4}-[A-Z]{4}")[0], user="bob")
        terminal.wait_for("Signed in as bob@example.org")
        terminal.rest()
    assert terminal.process.returncode == 0
    assert not re.search(told, terminal.plain)


def test_where_the_provider_has_no_codes_they_are_told_to_use_a_terminal(issuer: DevIssuer) -> None:
    issuer.adopt("no_device_flow")
    with Terminal(*arguments(issuer), can_type=False, **SSH) as terminal:
        terminal.rest()
    assert terminal.process.returncode == 3
    assert "Nobody is at a terminal here" in " ".join(terminal.plain.split())


def test_a_browser_is_opened_even_where_nobody_can_type(issuer: DevIssuer, person: object) -> None:
    with Terminal(*arguments(issuer), can_type=False) as terminal:
        terminal.wait_for("Signed in as alice@example.org")
        terminal.rest()
    assert terminal.process.returncode == 0


def _arrive(address: str) -> Any:
    """Open the address as a browser does. Where the pasted one was first, nobody may answer any more."""
    try:
        with urllib.request.urlopen(address, timeout=DEADLINE_S) as page:
            return page.read()
    except OSError as error:
        return error


def _run_without_terminal(command: tuple[str, ...], place: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it as services do: nothing in the environment that is not said here, and nothing to read from."""
    kept = {name: os.environ[name] for name in ("HOME", "DOORWARD_HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [DOORWARD, *command],
        env={"PATH": "/usr/bin:/bin", **kept, **place},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
