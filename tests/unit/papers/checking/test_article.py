"""Whether a PDF is the paper that was asked for, by what it says: never against the right one, however it is set."""

from __future__ import annotations

import pytest

from doorward.papers.checking.article import Article, Contents, dois_in, judge
from doorward.papers.naming import article_name, file_stem

TITLE = "Efficient classification of fluorescent well-known proteins: the effect of \u03b1-helices in Saint-Étienne"
DOI = "10.1234/j.abc-2019(03)77"
BODY = (
    """
We show that the samples which were taken in the field are of the kind that is known from earlier work on this, and
that they are not an artefact. This was done with a method that is described in the appendix and by the authors.
"""
    * 3
)
ARTICLE = Article((TITLE,), frozenset({DOI}))


def said(*pages, metadata="", has_pictures=False):
    return Contents(pages, metadata, has_pictures)


RIGHT = {
    "as it is": TITLE,
    "all capitals": TITLE.upper(),
    "letters spaced out": " ".join(TITLE.upper()),
    "ligatures": TITLE.replace("ffi", "\ufb03").replace("fl", "\ufb02").replace("ff", "\ufb00"),
    "broken over lines": TITLE.replace(" ", "\n"),
    "hyphenated": TITLE.replace("classification", "classi-\nfication").replace("proteins", "pro\u00ad\nteins"),
    "hyphenated with another hyphen": TITLE.replace("classification", "classi\u2010\nfication"),
    "accents apart": TITLE.replace("É", "E\u0301"),
    "no accents": TITLE.replace("É", "E"),
    "other dashes": TITLE.replace("-", "\u2011"),
    "a footnote's mark in it": TITLE.replace("proteins:", "proteins\u22171:"),
    "a letter lost by a font": TITLE.replace("\u03b1", "").replace("fl", ""),
    "words run together": TITLE.replace(" ", ""),
    "DOI alone": f"doi:{DOI}.",
    "DOI in capitals": f"https://doi.org/{DOI.upper()}",
    "DOI broken over lines": f"doi.org/{DOI[:9]}\n{DOI[9:]}",
    "DOI broken at its hyphen": f"doi.org/{DOI.replace('-', '-' + chr(10))}",
    "DOI with another hyphen": DOI.replace("-", "\u2013"),
    "DOI run into the next word": f"{DOI}Received 3 May",
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("page", [0, 2])
def test_the_right_paper_is_told(text, page):
    pages = [BODY] * 3
    pages[page] += text + BODY
    assert judge(ARTICLE, said(*pages)) == "right"


@pytest.mark.parametrize("metadata", [TITLE, f"doi:{DOI}", f' prism:doi= "{DOI}" '])
def test_metadata_tell_too(metadata):
    assert judge(ARTICLE, said(BODY, metadata=metadata)) == "right"
    assert judge(ARTICLE, said("", metadata=metadata)) == "right"


@pytest.mark.parametrize(
    "title",
    [
        f"<i>{TITLE}</i>",
        f"{TITLE} | Journal of Things",
        f"{TITLE} - ScienceDirect",
        TITLE.replace("\u03b1", "<span>&alpha;</span>"),
        TITLE.replace("\u03b1", r"$\alpha$"),
    ],
)
def test_a_title_as_pages_write_it(title):
    assert judge(Article((title,)), said(BODY + TITLE + BODY)) == "right"


def test_one_of_several_titles_is_enough():
    assert judge(Article(("Effets de la température sur les saumons", TITLE)), said(BODY + TITLE)) == "right"


WRONG = {
    "another paper": (ARTICLE, said("The social life of urban foxes\n" + BODY)),
    "another DOI, and no title known": (Article((), frozenset({DOI})), said("doi:10.9999/xyz\n" + BODY)),
    "another DOI in the metadata": (Article((), frozenset({DOI})), said(BODY, metadata="doi:10.9999/xyz")),
    "a few lines": (ARTICLE, said("The social life of urban foxes\nA. Author\nUniversity of Nowhere")),
    "words of the title far apart": (
        Article(("Temperature and growth of Atlantic salmon",)),
        said("temperature " + BODY + " growth " + BODY + " Atlantic " + BODY + " salmon " + BODY),
    ),
    "an editorial with another DOI": (
        Article(("Editorial",), frozenset({DOI})),
        said("Editorial doi:10.9999/xyz\n" + BODY),
    ),
    "a longer DOI": (Article((TITLE,), frozenset({"10.1234/abc.1"})), said("doi:10.1234/abc.12\n" + BODY)),
}


@pytest.mark.parametrize(("article", "contents"), WRONG.values(), ids=WRONG)
def test_another_paper_is_told(article, contents):
    assert judge(article, contents) == "wrong"


STAMP = "Downloaded from https://publisher.example/doi by University of Nowhere on 29 November 2026 at 10:02\n"
UNTOLD = {
    "nothing": (said(""), "no_text"),
    "no page": (said(), "no_text"),
    "a scan with a stamp": (said(STAMP, STAMP, STAMP), "no_text"),
    "a scan with a heading": (said(*["Annals of Things, vol. 7, the 3rd of May\n"] * 3, has_pictures=True), "no_text"),
    "a garbled font": (said("7KH VRFLDO OLIH RI XUEDQ IRAHV DQG WKHLU IULHQGV " * 30), "unsure"),
    "another language than the title's": (
        said("Das Verhalten der Füchse in der Stadt ist nicht von dem auf dem Land zu unterscheiden. " * 9),
        "unsure",
    ),
    "another script": (said("Социальная жизнь городских лисиц и их друзей " * 30), "unsure"),
    "half of the title": (said("Efficient classification of fluorescent proteins\n" + BODY), "unsure"),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "verdict"), UNTOLD.values(), ids=UNTOLD)
def test_where_there_is_no_telling_nothing_is_said_against_it(contents, verdict):
    article = Article(("Efficient classification of the fluorescent proteins in cells with helices",), frozenset({DOI}))
    assert judge(article, contents) == verdict


@pytest.mark.parametrize("title", ["Editorial", "Book reviews", "", "$x$", "—"])
def test_a_title_that_tells_little_makes_no_paper_wrong(title):
    assert judge(Article((title,)), said(BODY)) in {"unsure", "right"}


@pytest.mark.parametrize(
    ("mine", "theirs"), [("10.5281/zenodo.10", "10.5281/zenodo.10.v2"), ("10.1093/abc/xyz/123", "10.1093/abc/xyz")]
)
def test_a_part_or_a_version_is_no_other_paper(mine, theirs):
    assert judge(Article((), frozenset({mine})), said(f"doi:{theirs} \n" + BODY)) in {"right", "unsure"}


@pytest.mark.parametrize(
    ("text", "dois"),
    [
        ("see doi:10.1234/ABC.1, and (https://doi.org/10.1234/x(1)2).", ["10.1234/abc.1", "10.1234/x(1)2"]),
        ("doi: 10.1234/a\u2013b;", ["10.1234/a-b"]),
        ("version 10.12/7 and 110.1234/x", []),
        ('<a href="10.1000/182">', ["10.1000/182"]),
    ],
)
def test_dois_in_a_text(text, dois):
    assert dois_in(text) == dois


@pytest.mark.parametrize(
    ("authors", "year", "title", "name"),
    [
        (("Smith, Jane",), 2019, "A study: of things", "Smith - 2019 - A study - of things"),
        (("Jane Smith", "Ann de Boer"), 2019, "A study", "Smith and Boer - 2019 - A study"),
        (("Smith, J.", "Doe, A.", "Roe, R."), None, "<i>Life</i> in CO<sub>2</sub>", "Smith et al. - Life in CO2"),
        ((), None, "A study", "A study"),
        (("王小明",), 2020, "研究", "王小明 - 2020 - 研究"),
        ((), 2020, "../../etc/passwd", "2020 - .._.._etc_passwd"),
        (("-rf, x", " , y"), None, "CON", "rf - CON"),
    ],
)  # fmt: skip
def test_what_a_paper_is_called_after_its_article(authors, year, title, name):
    assert file_stem("{name}", {"name": article_name(Article((title,), authors=authors), year)}) == " ".join(
        name.split()
    )


def test_a_paper_without_a_title_has_no_such_name():
    assert not article_name(Article(authors=("Smith",)), 2019)


@pytest.mark.timeout(100)  # each takes a second or two, and took hours
@pytest.mark.parametrize(
    "article",
    [
        Article(tuple(" ".join(f"w{number}x{title}" for number in range(1000)) for title in range(50))),
        Article(dois=frozenset(f"10.1234/{number}." + "9" * 200 for number in range(50))),
        Article(("\ufdfa" * 8000,) * 50),
    ],
    ids=["words", "dois", "letters that are eighteen"],
)
def test_what_a_page_and_a_pdf_are_made_to_cost_is_bounded(article):
    words = " ".join(f"w{number}" for number in range(20_000))[:50_000]
    assert judge(article, said(words, words, words, metadata="10.1234/\n" * 5000)) in {"no_text", "unsure", "wrong"}
