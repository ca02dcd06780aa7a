"""The pages a person sees in the browser when a sign-in has come back: fixed texts, and the headers they carry.

Pure: values in, bytes out. Nothing a browser or provider sent is ever put on a page (S3); the one value that varies is
the program's name, which our own caller gives.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANY_PROGRAM", "SECURITY_HEADERS", "Outcome", "Page", "build_page"]

Outcome = Literal["success", "denied", "failed", "rejected", "link_used"]

ANY_PROGRAM = "the program that asked you to sign in"

_STYLE = """body{font-family:system-ui,sans-serif;margin:3rem auto;max-width:34rem;padding:0 1rem}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; "
            "form-action 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    },
)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page: its HTTP status, and the UTF-8 HTML."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Text:
    status: int
    title: str
    happened: str
    next_step: str


_TEXTS: Mapping[Outcome, _Text] = MappingProxyType(
    {
        "success": _Text(200, "You are signed in", "It worked.", "You can close this window and go back to {}."),
        "denied": _Text(200, "You are not signed in", "The sign-in was cancelled.", "Go back to {}."),
        "failed": _Text(500, "Signing in did not work", "Nothing was stored.", "Go back to {}, which says why."),
        "rejected": _Text(400, "Not your sign-in", "Nothing was changed.", "Go back to the sign-in you started in {}."),
        "link_used": _Text(400, "This link was used before", "It works once.", "Go back to {} and start again."),
    },
)


def build_page(outcome: Outcome, *, program: str = ANY_PROGRAM) -> Page:
    """Build the page that tells a person how the sign-in went.

    Args:
        outcome: What happened.
        program: Where the person goes back to, as it reads in a sentence. Given by the calling program, never taken
            from a request.
    """
    text = _TEXTS[outcome]
    title, next_step = html.escape(text.title), html.escape(text.next_step.format(program))
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1><p>{html.escape(text.happened)}</p><p>{next_step}</p></main></body></html>"
    )
    return Page(text.status, document.encode())
