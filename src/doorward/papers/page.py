"""What a page says of itself and of its article, as far as its HTML can be read. Pure."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.papers.checking.article import Article, dois_in, plain_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["PAGE_BYTES", "Page", "read_page", "refresh_address"]

PAGE_BYTES = 524_288
"""As much of a page is read."""

_TITLES = ("citation_title", "bepress_citation_title", "eprints.title", "dc.title", "dcterms.title")
_DOIS = (
    "citation_doi",
    "bepress_citation_doi",
    "prism.doi",
    "dc.identifier",
    "dc.identifier.doi",
    "dcterms.identifier",
    "doi",
)
_AUTHORS = ("citation_author", "bepress_citation_author", "citation_authors", "eprints.creators_name", "dc.creator")
_DATES = (
    "citation_publication_date",
    "citation_date",
    "citation_online_date",
    "citation_year",
    "prism.publicationdate",
    "dc.date",
    "dcterms.issued",
)
_ARTICLES = frozenset({"article", "book", "chapter", "medicalscholarlyarticle", "report", "scholarlyarticle"})
"""Types of schema.org, in lower case."""
_LONGEST_WAIT_S = 10
"""A page that leads on later than this is for people to read, and leads away when they have gone."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says of itself, as far as it is of interest here."""

    title: str
    text: str
    """Its markup too, in lower case, without comments: many a marker is in the markup."""
    metadata: Mapping[str, Sequence[str]]
    inputs: frozenset[tuple[str, str]]
    """Name and type of each form field, in lower case."""
    refresh: str = ""
    """Where it leads on by itself, soon; maybe relative."""
    described: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """What its JSON-LD says of articles (schema.org)."""

    @property
    def pdf_url(self) -> str | None:
        """Where the page of an article says its PDF is; maybe relative."""
        return next(self._all("citation_pdf_url"), None)

    @property
    def is_article(self) -> bool:
        """Whether it is about one: many a page of an article has a login form in its corner."""
        return "citation_title" in self.metadata or "citation_doi" in self.metadata

    @property
    def article(self) -> Article:
        """The article that it is about, as far as it tells."""
        titles = list(self._all(*_TITLES))
        dois = [doi for value in self._all(*_DOIS) for doi in dois_in(value)]
        described = _of_the_same(self.described, titles, dois)
        titles += [title for each in described for title in _titles(each)]
        if any("article" in kind.lower() for kind in self._all("og:type")):  # else it may be the site's
            titles += self._all("og:title")
        authors = [*self._authors(), *(text for each in described for text in _texts(each, "author", "creator"))]
        dois += [doi for each in described for doi in _dois(each)]
        dates = [*self._all(*_DATES), *(text for each in described for text in _texts(each, "datePublished"))]
        return Article(tuple(dict.fromkeys(titles)), frozenset(dois), tuple(dict.fromkeys(authors)), _year(dates))

    def _authors(self) -> Iterator[str]:
        name = next((name for name in _AUTHORS if name in self.metadata), None)
        for value in self.metadata.get(name or "", ()):
            yield from filter(None, (each.strip() for each in value.split(";")))

    def _all(self, *names: str) -> Iterator[str]:
        for name in names:
            yield from filter(None, self.metadata.get(name, ()))


_TAG = re.compile(r"<(meta|input)\b([^<>]{1,8192})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-z:-]{1,40})\s{0,8}=\s{0,8}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{0,500})", re.IGNORECASE)
_LINKED_DATA = re.compile(
    r"<script\b[^<>]{0,200}\bapplication/ld\+json\b[^<>]{0,200}>([^<]*(?:<(?!/script)[^<]*)*)", re.IGNORECASE
)
_REFRESH = re.compile(
    r"(\d{1,9})?[.\d]{0,9}\s{0,9}[;,\s]\s{0,9}(?:url\s{0,9}=\s{0,9})?(?P<mark>[\"']?)(.*)", re.IGNORECASE | re.DOTALL
)


def read_page(body: bytes) -> Page:
    """Read what can be read of a page, however broken."""
    plain = body[:PAGE_BYTES].replace(b"\0", b"")  # the markers are ASCII, in UTF-16 too
    text = _without_comments(plain.decode("utf-8", "replace"))
    metadata: dict[str, list[str]] = {}
    inputs: set[tuple[str, str]] = set()
    refresh = ""
    for tag in _TAG.finditer(text):
        attributes = dict(_attributes(tag[2]))
        if tag[1].lower() == "input":
            inputs.add((attributes.get("name", "").lower(), attributes.get("type", "").lower()))
        elif name := attributes.get("name") or attributes.get("property"):
            metadata.setdefault(name.lower(), []).append(attributes.get("content", "").strip())
        elif attributes.get("http-equiv", "").lower() == "refresh":
            refresh = refresh or refresh_address(attributes.get("content", ""))
    title = _TITLE.search(text)
    name = html.unescape(title[1]).strip() if title else ""
    return Page(name, text.lower(), metadata, frozenset(inputs), refresh, tuple(_described(text)))


def refresh_address(content: str) -> str:
    """Return where a refresh leads to (HTML, section 4.2.5.3); empty for nowhere, or only after a while."""
    found = _REFRESH.fullmatch(content.strip())
    if not found or int(found[1] or 0) > _LONGEST_WAIT_S:
        return ""
    mark, address = found["mark"], found[3]
    return (address.partition(mark)[0] if mark else address).strip()


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for name, *values in _ATTRIBUTE.findall(text):
        yield name.lower(), html.unescape("".join(values))


def _without_comments(text: str) -> str:
    kept = []
    at = 0
    while (start := text.find("<!--", at)) >= 0:
        kept.append(text[at:start])
        end = text.find("-->", start)
        if end < 0:
            return "".join(kept)
        at = end + 3
    return "".join([*kept, text[at:]])


def _described(text: str) -> Iterator[Mapping[str, Any]]:
    """Give the articles that a page's JSON-LD describes at its top, or one level below."""
    for block in _LINKED_DATA.finditer(text):
        try:
            told = json.loads(block[1])
        except (ValueError, RecursionError):
            continue
        for each in _listed(told):
            held = [each.get("mainEntity"), each.get("@graph")] if isinstance(each, dict) else []
            for thing in (each, *(inner for part in held for inner in _listed(part))):
                if isinstance(thing, dict) and _ARTICLES & {str(kind).lower() for kind in _listed(thing.get("@type"))}:
                    yield thing


def _of_the_same(
    described: Sequence[Mapping[str, Any]], titles: Sequence[str], dois: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    """Leave out other articles that a page describes, such as those it recommends: they share no title and no DOI.

    Where its metadata name neither, the first one described is its own.
    """
    if not (titles or dois):
        return described[:1]
    known = {*map(_letters, titles), *dois}
    return [each for each in described if known & {*map(_letters, _titles(each)), *_dois(each)}]


def _titles(thing: Mapping[str, Any]) -> list[str]:
    return list(_texts(thing, "headline", "name"))


def _dois(thing: Mapping[str, Any]) -> list[str]:
    return [doi for text in _texts(thing, "identifier", "sameAs", "@id", "doi") for doi in dois_in(text)]


def _letters(title: str) -> str:
    return "".join(filter(str.isalnum, plain_title(title).casefold()))


def _year(dates: Sequence[str]) -> int | None:
    years = (re.search(r"(?<!\d)(1[5-9]|20)\d\d(?!\d)", date) for date in dates)
    return next((int(year[0]) for year in years if year), None)


def _texts(thing: Mapping[str, Any], *names: str) -> Iterator[str]:
    """Give what members of a thing say: texts, or things with a name or a value of their own."""
    for told in (each for name in names for each in _listed(thing.get(name))):
        text = (told.get("name") or told.get("value") or told.get("@id")) if isinstance(told, dict) else told
        if isinstance(text, str) and text.strip():
            yield html.unescape(text).strip()


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
