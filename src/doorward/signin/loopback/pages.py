"""The pages a person sees in the browser when a sign-in comes back: fixed texts, one style, and the headers of S3.

Pure: values in, bytes out. Nothing that a browser or a provider sent is ever put on a page; the one thing that varies
is the name of the program, which our own caller gives. The mark is a door, open, shut or barred; it only repeats
what the words say, so screen readers skip it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANY_PROGRAM", "SECURITY_HEADERS", "Outcome", "Page", "build_page"]

Outcome: TypeAlias = Literal["success", "denied", "failed", "rejected", "link_used"]

ANY_PROGRAM = "the program that asked you to sign in"

_STYLE = """
:root { color-scheme: light dark; --ground: #f3efe7; --card: #fffdf9; --edge: #ddd5c7; --ink: #1f1b16; --soft: #5c544a;
  --accent: #5c544a; --tint: #efeae1 }
.success { --accent: #1a6b48; --tint: #e3f0e6 }
.failed { --accent: #8a4706; --tint: #f9ecd9 }
.rejected, .link_used { --accent: #a0232e; --tint: #f9e5e2 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #131110; --card: #1e1b18; --edge: #3b362f; --ink: #f3eee6; --soft: #bbb1a4;
    --accent: #bbb1a4; --tint: #2a2622 }
  .success { --accent: #7fd1a6; --tint: #1b2c23 }
  .failed { --accent: #efb46c; --tint: #33271a }
  .rejected, .link_used { --accent: #f49d9b; --tint: #362020 }
}
* { box-sizing: border-box; margin: 0 }
body { min-height: 100vh; display: grid; place-items: center; padding: 1.25rem; background: var(--ground);
  color: var(--ink); font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif }
main { width: 100%; max-width: 32rem; overflow: hidden; background: var(--card); border: 1px solid var(--edge);
  border-radius: 10px }
svg { display: block; width: 100%; height: 8.5rem; padding: 1.75rem 2.5rem 0; background: var(--tint);
  color: var(--accent); border-bottom: 3px solid }
div { padding: 1.75rem 2.5rem 1.5rem }
h1 { margin-bottom: .75rem; font-size: 1.75rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em;
  text-wrap: balance }
p { overflow-wrap: anywhere; text-wrap: pretty }
p + p { margin-top: .75rem }
footer { margin-top: 1.75rem; padding-top: 1rem; border-top: 1px solid var(--edge); color: var(--soft);
  font-size: .875rem; line-height: 1.5; text-wrap: balance }
@media (max-width: 30rem) {
  body { place-items: start center; padding: .75rem }
  svg, div { padding-left: 1.5rem; padding-right: 1.5rem }
}
"""

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
"""Headers of every answer of the listener, pages or not."""

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main class="{outcome}">
<svg viewBox="12 6 48 58" preserveAspectRatio="xMinYMax" fill="none" stroke="currentColor" stroke-width="2.5" \
stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
<path d="M15 66V29a21 21 0 0 1 42 0v37"/>
{mark}
</svg>
<div>
<h1>{title}</h1>
<p>{happened}</p>
<p>{next_step}</p>
<footer>The program itself made this page. It is not on the internet.</footer>
</div>
</main>
</body>
</html>
"""

# On a frame of 42 by 56 that stands on the line below it.
_OPEN_DOOR = (
    '<path d="M15 66V29a21 21 0 0 1 42 0v37z" fill="#ffdf8e"/>'
    '<path d="M15 66V29c0-9 5-16 12-19l8 8v42l-14 6z" fill="currentColor"/>'
)
_SHUT_DOOR = '<path d="M22 66V30a14 14 0 0 1 28 0v36"/><path d="M43 43v4"/>'
_STUCK_DOOR = '<path d="M36 29v17M36 54v.5" stroke-width="4"/>'
_BARRED_DOOR = '<path d="M22 66V30a14 14 0 0 1 28 0v36"/><path d="M15 42h42" stroke-width="5"/>'


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page: its HTTP status, and the UTF-8 HTML."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Text:
    status: int
    mark: str
    title: str
    happened: str
    next_step: str


_TEXTS: Mapping[Outcome, _Text] = MappingProxyType(
    {
        "success": _Text(
            200,
            _OPEN_DOOR,
            "You are signed in",
            "The sign-in is complete.",
            "You can close this window and go back to {program}.",
        ),
        "denied": _Text(
            200,
            _SHUT_DOOR,
            "You were not signed in",
            "The sign-in was declined, by you or by the provider. Nothing was changed.",
            "You can close this window. To try again, start from {program}.",
        ),
        "failed": _Text(
            500,
            _STUCK_DOOR,
            "The sign-in did not finish",
            "You came back from the provider, but the last step did not work. Nothing was changed.",
            "Go back to {program}: it says what went wrong and what to do.",
        ),
        "rejected": _Text(
            400,
            _BARRED_DOOR,
            "This is not part of your sign-in",
            "A request arrived that does not belong to the sign-in under way. It was refused, and nothing was changed.",
            "Your own sign-in goes on: finish it in the window where you began. You can close this one.",
        ),
        "link_used": _Text(
            400,
            _BARRED_DOOR,
            "This link was already used",
            "A sign-in link works only once. This one was opened a second time, so the sign-in was stopped for your "
            "safety.",
            "Go back to {program} and start again. If you opened the link only once, somebody else on this computer "
            "may have opened it too.",
        ),
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
    document = _DOCUMENT.format(
        style=_STYLE,
        outcome=outcome,
        mark=text.mark,
        title=html.escape(text.title),
        happened=html.escape(text.happened),
        next_step=html.escape(text.next_step.format(program=program)),
    )
    return Page(text.status, document.encode())
