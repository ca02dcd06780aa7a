"""The pages that people read, taken apart: their code blocks, headings and links."""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["PAGES", "ROOT", "Block", "anchors_of", "blocks_of", "links_of"]

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
"""Each of them, from the root of the repository."""

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of a page, those of Sphinx's directives left out."""
    tokens = _MARKDOWN.parse((ROOT / page).read_text())
    found = [
        Block(page, token.map[0] + 2, token.info.strip(), token.content)  # the first line of what is in it
        for token in tokens
        if token.type == "fence" and token.map
    ]
    return [block for block in found if not block.language.startswith("{")]


def anchors_of(page: str) -> set[str]:
    """Return the anchors that a page's headings get, as repositories show them and as the site does."""
    tokens = _MARKDOWN.parse((ROOT / page).read_text())
    headings = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    found: set[str] = set()
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def links_of(page: str) -> list[str]:
    """Return where a page's links and pictures lead."""
    found: list[str] = []
    for token in _MARKDOWN.parse((ROOT / page).read_text()):
        for child in [token, *(token.children or ())]:
            found += [str(child.attrs[name]) for name in ("href", "src") if name in child.attrs]
            if child.type in ("html_block", "html_inline"):
                found += map(html.unescape, re.findall(r'(?:href|src)="([^"]*)"', child.content))
    return found
