"""What this computer, and this terminal, has for a sign-in: a browser, a port to come back to, a keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from doorward.cli.doctor.finding import from_error, ok, warning
from doorward.cli.doctor.provider import offers_of
from doorward.cli.session.prompt import TerminalPrompt
from doorward.errors import ConfigurationError, KeyringLocked, KeyringUnavailable, UnavailableError, printable
from doorward.keyring import os_keyring
from doorward.keyring.problems import NO_KEYRING
from doorward.signin.browser import NoBrowser, find_browser, look_around, surroundings_in_words
from doorward.signin.callback import only_a_code_reaches
from doorward.signin.loopback.listener import CallbackListener
from doorward.signin.providers import habits_of
from doorward.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.cli.doctor.finding import Finding
    from doorward.cli.doctor.subject import Subject
    from doorward.signin.loopback.sockets import Host

__all__ = ["browser", "keyring", "login", "ports"]


def login(subject: Subject) -> Iterator[Finding]:
    """Where this runs, and so what ``doorward login`` will do."""
    surroundings = look_around()
    prompt = TerminalPrompt(issuer="", timeout_s=1, clock=SystemClock())
    codes = (offers_of(subject) or {}).get("device_codes", False)
    here = f"This runs {surroundings_in_words(surroundings)}, {'at' if prompt.attended else 'without'} a terminal."
    if not isinstance(find_browser(surroundings), NoBrowser):
        yield ok("login_by_browser", f"{here} login opens a browser.")
    elif codes and only_a_code_reaches(prompt):
        yield ok("login_by_code", f"{here} login shows a code, to enter on any device.")
    elif prompt.attended:
        yield ok(
            "login_by_address",
            f"{here} login shows an address. Open it in any browser, and paste back the address where it ends.",
        )
    else:
        way = " Or sign in with a code: doorward login --device." if codes else ""
        yield warning("login_needs_a_person", f"{here} login can ask nobody here. Run it at a terminal.{way}")


def browser(_: Subject) -> Iterator[Finding]:
    """Which browser would be opened."""
    found = find_browser(look_around())
    if not isinstance(found, NoBrowser):
        yield ok("browser", f"Pages are opened by {printable(found)}.")
    elif found.reason == "ssh":
        yield warning("ssh", "You are connected by SSH. No browser here is on your screen: login says how to go on.")
    else:
        yield warning(found.reason, found.message)


def ports(subject: Subject) -> Iterator[Finding]:
    """Whether the browser can come back: a port on this computer, of those that the profile names."""
    asked = subject.settings.get("redirect_uri")
    redirect_uri = urlsplit(asked or habits_of(subject.issuer or "", subject.settings.get("provider")).redirect_uri)
    named = (redirect_uri.port,) if redirect_uri.port else subject.settings.get("ports", ())
    try:
        listener = CallbackListener(
            clock=SystemClock(),
            entropy=SystemEntropy(),
            path=redirect_uri.path or "/",
            host=cast("Host", redirect_uri.hostname),
            ports=named,
        )
        listener.open()
        listener.close()
    except (ConfigurationError, UnavailableError) as error:
        yield from_error(error)
    else:
        which = f"one of the ports {', '.join(map(str, named))}" if named else "a port"
        yield ok("port", f"login can listen at {which} of {redirect_uri.hostname} for the browser's return.")


def keyring(_: Subject) -> Iterator[Finding]:
    """Whether the keyring is there and unlocked."""
    try:
        os_keyring.check()
    except (KeyringLocked, KeyringUnavailable) as error:
        if error.reason in NO_KEYRING:
            yield from_error(error, "{} It is needed only for doorward secret, and for a vault sealed with it.", "ok")
        else:
            yield from_error(error, level="warning")
    else:
        yield ok("keyring", "The keyring answers, and is unlocked.")
