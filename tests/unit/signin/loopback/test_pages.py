from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from doorward.signin.loopback.pages import ANY_PROGRAM, SECURITY_HEADERS, Outcome, build_page

OUTCOMES = get_args(Outcome)


class Reader(HTMLParser):
    """Reads a page: which elements it has, with which attributes, and the text that a person sees."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "path"}:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open:
            self.text[self._open[-1]] = self.text.get(self._open[-1], "") + data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("outcome", OUTCOMES)
class TestEveryPage:
    def test_is_a_whole_document_that_says_its_language_and_title(self, outcome):
        page = build_page(outcome)
        reader = Reader(page.body)
        assert page.body.startswith(b"<!doctype html>")
        assert reader.attributes("html") == [{"lang": "en"}]
        assert reader.text["title"] == reader.text["h1"]
        assert len(reader.attributes("main")) == len(reader.attributes("h1")) == 1
        assert reader.attributes("svg")[0]["aria-hidden"] == "true"

    def test_runs_nothing_loads_nothing_and_leads_nowhere(self, outcome):
        reader = Reader(build_page(outcome).body)
        tags = {tag for tag, _ in reader.elements}
        assert tags <= {
            "html", "head", "meta", "title", "style", "body", "main", "svg", "path", "div", "h1", "p", "footer",
        }  # fmt: skip
        names = {name for _, attributes in reader.elements for name in attributes}
        assert not {name for name in names if name.startswith("on") or name in {"href", "src", "style"}}
        assert "url(" not in reader.text["style"]
        assert "@import" not in reader.text["style"]

    def test_has_the_one_style_that_the_policy_allows(self, outcome):
        reader = Reader(build_page(outcome).body)
        assert len(reader.attributes("style")) == 1
        digest = base64.b64encode(hashlib.sha256(reader.text["style"].encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}';" in SECURITY_HEADERS["Content-Security-Policy"]

    def test_names_the_program_as_text(self, outcome):
        reader = Reader(build_page(outcome, program='<b onclick="x">R&D {title}</b>').body)
        assert "b" not in {tag for tag, _ in reader.elements}
        if outcome != "rejected":  # which keeps to the sign-in that goes on
            assert '<b onclick="x">R&D {title}</b>' in reader.text["p"]
            assert ANY_PROGRAM in Reader(build_page(outcome).body).text["p"]

    def test_leaves_no_placeholder(self, outcome):
        without_style = re.sub(rb"<style>.*</style>", b"", build_page(outcome).body, flags=re.DOTALL)
        assert b"{" not in without_style


def test_the_statuses_say_what_the_pages_say():
    statuses = {outcome: build_page(outcome).status for outcome in OUTCOMES}
    assert statuses == {"success": 200, "denied": 200, "failed": 500, "rejected": 400, "link_used": 400}


def test_each_page_has_words_of_its_own():
    assert len({Reader(build_page(outcome).body).text["h1"] for outcome in OUTCOMES}) == len(OUTCOMES)


def test_the_headers_are_those_of_the_promise():
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert re.sub(r"'sha256-[^']+'", "'sha256-…'", policy) == (
        "default-src 'none'; style-src 'sha256-…'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert {name: value for name, value in SECURITY_HEADERS.items() if name != "Content-Security-Policy"} == {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
