"""What PDFs say, read by a process of its own; and that none of them holds it for long or makes it large."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zlib

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, NumberObject
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from doorward.papers.checking.pdf_text import say
from doorward.papers.checking.reading import can_read, read_pdf


def made(*pages, title=None, picture=None):
    buffer = io.BytesIO()
    drawing = canvas.Canvas(buffer, pagesize=A4)
    if title:
        drawing.setTitle(title)
    for page in pages:
        if picture:
            drawing.drawImage(picture, 0, 0, *A4)
        text = drawing.beginText(72, 780)
        text.textLines(page)
        drawing.drawText(text)
        drawing.showPage()
    drawing.save()
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data, **options):
        (tmp_path / "x.pdf").write_bytes(data)
        fd = os.open(tmp_path / "x.pdf", os.O_RDONLY)
        try:
            return read_pdf(fd, **options)
        finally:
            os.close(fd)

    return read


def rewritten(data, change):
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    change(writer)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description prism:doi="10.1234/abc.1"
xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/"><dc:title
xmlns:dc="http://purl.org/dc/elements/1.1/">Salt &amp; sea</dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_the_first_pages_and_the_metadata_are_read(read):
    contents = read(made("one\ntwo", "three", "four", "five", title="A study"))
    assert [page.split() for page in contents.pages] == [["one", "two"], ["three"], ["four"]]
    assert "A study" in contents.metadata
    assert not contents.has_pictures


def test_xmp_is_read_in_both_of_its_spellings(read):
    def change(writer):
        writer.xmp_metadata = XMP.encode()

    metadata = read(rewritten(made("x"), change)).metadata
    assert "10.1234/abc.1" in metadata
    assert "Salt & sea" in metadata


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_what_is_locked_without_a_password_is_read(read, algorithm):
    data = rewritten(made("the text"), lambda writer: writer.encrypt("", "owner", algorithm=algorithm))
    assert "the text" in read(data).pages[0]


def test_what_wants_a_password_is_not(read):
    assert (
        read(rewritten(made("the text"), lambda writer: writer.encrypt("user", "owner", algorithm="RC4-128"))) is None
    )


def test_a_scan_is_known_by_its_pictures(read):
    contents = read(made("", "", picture=ImageReader(Image.new("L", (60, 80), 200))))
    assert contents.has_pictures
    assert not "".join(contents.pages).strip()


def with_stream(operators, *, filters=b"/FlateDecode", kid=3, box=b"[0 0 9 9]"):
    """Make a PDF of one page with this stream, packed once."""
    packed = zlib.compress(operators)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % kid,
        b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>" % box,
        b"<</Filter%s/Length %d>>stream\n%s\nendstream" % (filters, len(packed), packed),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    made, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(made))
        made += b"%d 0 obj%s endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 6\n0000000000 65535 f \n" + table + end


WORD = b"BT /F1 12 Tf (hello) Tj ET\n"
HOSTILE = {
    "nothing": b"",
    "no PDF": b"<html>",
    "no table": b"%PDF-1.7\n" + b"." * 999 + b"\nstartxref\n9\n%%EOF\n",
    "a tree in a circle": with_stream(WORD, kid=2),
    "lists within lists": with_stream(WORD, box=b"[" * 200_000),
    "a bomb": with_stream(bytes(300_000_000) + WORD),
    "a bomb within a bomb": with_stream(
        zlib.compress(bytes(300_000_000) + WORD), filters=b"[/FlateDecode/FlateDecode]"
    ),
}


def test_what_the_hostile_ones_are_made_of_is_read(read):
    assert read(with_stream(WORD)).pages == ("hello",)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_broken_or_hostile_says_nothing(read, data):
    contents = read(data)
    assert contents is None or not "".join(contents.pages).strip()


def test_who_reads_for_too_long_is_stopped(read):
    busy = with_stream(WORD * 2_000_000)
    started = time.monotonic()
    assert read(busy, deadline_s=1.0) is None
    assert time.monotonic() - started < 20


def test_the_reader_has_bounds_from_the_system():
    code = (
        "import resource, doorward.papers.checking.pdf_text as reader\n"
        "try: reader.main()\nexcept SystemExit as end: print(end.code)\n"
        "print(0 < resource.getrlimit(resource.RLIMIT_CPU)[0] <= 60)\n"
        "try: bytearray(3 << 30)\nexcept MemoryError: print('bounded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["1", "True", "bounded"]


def test_no_file_of_a_publisher_has_a_program_started(read, tmp_path, monkeypatch):
    program, mark = tmp_path / "jbig2dec", tmp_path / "started"
    program.write_text(f"#!/bin/sh\n: > {mark}\nhead -c 100 /dev/zero\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    read(with_stream(WORD, filters=b"/JBIG2Decode"))
    assert not mark.exists()


@pytest.mark.parametrize(
    "act",
    [
        "subprocess.run(['true'])",
        "os.system('true')",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "open('made', 'w')",
        "open('made', 'x')",
        "os.open('made', os.O_CREAT)",
        "open(sys.executable, 'rb+')",
        "os.mkdir('made')",
        "os.unlink('made')",
        "socket.socket()",
        "socket.getaddrinfo('localhost', 80)",
    ],
)
def test_while_it_is_read_nothing_else_is_done(tmp_path, act):
    code = (
        "import os, socket, subprocess, sys\n"
        "from doorward.papers.checking.pdf_text import nothing_else\n"
        f"try:\n with nothing_else(): {act}\nexcept PermissionError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "refused\n"
    assert not list(tmp_path.iterdir())


def test_a_program_that_is_no_interpreter_is_not_started(monkeypatch):
    assert can_read()
    monkeypatch.setattr(sys, "executable", "/opt/app/app")
    assert not can_read()


def test_one_page_that_can_not_be_read_leaves_the_others():
    data = made("one", "two")
    broken = rewritten(data, lambda writer: writer.pages[0].__setitem__(NameObject("/Contents"), NumberObject(5)))
    said = say(io.BytesIO(broken))
    assert said["pages"][0] == ""
    assert "two" in said["pages"][1]
