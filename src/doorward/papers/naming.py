"""What a paper's folder and file are called. Pure, and the one place where a name from outside becomes one of ours.

A name that leaves here is a single path component: it can't name another folder, hide itself, give an option to a
command, or mean a device on some system.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from doorward.errors import ConfigurationError
from doorward.papers.checking.article import plain_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from doorward.papers.checking.article import Article

__all__ = [
    "ASIDE",
    "DEFAULT_TEMPLATE",
    "article_name",
    "candidates",
    "check_template",
    "file_stem",
    "suggested_name",
    "year_folder",
]

ASIDE = "aside"
"""The folder for PDFs that are other papers than those that were asked for."""

DEFAULT_TEMPLATE = "{name}"
_FIELDS = {"name", "host", "year"}

_LONGEST_BYTES = 120
"""Of a stem in UTF-8. File systems take 255 for a name, encrypted ones 143; what we add to a stem needs some of it."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_ENDINGS = re.compile(r"\.(pdf|part|json|html?|php|aspx?|jsp)$", re.IGNORECASE)

_GENERIC = {"", "pdf", "full", "fulltext", "full-text", "download", "epdf", "pdfdirect", "file", "content", "view",
            "viewcontent", "getpdf", "stamp", "main", "document", "article", "render", "index", "default"}  # fmt: skip
"""Last parts of addresses that name no paper."""

_EXTENDED = re.compile(r"""filename\*\s{0,8}=\s{0,8}(utf-8|iso-8859-1)'[^']{0,20}'([^\s;,"]{1,1000})""", re.IGNORECASE)
_PLAIN = re.compile(r"""filename\s{0,8}=\s{0,8}(?:"((?:[^"\\]|\\.){0,1000})"|([^\s;"]{1,1000}))""", re.IGNORECASE)


def year_folder(year: int | None) -> str:
    """Return the name of the folder for papers of ``year``: four digits, or ``unknown``."""
    return f"{year:04d}" if year is not None and 0 < year <= 9999 else "unknown"  # noqa: PLR2004 - four digits


def check_template(template: str) -> None:
    """Refuse a template of names that is none.

    Raises:
        ConfigurationError: field ``template``; reason ``template_malformed``.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        parts = [("", "?", "", None)]
    fields = [field for _, field, _, _ in parts if field is not None]
    plain = all(not specification and not conversion for _, field, specification, conversion in parts if field)
    if not set(fields) <= _FIELDS or "name" not in fields or not plain:
        message = "A template of names has {name} in it, and may have {host} and {year}. Write it like '{host} {name}'."
        raise ConfigurationError(message, field="template", reason="template_malformed")


def suggested_name(url: str, content_disposition: str | None = None) -> str:
    """Return what a paper would be called by its server: RFC 6266's file name, else what its address says.

    Not fit for use: it is what ``file_stem`` is for to make a name of it.
    """
    if content_disposition:
        if extended := _EXTENDED.search(content_disposition):
            return unquote(extended[2], encoding=extended[1], errors="replace")
        if plain := _PLAIN.search(content_disposition):
            return re.sub(r"\\(.)", r"\1", plain[1] or "") or plain[2] or ""
    return next(_names_in(url), "")


def article_name(article: Article, year: int | None) -> str:
    """Return what a paper is called after its article, as Zotero does: ``Smith et al. - 2019 - Title``.

    Empty where its title is not known. Not fit for use, as ``suggested_name`` is not.
    """
    if not article.titles:
        return ""
    title = plain_title(article.titles[0]).replace(": ", " - ")
    return " - ".join(filter(None, (_whose(article.authors), str(year or ""), title)))


def _whose(authors: Sequence[str]) -> str:
    names = [*filter(None, map(_last_name, authors[:3]))]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)  # noqa: PLR2004 - as many as are named


def _last_name(author: str) -> str:
    """Take ``Smith, Jane`` and ``Jane Smith``."""
    last, comma, _ = author.partition(",")
    return last.strip() if comma else author.rsplit(maxsplit=1)[-1]


def _names_in(url: str) -> Iterator[str]:
    """Give the parts of an address that may name something, the last first."""
    parts = urlsplit(url)
    for part in reversed(parts.path.split("/")):
        name = unquote(part)
        if _ENDINGS.sub("", name).lower() not in _GENERIC:
            yield name
    yield parts.query


def file_stem(template: str, fields: Mapping[str, str]) -> str:
    """Return a file name without its ending: ``template``, filled in, made safe as a whole.

    Args:
        template: one that ``check_template`` lets through.
        fields: ``name``, ``host`` and ``year``, from wherever.
    """
    fields = {**fields, "name": _ENDINGS.sub("", fields.get("name", ""))}
    return _safe(template.format(**{field: fields.get(field, "") for field in _FIELDS}))


def _safe(text: str) -> str:
    text = unicodedata.normalize("NFC", text[:1000])
    text = "".join(" " if not character.isprintable() else character for character in text)
    text = " ".join(_FORBIDDEN.sub("_", text).split())
    text = text.encode()[:_LONGEST_BYTES].decode("utf-8", "ignore")
    text = text.strip(" .").lstrip("-~ .")  # hidden, an option, a home; ends that some systems cut off
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return text if any(character.isalnum() for character in text) else "paper"


def candidates(stem: str) -> Iterator[str]:
    """Give the names a file may get, until one is free: ``stem.pdf``, ``stem (2).pdf``, …; a thousand of them."""
    yield f"{stem}.pdf"
    for number in range(2, 1001):
        yield f"{stem} ({number}).pdf"
