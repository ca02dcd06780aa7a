"""Puts an authorization URL before the person, and waits for the callback that answers it.

Waiting means polling the listener and the terminal between pauses; what a callback is worth, ``protocol.authorization``
says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from doorward.errors import CallbackRejected, DoorwardError, SignInCancelled, SignInRequired, SignInTimeout
from doorward.model import Pause
from doorward.protocol.authorization import validate_callback
from doorward.signin.browser import BrowserLaunch, NoBrowser, can_open_browser, open_browser
from doorward.signin.prompt import TerminalPrompt, in_notebook, stop_reading

if TYPE_CHECKING:
    from doorward.ports import Clock, Flow
    from doorward.protocol.authorization import PendingSignIn, ValidatedCallback
    from doorward.signin.loopback.listener import Callback, CallbackListener
    from doorward.signin.prompt import Prompt

__all__ = ["Question", "await_callback", "let_page_leave", "only_a_code_reaches"]

_POLL_S = 0.05
_MOST_TOLD = 8
"""Whoever floods the listener shall not flood the terminal as well."""


@dataclass(slots=True)
class Question:
    """One authorization URL, put before the person: in their browser if one opens, else in words.

    Attributes:
        prompt: How to speak to the person.
        address: The authorization URL.
        redirect_uri: Where the browser ends.
        device_offered: The provider has a device flow as well.
        attended: Somebody may be there to read words.
    """

    prompt: Prompt
    address: str
    redirect_uri: str
    device_offered: bool
    attended: bool
    _launch: BrowserLaunch | None = None

    def open(self, start_url: str) -> None:
        """Open the browser with a link to the address.

        Raises:
            SignInRequired: No browser can be opened, and nobody is there to open one.
        """
        launch = open_browser(start_url)
        if isinstance(launch, NoBrowser):
            self._in_words(launch)
        elif launch.elsewhere and self.attended:
            self._say_in_words(
                "If your editor can do so, it opens the sign-in page on the computer that you sit at. If not, open it."
            )
        else:
            self._launch = launch
            self.prompt.browser_opened(self.address)

    def again_if_browser_failed(self, *, page_fetched: bool) -> None:
        """Fall back to words once the browser turns out not to have started.

        Once a browser has fetched the page, it is nobody's concern how the command ended that started it.
        """
        if page_fetched:
            self._launch = None
        failure = self._launch.failure() if self._launch is not None else None
        if failure is not None:
            self._launch = None
            self._in_words(failure)

    def pasted_query(self) -> str | None:
        """Return the query of a redirect URL that the person has pasted; None if there is none by now.

        Browsers show addresses in ways of their own, and people copy a part. Whose it is, ``state`` says, and no host.
        """
        line = self.prompt.pasted()
        if line is None:
            return None
        query = _query_in(line)
        if query is None:
            self.prompt.paste_refused("What was pasted holds no answer of the provider (a code and a state).")
        return query

    def _in_words(self, why: NoBrowser) -> None:
        if not self.attended:
            message = f"{why} Nobody is at a terminal here to do so: run `doorward login` in one."
            if self.device_offered:
                message += " Or sign in with a code, on any device: `doorward login --device`."
            raise SignInRequired(message, reason="not_attended")
        self._say_in_words(str(why))

    def _say_in_words(self, why: str) -> None:
        self.prompt.open_yourself(
            self.address, why=why, redirect_uri=self.redirect_uri, device_offered=self.device_offered
        )


def only_a_code_reaches(prompt: Prompt) -> bool:
    """Say whether no redirect would come back: no browser can be opened here, and nobody pastes an address.

    So it is at a notebook whose kernel is on a server, and where somebody reads a terminal but can't type in it.
    """
    far_notebook = isinstance(prompt, TerminalPrompt) and in_notebook()
    mute = not prompt.attended and getattr(prompt, "readable", False)  # prompts made for 0.1 lack it
    return (far_notebook or mute) and not can_open_browser()


def _query_in(pasted: str) -> str | None:
    """Find the query of an answer in what was pasted: of an address in any spelling, or the query alone."""
    text = "".join(pasted.split()).strip("\"'`<>()[]").replace("&amp;", "&")
    if "state%3d" in text.lower():  # copied out of another address
        text = unquote(text)
    query = re.split(r"[?#]", text, maxsplit=1)[-1].partition("#")[0]
    names = {part.partition("=")[0] for part in query.split("&")}
    return query if "state" in names and names & {"code", "error"} else None


def await_callback(
    listener: CallbackListener, pending: PendingSignIn, question: Question, *, deadline: float, clock: Clock
) -> Flow[tuple[Callback | None, ValidatedCallback]]:
    """Wait for the callback that knows our ``state``; refuse every other one and go on waiting (S2).

    Args:
        listener: Open, with its authorization URL set.
        pending: The sign-in that waits.
        question: How the person was asked.
        deadline: When to give up, by ``clock.monotonic()``.
        clock: For the deadline.

    Returns:
        The callback, whose browser waits for its page (None if the address was pasted), and what it was worth.

    Raises:
        SignInCancelled, OAuthError, ProviderUnavailable: The provider's answer to the person's or our request.
        CallbackRejected: A callback with our ``state`` that breaks another rule; a start link used twice, where nobody
            tells by whom.
        SignInTimeout: Nobody answered.
    """
    try:
        return (yield from _first_good(listener, pending, question, deadline=deadline, clock=clock))
    finally:
        stop_reading()


def _first_good(
    listener: CallbackListener, pending: PendingSignIn, question: Question, *, deadline: float, clock: Clock
) -> Flow[tuple[Callback | None, ValidatedCallback]]:
    refused = 0
    while clock.monotonic() < deadline:
        callback = listener.poll()
        if listener.start_url_reused:
            message = (
                "The link that opened the browser was used twice, so somebody else may have used it. "
                "Nothing was signed in. Start the sign-in again."
            )
            raise CallbackRejected(message, reason="start_link_reused")
        query = callback.query if callback is not None else question.pasted_query()
        if query is not None:
            try:
                return callback, validate_callback(pending, query)
            except DoorwardError as error:
                refused += 1
                _refuse(callback, error, question.prompt if refused <= _MOST_TOLD else None)
        if callback is None:
            question.again_if_browser_failed(page_fetched=listener.start_url_used)
        yield Pause(_POLL_S if callback is None else 0)  # a flood of callbacks must not hold up other tasks
    message = (
        "Nobody finished the sign-in in time. Start it again. If the browser showed an error, check the client ID and "
        "its registered redirect URI."
    )
    raise SignInTimeout(message, reason="callback_missing")


def _refuse(callback: Callback | None, error: DoorwardError, prompt: Prompt | None) -> None:
    """Answer a callback that is not good, and go on waiting if it did not know our ``state``; else give up."""
    if isinstance(error, CallbackRejected) and error.reason.startswith("state_"):
        if callback is not None:
            callback.reject()
        if prompt is not None and callback is not None:
            prompt.callback_refused(error.message)
        elif prompt is not None:
            prompt.paste_refused("What was pasted answers another sign-in, such as an earlier try.")
        return
    if callback is not None and isinstance(error, SignInCancelled):
        callback.deny()
    raise error  # the listener answers what is open as failed


def let_page_leave(listener: CallbackListener) -> Flow[None]:
    """Give the last page a moment to reach the browser."""
    for _ in range(3):
        listener.poll()
        yield Pause(_POLL_S)
