"""Every link from one page to another leads somewhere, and so does its anchor."""

from __future__ import annotations

import pytest
from markdown_pages import PAGES, ROOT, anchors_of, links_of


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in links_of(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors_of(str(target.resolve().relative_to(ROOT))), link


def test_links_are_found():
    links = links_of("README.md")
    assert {"docs/demo.svg", "docs/guard.md", "examples/README.md"} <= set(links)
    assert "the-file" in anchors_of("docs/guard-settings.md")


def test_every_record_is_listed():
    records = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert records <= set(links_of("docs/decisions/index.md"))
