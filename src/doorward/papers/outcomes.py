"""What becomes of a paper that was asked for: the names of it, and what a person can do about each. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ADVICE", "Outcome", "OutcomeName", "Route"]

OutcomeName: TypeAlias = Literal[
    "saved",
    "login_page",
    "not_entitled",
    "human_check",
    "rate_limited",
    "not_found",
    "empty",
    "not_pdf",
    "wrong_paper",
    "truncated",
    "too_large",
    "unavailable",
]

Route: TypeAlias = Literal["direct", "institution"]
"""How it was asked for: at the plain address, or by way of the institution."""

ADVICE: Mapping[OutcomeName, str] = MappingProxyType(
    {
        "saved": "Saved.",
        "login_page": "A login page came instead. Sign in at your institution, then fetch it again.",
        "not_entitled": "You have no access to it. Fetch it by way of an institution that has, or ask its library.",
        "human_check": "A check for robots came instead. Open the address in your browser, or try again later.",
        "rate_limited": "The server wants fewer requests. Wait before you fetch anything more from it.",
        "not_found": "There is nothing at this address. Check it.",
        "empty": "The answer was empty. Try again later.",
        "not_pdf": "What came is not a PDF. Open the address in your browser and look for the PDF's own address.",
        "wrong_paper": (
            "Another paper came: neither the DOI nor the title that was asked for stands in it. It is kept aside. "
            "Look at it, and open the address in your browser."
        ),
        "truncated": "Only a part of it came. Fetch it again: where the server can, it goes on from there.",
        "too_large": "It is larger than the limit.",
        "unavailable": "The server can't be reached or can't answer. Try again later.",
    }
)
"""What happened and what to do next."""

_ADVICE_FOR: Mapping[str, str] = MappingProxyType(
    {
        "already_there": "It was there already, and was not fetched again. To have it anew, move it away.",
        "no_text": "Saved. It has no text that tells whether it is the right paper: it may be a scan. Look at it.",
        "unsure": "Saved. Its text does not tell whether it is the right paper. Look at it.",
        "unread": "Saved. Whether it is the right paper could not be read from it. Look at it.",
        "pypdf_missing": (
            "Saved. Nobody looked whether it is the right paper: that needs pip install 'doorward[papers]'."
        ),
        "not_by_https": (
            "The way leads over an address without https, and nothing is there by https. Open it in your browser, "
            "or try again later."
        ),
        "http_401": "The server wants a login. Sign in at your institution, then fetch it again.",
        "dns_failed": "The server's name can't be resolved. Check the address, and that this computer is online.",
        "redirect_circle": "The server sends us around in a circle. Open the address in your browser.",
        "too_many_redirects": "The server sends us on without an end. Open the address in your browser.",
        "response_encoded": "It came compressed in a way that can't be read here. Open the address in your browser.",
    }
)
"""The same, for reasons that tell more than their outcome."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one address.

    ``reason`` is a stable slug that narrows ``outcome`` down. Of what was saved it says whether it is the paper that
    was asked for: ``article`` (its DOI or title stands in it), ``no_text``, ``unsure``, ``unread``, ``pypdf_missing``
    (there is no telling), or ``pdf`` (there was nothing to look for); ``already_there``: an earlier fetch saved it.
    ``path``, ``bytes`` and ``sha256`` are those of
    the file, also of a ``wrong_paper``, which is kept aside; and None, 0 and None where there is none. ``route`` is the
    one that was tried last. ``retry_after_s`` is what the server asked for, if it did.
    """

    url: str
    outcome: OutcomeName
    reason: str
    route: Route = "direct"
    path: Path | None = None
    bytes: int = 0
    sha256: str | None = None
    retry_after_s: float | None = None

    @property
    def is_saved(self) -> bool:
        """Whether the paper is there now."""
        return self.outcome == "saved"

    @property
    def advice(self) -> str:
        """What happened and what to do next, in words for people."""
        return _ADVICE_FOR.get(self.reason) or ADVICE[self.outcome]
