"""A paper that is there already is not fetched again; whatever happened to the list of them."""

from __future__ import annotations

import json

import pytest
from pdfs import make_pdf

from doorward.papers.manifest import MANIFEST

TITLE = "Effects of temperature on the growth of Atlantic salmon"


@pytest.fixture
def server(site):
    server = site()
    server["/article"] = (
        200,
        {},
        f'<meta name="citation_title" content="{TITLE}"><meta name="citation_pdf_url" content="/p.pdf">'.encode(),
    )
    server["/p.pdf"] = (200, {}, make_pdf(TITLE))
    return server


def paths(server):
    return [asked.path for asked in server.asked]


@pytest.mark.parametrize("again", ["/article", "/p.pdf"])
def test_it_is_neither_asked_for_nor_kept_again(server, library, kept, again):
    [first] = library().fetch(server.at("/article"))
    [second] = library().fetch(server.at(again), year=2001)
    assert (second.outcome, second.reason, second.is_saved) == ("saved", "already_there", True)
    assert (second.path, second.bytes, second.sha256) == (first.path, first.bytes, first.sha256)
    assert kept() == [f"unknown/{TITLE}.pdf"]
    assert paths(server) == ["/article", "/p.pdf"]


def test_another_page_of_the_same_pdf_leads_to_it(server, library, kept):
    server["/other"] = server.pages["/article"]
    outcomes = library().fetch(server.at("/article"), server.at("/other"), server.at("/other"))
    assert [outcome.reason for outcome in outcomes] == ["article", "already_there", "already_there"]
    assert paths(server) == ["/article", "/p.pdf", "/other", "/other"]
    assert len(kept()) == 1


def test_what_a_person_wrote_into_it_stays(server, library):
    [first] = library().fetch(server.at("/p.pdf"))
    first.path.write_bytes(first.path.read_bytes() + b"% a note\n")
    [second] = library().fetch(server.at("/p.pdf"))
    assert (second.reason, second.bytes) == ("already_there", first.bytes + 9)


@pytest.mark.parametrize("happened", ["removed", "emptied", "a link", "a folder"])
def test_what_is_there_no_more_is_fetched_again(server, library, tmp_path, happened):
    [first] = library().fetch(server.at("/p.pdf"))
    elsewhere = tmp_path / "elsewhere.pdf"
    first.path.rename(elsewhere)
    if happened == "emptied":
        first.path.touch()
    if happened == "a link":
        first.path.symlink_to(elsewhere)
    if happened == "a folder":
        first.path.mkdir()
    [second] = library().fetch(server.at("/p.pdf"))
    assert (second.outcome, second.reason) == ("saved", "pdf")
    assert second.path.read_bytes() == make_pdf(TITLE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text[:0],
        lambda text: text.replace("{", "[" * 9999),
        lambda text: text.replace("{", "[1, ").replace("}", "]").replace(":", ","),
        lambda text: text.replace('"unknown/', '"../papers/unknown/'),
        lambda text: text.replace('"path"', '"paths"'),
        lambda text: text.replace('"keys": [', '"keys": 5, "more": ['),
    ],
)
def test_a_list_that_is_damaged_costs_one_more_fetch_and_no_copy(server, library, kept, tmp_path, damage):
    library().fetch(server.at("/p.pdf"))
    listed = tmp_path / "papers" / MANIFEST
    listed.write_text(damage(listed.read_text()))
    assert library().fetch(server.at("/p.pdf"))[0].reason == "pdf"
    assert library().fetch(server.at("/p.pdf"))[0].reason in {"already_there", "pdf"}
    assert kept() == ["unknown/p.pdf"]


def test_a_list_that_can_not_be_written_costs_no_paper(server, library, tmp_path, kept):
    (tmp_path / "papers" / MANIFEST).mkdir(parents=True)
    assert library().fetch(server.at("/p.pdf"))[0].is_saved
    assert kept() == ["unknown/p.pdf"]


def test_no_secret_of_an_address_is_listed(server, library, tmp_path):
    library().fetch(server.at("/p.pdf?signature=s3cret"))
    listed = (tmp_path / "papers" / MANIFEST).read_text()
    assert "s3cret" not in listed
    told = json.loads(listed)
    assert told["urls"] == [server.at("/p.pdf")]
    assert told["path"] == "unknown/p.pdf"
    assert library().fetch(server.at("/p.pdf?signature=other"))[0].reason == "pdf"


def test_another_paper_is_not_listed(server, library, tmp_path):
    server["/p.pdf"] = (200, {}, make_pdf("The social life of urban foxes in the country"))
    assert library().fetch(server.at("/article"))[0].outcome == "wrong_paper"
    assert not (tmp_path / "papers" / MANIFEST).exists()
