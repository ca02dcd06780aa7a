"""What holds of papers for any name, page and answer."""

from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.papers.addresses import address_flaw, joined
from doorward.papers.inspect import begins_as_pdf, ends_as_pdf, name_page
from doorward.papers.naming import candidates, file_stem, suggested_name, year_folder
from doorward.papers.outcomes import ADVICE
from doorward.papers.page import PAGE_BYTES, read_page
from doorward.papers.partial import Part

ANY_TEXT = st.text(st.characters(), max_size=400)
NASTY = st.lists(
    st.sampled_from(["..", "/", "\\", ".", "~", "%2e", "%2f", "\x00", "\n", "CON", "nul", ":", " ", "-", "\u202e",
                     "\uff0f", "\u2024", "a", ".pdf", "e\u0301"]),
    max_size=12,
).map("".join)  # fmt: skip
NAMES = ANY_TEXT | NASTY
TEMPLATES = st.sampled_from(["{name}", "{year}-{name}", "../{name}/..", "/{host}/{name}", "{name}{name}{name}"])


@given(template=TEMPLATES, name=NAMES, host=NAMES, year=NAMES)
@example("{name}", "../../x", "", "")
@example("{name}", "C:\\x", "", "")
@example("{year}-{name}", "", "", "CON .")
def test_a_name_cannot_leave_the_folder(template, name, host, year):
    stem = file_stem(template, {"name": name, "host": host, "year": year})
    for file in (f"{stem}.pdf", next(iter(candidates(stem)))):
        assert PurePosixPath(file).name == file
        assert PureWindowsPath(file).name == file
        assert not PureWindowsPath(file).is_reserved()
    assert len(stem.encode()) <= 121
    assert stem[0] not in ".-~ "
    assert stem[-1] not in ". "
    assert stem.isprintable()
    assert unicodedata.is_normalized("NFC", stem)
    assert file_stem("{name}", {"name": stem + ".pdf"}) == stem


@given(url=NAMES, disposition=st.none() | NAMES | NAMES.map(lambda name: f'attachment; filename="{name}"'))
def test_what_a_server_calls_it_is_some_text(url, disposition):
    assert isinstance(suggested_name(joined("https://example.org/a/b", url.replace("[", "")), disposition), str)


@settings(deadline=None, max_examples=60)  # a disk takes the time it takes
@given(
    name=NAMES.map(lambda name: file_stem("{name}", {"name": name})),
    year=st.none() | st.integers(),
    data=st.binary(max_size=99),
)
def test_what_is_written_is_in_the_folder_and_whole(name, year, data):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "papers"
        with Part(folder, year_folder(year), "x") as part:
            part.begin(None, None)
            part.write(data)
            saved = part.finish(name)
        assert saved.path.resolve().parent.parent == folder.resolve()
        assert saved.path.read_bytes() == data
        assert [path for path in Path(root).rglob("*") if path.is_file()] == [saved.path]


@given(reference=NAMES | NAMES.map(lambda name: f"https://{name}"))
def test_an_address_is_fit_or_refused(reference):
    address = joined("https://example.org/a/b", reference)
    flaw = address_flaw(address, insecure_loopback_http=False)
    assert flaw or address.startswith("https://")
    assert flaw == "not_a_string" or address.isascii()


@given(
    status=st.integers(200, 599),
    body=st.binary(max_size=2000)
    | NAMES.map(lambda text: f"<html><meta {text}><title>{text}".encode(errors="replace")),
    redirected_to=st.none() | st.just("https://example.org/login"),
)
def test_every_page_has_a_name_and_none_is_saved(status, body, redirected_to):
    finding = name_page(status, {}, body, read_page(body), redirected_to=redirected_to)
    assert finding.outcome in ADVICE
    assert finding.outcome not in {"saved", "truncated", "too_large"}
    assert finding.reason


@given(head=st.binary(max_size=64), tail=st.binary(max_size=64), size=st.integers(0, 2**70))
def test_what_is_no_pdf_is_none(head, tail, size):
    assert not begins_as_pdf(head) or b"%PDF-" in head
    assert not ends_as_pdf(tail, size) or (b"startxref" in tail and b"%%EOF" in tail)


@given(st.binary(max_size=200), st.integers(1, 2000))
def test_an_end_that_was_cut_off_is_none(filling, missing):
    whole = b"%PDF-1.7\n" + filling.replace(b"%", b"") + b"\nstartxref\n9\n%%EOF"
    cut = whole[: max(len(whole) - missing, 0)]
    assert ends_as_pdf(whole, len(whole))
    assert not ends_as_pdf(cut, len(cut))


def test_pages_are_read_to_a_limit():
    assert len(read_page(b"x" * (PAGE_BYTES + 5)).text) == PAGE_BYTES
