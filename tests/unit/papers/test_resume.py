"""A download that was cut goes on with the rest only, and never joins what does not belong together."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import textwrap

import pytest

from doorward.errors import StoreError
from doorward.papers.manifest import MANIFEST
from doorward.papers.partial import InUse, Part

SIZE = 400_000
CUT_AT = 250_000


class Store:
    """A server's file that can be cut, changed and forgotten; it knows ranges unless told not to."""

    def __init__(self, body, *, etag='"one"', ranges=True, **headers):
        self.body = body
        self.etag = etag
        self.ranges = ranges
        self.headers = headers
        self.cuts = [CUT_AT]
        self.sent = []

    def __call__(self, handler):
        span = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        fresh = handler.headers.get("If-Range") in {self.etag, self.headers.get("Last-Modified")}
        start = int(span[1]) if span and fresh and self.ranges else 0
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(self.body) - start))
        handler.end_headers()
        stop = self.cuts.pop(0) if self.cuts else len(self.body)
        self.sent.append((start, stop))  # before whoever asked can have it all
        handler.wfile.write(self.body[start:stop])


@pytest.fixture
def server(site):
    return site()


def fetch(library, server, **settings):
    [outcome] = library(**settings).fetch(server.at("/p.pdf"))
    return outcome


def test_the_rest_only_by_itself(server, library, pdf, kept):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    outcome = fetch(library, server)
    assert outcome.is_saved
    assert outcome.path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (CUT_AT, SIZE)]
    assert server.asked[1].headers["if-range"] == '"one"'
    assert kept() == ["unknown/p.pdf"]


def test_the_rest_only_the_next_time(server, library, pdf, kept):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    outcome = fetch(library, server, resumes=0)
    assert (outcome.outcome, outcome.reason) == ("truncated", "truncated")
    assert [name.partition(".part")[1:] for name in kept()] == [(".part", ""), (".part", ".json")]
    assert fetch(library, server, resumes=0).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (CUT_AT, SIZE)]
    assert kept() == ["unknown/p.pdf"]


def test_by_a_date_that_is_as_good_as_a_tag(server, library, pdf):
    server["/p.pdf"] = store = Store(pdf(SIZE), etag=None, **{"Last-Modified": "Sun, 01 Nov 2020 10:00:00 GMT"})
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (CUT_AT, SIZE)]


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
def test_without_a_validator_there_is_no_going_on(server, library, pdf, kept, etag):
    server["/p.pdf"] = store = Store(pdf(SIZE), etag=etag)
    assert fetch(library, server).outcome == "truncated"
    assert kept() == []
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (0, SIZE)]


def test_a_file_that_changed_starts_anew(server, library, pdf):
    server["/p.pdf"] = Store(pdf(SIZE))
    assert fetch(library, server, resumes=0).outcome == "truncated"
    server["/p.pdf"] = changed = Store(pdf(SIZE, filling=b"new"), etag='"two"')
    changed.cuts = []
    assert fetch(library, server).path.read_bytes() == changed.body
    assert changed.sent == [(0, SIZE)]


def test_a_server_that_knows_no_ranges_starts_anew(server, library, pdf):
    server["/p.pdf"] = store = Store(pdf(SIZE), ranges=False)
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (0, SIZE)]


@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Range": "bytes 0-399999/400000"},
        {"Content-Range": f"bytes {CUT_AT}-399999/999999"},
        {"Content-Range": f"bytes {CUT_AT}-399999/{SIZE}", "ETag": '"two"'},
        {"Content-Range": "octets 1-2/3"},
        {},
    ],
)
def test_a_part_that_does_not_fit_is_not_joined(server, library, pdf, lie):
    store = Store(pdf(SIZE))

    def page(handler):
        if "Range" not in handler.headers:
            store(handler)
            return
        handler.send_response(206)
        for name, value in {"Content-Length": "5", **lie}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"wrong")

    server["/p.pdf"] = page
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (0, SIZE)]


def test_a_range_that_is_refused_starts_anew(server, library, pdf):
    store = Store(pdf(SIZE))

    def page(handler):
        if "Range" in handler.headers:
            handler.send_error(416)
        else:
            store(handler)

    server["/p.pdf"] = page
    assert fetch(library, server).path.read_bytes() == store.body


def test_a_login_page_in_between_loses_nothing(server, library, pdf):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    assert fetch(library, server, resumes=0).outcome == "truncated"
    server["/p.pdf"] = (200, {}, b"<html><input type=password>")
    assert fetch(library, server).outcome == "login_page"
    server["/p.pdf"] = store
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent == [(0, CUT_AT), (CUT_AT, SIZE)]


def test_it_gives_up_after_as_many_times_as_it_may(server, library, pdf):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    store.cuts = [50_000, 100_000, 150_000, 200_000]
    assert fetch(library, server, resumes=2).outcome == "truncated"
    assert [start for start, _ in store.sent] == [0, 50_000, 100_000]


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"[]",
        b"{}",
        b'{"validator": 5, "total": 1}',
        b'{"validator": "x\\r\\nCookie: a", "total": 1}',
        b'{"validator": "\\"one\\"", "total": "1"}',
        b'{"validator": "\\"one\\"", "total": 3}',
        b"[" * 9000,
    ],
)
def test_a_note_that_is_not_ours_is_not_believed(server, library, pdf, tmp_path, note):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    fetch(library, server, resumes=0)
    [path] = tmp_path.rglob("*.json")
    path.write_bytes(note)
    assert fetch(library, server).path.read_bytes() == store.body
    assert store.sent[1] == (0, SIZE)


def test_one_download_at_a_time(server, library, pdf, tmp_path):
    server["/p.pdf"] = Store(pdf(SIZE))
    fetch(library, server, resumes=0)
    [path] = tmp_path.rglob("*.part")
    with Part(tmp_path / "papers", "unknown", path.stem) as part:
        assert part.resume is not None
        outcome = fetch(library, server)
        assert (outcome.outcome, outcome.reason) == ("unavailable", "download_under_way")
        with pytest.raises(InUse), Part(tmp_path / "papers", "unknown", path.stem):
            pass


def test_two_that_begin_together(tmp_path):
    with Part(tmp_path, "2020", "x") as first, Part(tmp_path, "2020", "x") as second:
        first.begin('"1"', None)
        with pytest.raises(InUse):
            second.begin('"1"', None)


def test_no_link_leads_out_of_the_folder(server, library, pdf, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "unknown").symlink_to(outside)
    server["/p.pdf"] = (200, {}, pdf())
    with pytest.raises(StoreError) as caught:
        fetch(library, server)
    assert caught.value.reason == "not_a_folder"
    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_a_file_is_not_followed(server, library, pdf, tmp_path):
    server["/p.pdf"] = Store(pdf(SIZE))
    fetch(library, server, resumes=0)
    [part] = tmp_path.rglob("*.part")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    part.unlink()
    part.symlink_to(victim)
    with pytest.raises(StoreError):
        fetch(library, server)
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(StoreError) as caught:
        fetch(library, server)
    assert caught.value.reason == "not_a_file"
    part.unlink()
    (part.parent / "p.pdf").symlink_to(victim)
    assert fetch(library, server).path.name == "p (2).pdf"
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("noted", [True, False])
def test_a_paper_that_also_has_the_name_of_a_part_is_not_written_to(server, library, pdf, tmp_path, noted):
    """As when a program is killed between giving a paper its name and taking the part's away."""
    server["/p.pdf"] = Store(pdf(SIZE))
    fetch(library, server, resumes=0)
    [part] = tmp_path.rglob("*.part")
    note = part.with_name(f"{part.name}.json")
    noted_before = note.read_bytes()
    paper = fetch(library, server).path
    os.link(paper, part)
    (tmp_path / "papers" / MANIFEST).unlink()  # killed before it was listed, too
    if noted:
        note.write_bytes(noted_before)
    server["/p.pdf"] = Store(pdf(SIZE, filling=b"new"), etag='"two"')
    assert fetch(library, server, resumes=0).outcome == "truncated"
    assert paper.read_bytes() == pdf(SIZE)
    assert fetch(library, server).path.name == "p (2).pdf"
    assert paper.read_bytes() == pdf(SIZE)


def test_a_part_of_another_date_is_not_joined(server, library, pdf):
    """By a server that knows ranges, and no If-Range."""
    old, new = "Sun, 01 Nov 2020 10:00:00 GMT", "Mon, 02 Nov 2020 10:00:00 GMT"
    server["/p.pdf"] = Store(pdf(SIZE), etag=None, **{"Last-Modified": old})
    assert fetch(library, server, resumes=0).outcome == "truncated"
    changed = pdf(SIZE, filling=b"new")

    def page(handler):
        start = CUT_AT if "Range" in handler.headers else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Last-Modified", new)
        handler.send_header("Content-Length", str(SIZE - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")
        handler.end_headers()
        handler.wfile.write(changed[start:])

    server["/p.pdf"] = page
    assert fetch(library, server).path.read_bytes() == changed


def test_the_folder_of_papers_may_be_a_link(server, library, pdf, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "papers").symlink_to(tmp_path / "disk")
    server["/p.pdf"] = (200, {}, pdf())
    assert fetch(library, server).is_saved
    assert (tmp_path / "disk" / "unknown" / "p.pdf").read_bytes() == pdf()


def test_a_folder_that_is_a_file(server, library, pdf, tmp_path):
    (tmp_path / "papers").write_text("x")
    server["/p.pdf"] = (200, {}, pdf())
    with pytest.raises(StoreError) as caught:
        fetch(library, server)
    assert caught.value.reason == "not_a_folder"


def test_a_disk_without_room_is_said_and_the_part_stays(server, pdf, tmp_path):
    server["/p.pdf"] = store = Store(pdf(SIZE))
    store.cuts = []
    script = textwrap.dedent(f"""
        import resource
        from doorward.errors import StoreError
        from doorward.papers.library import Library
        from doorward.papers.settings import DownloadSettings
        library = Library({str(tmp_path / "papers")!r}, settings=DownloadSettings(insecure_loopback_http=True))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            library.fetch({server.at("/p.pdf")!r})
        except StoreError as error:
            print(error.reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        [outcome] = library.fetch({server.at("/p.pdf")!r})
        print(outcome.outcome)
    """)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["disk_full", "saved"], "")
    assert store.sent[1] == (100_000, SIZE)


def test_nobody_but_the_umask_says_who_may_read_it(server, library, pdf):
    server["/p.pdf"] = (200, {}, pdf())
    before = os.umask(0o027)
    try:
        path = fetch(library, server).path
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
