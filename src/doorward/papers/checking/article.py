"""Which article is meant, and whether a PDF is of that one by what it says. Pure.

Only a PDF that can be read, and in which neither DOI nor title stands, is another paper. Where there is doubt (a scan,
a garbled font, another language, a title of one word), nothing is said against it: a paper that is set aside by mistake
costs a person more than one that nobody checked.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Article", "Contents", "Verdict", "dois_in", "judge", "plain_title"]

Verdict: TypeAlias = Literal["right", "wrong", "no_text", "unsure"]


@dataclass(frozen=True, slots=True)
class Article:
    """What is known of an article. Of titles there may be several: translations, or one with the journal's name."""

    titles: Sequence[str] = ()
    dois: frozenset[str] = frozenset()
    """In lower case."""
    authors: Sequence[str] = ()
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a PDF says: the text of its first pages, and what its metadata say (Info and XMP)."""

    pages: tuple[str, ...] = ()
    metadata: str = ""
    has_pictures: bool = False


_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>{}|\\^`]{1,300}")
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_FORMS = str.maketrans(dict.fromkeys(_HYPHENS, "-") | dict.fromkeys(_UNSEEN))
_LINE_END_HYPHEN = re.compile(r"-[^\S\n]*\n\s*")
_SITE = re.compile(r"\s(?:[|-]|::)\s")
"""What stands between a title and the name of its journal, where pages put both."""
_MARKUP = re.compile(r"<[a-zA-Z/][^<>]{0,100}>|\$[^$]{0,200}\$|\\[a-zA-Z]{1,20}")
_STAMP = re.compile(
    r"download|copyright|licen[cs]e|terms of use|all rights|https?:|www\.|jstor|\xa9|this content", re.IGNORECASE
)
"""Lines that publishers put on every page, of scans too."""

_COMMON = {
    "English": "the of and in to is with that by on are from this as was were which an at",
    "German": "der die das und ist nicht von mit den des dem ein eine fur auf zu wird im sich zur",
    "French": "le la les des et est une dans du pour que qui sur par avec au ce sont aux cette",
    "Spanish": "el la los las del y en que una por con para es se como su al lo mas entre",
    "Portuguese": "o os as do da dos das e em que uma por com para nao se como ao mais entre",
    "Italian": "il la di che e un una per con del della dei nel non si sono le gli alla come",
    "Dutch": "de het een en van in is dat op te zijn met voor niet aan door om bij ook naar",
}
_LANGUAGES: Mapping[str, frozenset[str]] = {name: frozenset(words.split()) for name, words in _COMMON.items()}
"""By which words a language is known."""

_LONGEST = 100_000
"""Characters of a text: some become eighteen."""
_LONGEST_TITLE = 1000
_FEW_WORDS = 6
_SCANNED = 60  # words of a page: scans have stamps and headings
_SHORT_TITLE = 3  # words: "Editorial", "Book reviews"
_ENOUGH, _TOO_LITTLE = 0.8, 0.5  # of a title's words, close together


def dois_in(text: str) -> list[str]:
    """Return the DOIs in a text, in lower case, without the punctuation behind them."""
    plain = _plain(text)
    return [_trimmed(found[0]) for found in _DOI.finditer(plain)]


def plain_title(title: str) -> str:
    """Return a title without the markup that pages put into it."""
    return " ".join(_MARKUP.sub("", html.unescape(html.unescape(title))).split())


def judge(article: Article, contents: Contents) -> Verdict:
    """Say whether ``contents`` are of ``article``; ``no_text`` and ``unsure``: there is no telling."""
    pages = "\n".join(_plain(page) for page in contents.pages)
    everything = f"{pages}\n{_plain(contents.metadata)}"
    joined = re.sub(r"\s*\n\s*", "", everything)
    forms = (everything, joined, _LINE_END_HYPHEN.sub("", everything))
    if any(_stands_in(doi, forms) for doi in article.dois):
        return "right"
    titles = [_plain(plain_title(title[:_LONGEST_TITLE]))[:_LONGEST_TITLE] for title in article.titles]
    letters, words = _letters(everything), _words(pages)
    closest = max((_closeness(title, letters, words) for title in titles), default=0.0)
    own = _own_dois(contents)
    is_strange = own and article.dois and not any(_akin(mine, theirs) for mine in article.dois for theirs in own)
    is_telling = any(len(_words(title)) >= _SHORT_TITLE for title in titles)
    if closest >= _ENOUGH and (is_telling or not is_strange):
        return "right"
    if is_strange and (closest < _TOO_LITTLE or not is_telling):
        return "wrong"
    if _is_scan(contents):
        return "no_text"
    return "wrong" if is_telling and closest < _TOO_LITTLE and _same_language(titles, words) else "unsure"


def _plain(text: str) -> str:
    """Return a text in the forms that compare: ligatures apart, hyphens alike, what cannot be seen left out."""
    return unicodedata.normalize("NFKC", text)[:_LONGEST].translate(_FORMS).casefold()


def _trimmed(doi: str) -> str:
    doi = doi.rstrip(".,;:'*-")
    while doi.endswith((")", "]")) and doi.count(doi[-1]) > doi.count({")": "(", "]": "["}[doi[-1]]):
        doi = doi[:-1].rstrip(".,;:'*-")
    return doi


def _stands_in(doi: str, forms: Sequence[str]) -> bool:
    """Say whether a DOI stands in a text: as it is, or broken over lines, with a hyphen or without."""
    there = re.compile(re.escape(doi) + r"(?!\d)")
    return any(there.search(form) for form in forms)


def _own_dois(contents: Contents) -> set[str]:
    """Return the DOIs that a PDF may have for its own: those of its metadata and its first page."""
    return set(dois_in(contents.metadata)) | set(dois_in("\n".join(contents.pages[:1])))


def _akin(one: str, other: str) -> bool:
    """Whether one DOI may be a part or a version of the other, or be cut off."""
    return one.startswith(other) or other.startswith(one)


def _closeness(title: str, letters: str, words: Sequence[str]) -> float:
    """Return how much of a title stands together in a text: 1 for all of it."""
    least = min(_SHORT_TITLE, len(_words(title))) or 1
    best = 0.0
    for part in (title, *_SITE.split(title)[:1]):
        wanted = _words(part)
        if len(wanted) < least:
            continue
        if _letters(part) in letters:
            return 1.0
        telling = {word for word in wanted if len(word) > 3 or not word.isascii()} or set(wanted)  # noqa: PLR2004 - longer than "the"
        best = max(best, _densest(telling, words, 2 * len(wanted) + 6) / len(telling))
    return best


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text)))


def _words(text: str) -> list[str]:
    apart = unicodedata.normalize("NFKD", _LINE_END_HYPHEN.sub("", _plain(text)))
    return re.findall(r"[^\W_]+", "".join(each for each in apart if not unicodedata.combining(each)))


def _densest(wanted: set[str], words: Sequence[str], width: int) -> int:
    """Return how many of the wanted words stand within ``width`` words of each other at most."""
    near: deque[str] = deque()
    count: Counter[str] = Counter()
    there = best = 0
    for word in words:
        near.append(word)
        if word in wanted:
            count[word] += 1
            there += count[word] == 1
        if len(near) > width and (gone := near.popleft()) in wanted:
            count[gone] -= 1
            there -= count[gone] == 0
        best = max(best, there)
    return best


def _is_scan(contents: Contents) -> bool:
    """Say whether there is too little text to tell anything by, but for what is stamped on every page."""
    lines = [line for page in contents.pages for line in page.splitlines() if not _STAMP.search(line)]
    words = [word for word in _words("\n".join(lines)) if word.isalpha() and len(word) > 1]
    return len(words) < (_SCANNED * len(contents.pages) if contents.has_pictures else _FEW_WORDS)


def _same_language(titles: Iterable[str], words: Sequence[str]) -> bool:
    """Say whether a text is in a language that we know, which may be that of a title: else the font may be garbled."""
    text = _language(words)
    return text is not None and any(_language(_words(title)) in {None, text} for title in titles)


def _language(words: Sequence[str]) -> str | None:
    hits = {name: sum(word in common for word in words) for name, common in _LANGUAGES.items()}
    best = max(hits, key=hits.__getitem__)
    return best if hits[best] else None
