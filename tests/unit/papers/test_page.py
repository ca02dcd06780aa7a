"""What a page tells of its article, in each of the ways that publishers tell it."""

from __future__ import annotations

import json

import pytest

from doorward.papers.addresses import doi_of
from doorward.papers.page import read_page


def linked(thing):
    return f'<script type="application/ld+json">{json.dumps(thing)}</script>'


TOLD = {
    "Highwire": (
        '<meta name="citation_title" content="A &amp; B"><meta name="citation_doi" content="10.1234/ABC">'
        '<meta name="citation_author" content="Smith, Jane"><meta name="citation_author" content="Doe, A.">'
        '<meta name="citation_publication_date" content="2019/05/03">'
    ),
    "Dublin Core": (
        '<meta name="DC.Title" content="A &amp; B"><meta name="dc.identifier" content="doi:10.1234/abc">'
        '<meta name="DC.Creator" content="Smith, Jane; Doe, A."><meta name="DC.Date" content="2019-05-03">'
    ),
    "JSON-LD": linked(
        {
            "@context": "https://schema.org",
            "@type": "ScholarlyArticle",
            "headline": "A &amp; B",
            "author": [{"@type": "Person", "name": "Smith, Jane"}, {"@type": "Person", "name": "Doe, A."}],
            "identifier": {"@type": "PropertyValue", "propertyID": "doi", "value": "10.1234/abc"},
            "datePublished": "2019-05-03",
        }
    ),
    "JSON-LD, deeper": linked(
        {
            "@graph": [
                {"@type": "Organization", "name": "Publisher"},
                {
                    "@type": ["Article"],
                    "name": "A & B",
                    "author": ["Smith, Jane", "Doe, A."],
                    "sameAs": "https://doi.org/10.1234/abc",
                    "datePublished": "2019",
                },
            ]
        }
    ),
}


@pytest.mark.parametrize("head", TOLD.values(), ids=TOLD)
def test_what_a_page_tells_of_its_article(head):
    article = read_page(f"<html><head>{head}</head>".encode()).article
    assert article.titles == ("A & B",)
    assert article.dois == {"10.1234/abc"}
    assert article.authors == ("Smith, Jane", "Doe, A.")
    assert article.year == 2019


OTHER = {"@type": "ScholarlyArticle", "headline": "Another one", "sameAs": "https://doi.org/10.1234/other"}
OWN = {"@type": "ScholarlyArticle", "headline": "A & B.", "sameAs": "https://doi.org/10.1234/abc", "author": "Doe, A."}


@pytest.mark.parametrize(
    "head",
    [
        '<meta name="citation_title" content="A &amp; B">' + linked([OTHER, OWN]),
        '<meta name="citation_doi" content="10.1234/abc">' + linked({"@graph": [OTHER, OWN]}),
        linked([OWN, OTHER]),
        linked(OWN) + linked(OTHER),
        linked({"@type": "WebPage", "mainEntity": OWN, "@graph": [OTHER]}),
    ],
    ids=["by its title", "by its DOI", "the first", "the first of two blocks", "the page's main entity"],
)
def test_an_article_that_the_page_recommends_is_not_its_own(head):
    article = read_page(head.encode()).article
    assert "Another one" not in article.titles
    assert article.dois == {"10.1234/abc"}
    assert article.authors == ("Doe, A.",)


def test_nothing_is_taken_from_articles_that_are_all_others():
    head = '<meta name="citation_title" content="A &amp; B">' + linked([OTHER])
    assert read_page(head.encode()).article.dois == frozenset()


def test_a_site_s_own_name_is_no_title():
    graph = '<meta property="og:title" content="Publisher"><meta property="og:type" content="%s">'
    assert read_page((graph % "website").encode()).article.titles == ()
    assert read_page((graph % "article").encode()).article.titles == ("Publisher",)


@pytest.mark.parametrize(
    "block",
    [
        "",
        "{",
        "[1, null, [2]]",
        "7",
        '"x"',
        "[" * 9999,
        '{"@type": {"a": 1}}',
        '{"@type": "Article", "author": [null, 3, {}]}',
    ],
)
def test_what_is_no_description_is_passed_over(block):
    article = read_page(
        f'<script type="application/ld+json">{block}</script><meta name=doi content=10.1234/a>'.encode()
    )
    assert article.article.dois == {"10.1234/a"}


@pytest.mark.parametrize(
    ("address", "doi"),
    [
        ("https://doi.org/10.1234/abc.pdf", "10.1234/abc.pdf"),
        ("https://dx.doi.org/10.1234%2FABC", "10.1234/abc"),
        ("https://publisher.example/doi/pdf/10.1234/abc", "10.1234/abc"),
        ("https://publisher.example/doi/10.1234/abc/pdf", "10.1234/abc"),
        ("https://publisher.example/doi/10.1234/abc/full/html?x=10.9/y", "10.1234/abc"),
        ("https://publisher.example/content/pdf/10.1234/s1-2.pdf", "10.1234/s1-2"),
        ("https://publisher.example/10.5/x", None),
        ("https://publisher.example/", None),
    ],
)
def test_the_doi_in_an_address(address, doi):
    assert doi_of(address) == doi
