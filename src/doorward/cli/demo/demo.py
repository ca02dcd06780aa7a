"""``doorward demo``: a sign-in, a call and six forgeries, told step by step, all of it on this computer.

Nothing of the person's own is touched: the vault is a temporary one, the issuer and the API are gone at the end.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.demo.api import NotesApi
from doorward.cli.demo.browser import browser_command
from doorward.cli.demo.forgeries import forge
from doorward.cli.demo.story import Story
from doorward.cli.options import json_option
from doorward.cli.session.prompt import TerminalPrompt
from doorward.cli.terminal import print_json
from doorward.cli.view import duration_in_words, instant
from doorward.errors import SignInRequired
from doorward.http.client import HttpClient
from doorward.model import HttpRequest, Secret
from doorward.protocol.bearer import build_authorization_header
from doorward.signin.sign_in import sign_in
from doorward.system import SystemClock
from doorward.testing import DevIssuer
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.ports import Clock
    from doorward.signin.session import Session

__all__ = ["command"]

_CLIENT_ID = "doorward-demo"
_PROFILE = "demo"
_TIMEOUT_S, _AUTO_TIMEOUT_S = 300, 60
_CALL_TIMEOUT_S = 10.0
_OWNER_ONLY = 0o600


@click.command("demo")
@click.option("--auto", is_flag=True, help="Sign in by itself, with headless Chromium, instead of in your browser.")
@json_option
def command(*, auto: bool, as_json: bool) -> int:
    """Watch Doorward sign in, call an API, and have six forged tokens refused.

    Everything happens on this computer and is gone afterwards; your own sessions stay untouched. Exits with 0 only if
    all went as it should.
    """
    if auto:
        os.environ["BROWSER"] = browser_command()
    clock = SystemClock()
    began_at = clock.monotonic()
    demo = _Demo(auto=auto, clock=clock, story=Story(quiet=as_json))
    demo.run()
    demo.outcome["seconds"] = round(clock.monotonic() - began_at, 1)
    demo.end()
    if as_json:
        print_json(demo.outcome)
    return 0 if demo.outcome["ok"] else 1


@dataclass(slots=True)
class _Demo:
    """The steps, in order, and what came of them."""

    auto: bool
    clock: Clock
    story: Story
    outcome: dict[str, Any] = field(default_factory=lambda: {"ok": True})

    def run(self) -> None:
        self.story.title("Doorward demo: a sign-in, a call and six forgeries, all on this computer.")
        with ExitStack() as until_the_end:
            home = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="doorward-demo-"))
            issuer = until_the_end.enter_context(DevIssuer(clock=self.clock))
            self._open_issuer(issuer)
            api = until_the_end.enter_context(NotesApi(issuer.url, self.clock))
            self._open_api(api)
            session = self._sign_in(issuer, api, Vault(str(Path(home, "vault")), clock=self.clock))
            self._call(api, session)
            self.try_forgeries(issuer, api, session)

    def end(self) -> None:
        if self.outcome["ok"]:
            refused = len(self.outcome["forgeries"])
            self.story.title(
                f"\nDone in {self.outcome['seconds']} s: signed in, answered, and {refused} of {refused} forgeries "
                "refused.\nNothing stays behind. For real: doorward login ISSUER --client-id ID"
            )
        else:
            self.story.title("\nNot all was as it should be: see the lines marked with !")

    def _open_issuer(self, issuer: DevIssuer) -> None:
        issuer.add_client(_CLIENT_ID)
        issuer.add_user("alice", email="alice@example.org", full_name="Alice Example", groups=["physics"])
        issuer.add_user("bob", email="bob@example.org", full_name="Bob Example")
        self.outcome["issuer"] = issuer.url
        self.story.step("An issuer to sign in at")
        self.story.say(f"{issuer.url} plays the part of Google, Entra or your own Keycloak.")

    def _open_api(self, api: NotesApi) -> None:
        self.outcome["api"] = api.url
        self.story.step("An API that wants a token")
        status, _ = _get(api, token=None)
        if self._expect(status == HTTPStatus.UNAUTHORIZED, "the answer to a call without a token"):
            self.story.good(f"{api.url} answers {status} to whoever brings none.")

    def _sign_in(self, issuer: DevIssuer, api: NotesApi, vault: Vault) -> Session:
        timeout_s = _AUTO_TIMEOUT_S if self.auto else _TIMEOUT_S
        if self.auto:
            self.story.step("A person signs in (today: headless Chromium, which presses Allow)")
        else:
            self.story.step("You sign in: choose somebody, press Allow")
        with TerminalPrompt(
            issuer=issuer.url,
            timeout_s=timeout_s,
            clock=self.clock,
            other_way="Or press Ctrl-C and add --auto (make demo AUTO=1): headless Chromium signs in.",
            quiet=self.auto,
        ) as prompt:
            try:
                session = sign_in(
                    issuer.url,
                    _CLIENT_ID,
                    resource=api.url,
                    profile=_PROFILE,
                    timeout_s=timeout_s,
                    insecure_loopback_http=True,
                    prompt=prompt,
                    vault=vault,
                    clock=self.clock,
                )
            except SignInRequired as error:
                message = (
                    "There is no browser here, and nobody at a terminal. Add --auto (make demo AUTO=1): headless "
                    "Chromium signs in. Or run the demo in a terminal."
                )
                raise SignInRequired(message, reason=error.reason) from None
        person = session.principal
        self.outcome["signed_in"] = {"subject": person.subject, "email": person.email}
        self.story.good(f"Signed in as {person.email}. The ID token kept every rule.")
        mode = stat.S_IMODE(Path(vault.folder, f"profile-{_PROFILE}.json").stat().st_mode)
        if self._expect(mode == _OWNER_ONLY, "the mode of the vault's file"):
            self.story.good(f"The tokens are in a vault that only you can read (mode {mode:04o}).")
        return session

    def _call(self, api: NotesApi, session: Session) -> None:
        self.story.step("The program calls the API with the access token")
        status, principal = _get(api, token=Secret(session.token()))
        self.outcome["call"] = {
            "status": status,
            "principal": {**principal, "expires_at": instant(principal.get("expires_at"))},
        }
        known = status == HTTPStatus.OK and principal["subject"] == session.principal.subject
        if not self._expect(known, "the answer to a call with a good token"):
            return
        self.story.good(f"{status}. The API asked nobody, and knows who calls and that it is meant:")
        self.story.rows(
            ("issuer", principal["issuer"]),
            ("subject", principal["subject"]),
            ("audience", ", ".join(principal["audience"])),
            ("scopes", " ".join(principal["scopes"])),
            ("expires", f"in {duration_in_words(principal['expires_at'] - self.clock.now())}"),
        )

    def try_forgeries(self, issuer: DevIssuer, api: NotesApi, session: Session) -> None:
        self.story.step("Six forged tokens try the same")
        self.outcome["forgeries"] = []
        rows = []
        for forgery in forge(issuer, subject=session.principal.subject, audience=api.url, good=session.token()):
            api.refusals.clear()
            status, _ = _get(api, token=forgery.token)
            codes = [refusal.code for refusal in api.refusals]
            self._expect(status == HTTPStatus.UNAUTHORIZED and codes == [forgery.refused_as.code], forgery.name)
            code = codes[0] if codes else "let in"
            rows.append((str(status), forgery.name, code, forgery.trick))
            self.outcome["forgeries"].append({"name": forgery.name, "status": status, "refused_as": code})
        self.story.rows(*rows)
        self.story.good("The caller hears 401 and no more. The reason is for the API's own log.")

    def _expect(self, holds: bool, what: str) -> bool:  # noqa: FBT001 - reads like an assertion
        if not holds:
            self.outcome["ok"] = False
            self.story.bad(f"This is not as it should be: {what}.")
        return holds


def _get(api: NotesApi, *, token: Secret | None) -> tuple[int, dict[str, Any]]:
    headers = {} if token is None else {"authorization": build_authorization_header(token)}
    with HttpClient(insecure_loopback_http=True, total_timeout_s=_CALL_TIMEOUT_S) as client:
        response = client.send(HttpRequest("GET", api.url, "the demo's API", headers))
    return response.status, json.loads(response.body)
