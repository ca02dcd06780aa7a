"""Bodies that come compressed: undone while they come in, bounded before and after, and never half taken for whole."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tracemalloc
import zlib

import pytest

from doorward.errors import InvalidResponse, TransportError
from doorward.http.client import HttpClient
from doorward.http.coding import BrokenCodingError, coding_of, decoder_for
from doorward.model import HttpRequest

PLAIN = bytes(range(256)) * 900 + b"the end"


def gzipped(data):
    return gzip.compress(data, mtime=0)  # else each process would name its tests by the time


def bare_deflate(data, level=6):
    packing = zlib.compressobj(level, wbits=-15)
    return packing.compress(data) + packing.flush()


CODED = {
    "none": ("", PLAIN),
    "gzip": ("gzip", gzipped(PLAIN)),
    "gzip by its old name": ("x-gzip", gzipped(PLAIN)),
    "gzip of several members": ("gzip", gzipped(PLAIN[:999]) + gzipped(b"") + gzipped(PLAIN[999:])),
    "gzip with padding": ("gzip", gzipped(PLAIN) + bytes(512)),
    "gzip with a name": ("gzip", gzipped(PLAIN)[:3] + b"\x08" + gzipped(PLAIN)[4:10] + b"a.pdf\0" +
                         gzipped(PLAIN)[10:]),
    "deflate as the RFC says": ("deflate", zlib.compress(PLAIN)),
    "deflate without its header": ("deflate", bare_deflate(PLAIN)),
    "deflate, stored": ("deflate", bare_deflate(PLAIN, 0)),
    "deflate with more behind it": ("deflate", zlib.compress(PLAIN) + b"\r\n"),
}  # fmt: skip


def undone(coding, body, size):
    decoder = decoder_for(coding)
    pieces = [piece for at in range(0, len(body), size) for piece in decoder.decode(body[at : at + size])]
    return b"".join(pieces), decoder.is_whole


@pytest.mark.parametrize("size", [1, 2, 4096, 10**6])
@pytest.mark.parametrize(("coding", "body"), CODED.values(), ids=CODED)
def test_a_coding_is_undone_however_it_is_cut(coding, body, size):
    assert undone(coding, body, size) == (PLAIN, True)


def test_what_the_program_gzip_makes_is_undone():
    program = shutil.which("gzip")
    assert program
    body = subprocess.run([program, "-9", "-c"], input=PLAIN, capture_output=True, check=True, timeout=60).stdout
    assert undone("gzip", body, 1000) == (PLAIN, True)


@pytest.mark.parametrize(("coding", "body"), [each for each in CODED.values() if each[0]], ids=list(CODED)[1:])
def test_a_part_is_not_the_whole(coding, body):
    assert not undone(coding, body[: len(body) // 3], 1000)[1]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_nothing_at_all_is_whole_and_a_beginning_is_not(coding, size):
    assert undone(coding, b"", size) == (b"", True)
    assert not undone(coding, b"\x1f", size)[1]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"%PDF-1.7 and no gzip"),
        ("gzip", gzipped(PLAIN)[:-8] + bytes(8)),
        ("gzip", gzipped(PLAIN) + gzipped(PLAIN)[:20] + b"\xff" * 99),
        ("deflate", b"\x78\x9c" + b"\xff" * 99),
        ("deflate", b"%PDF-1.7 and not deflated"),
    ],
)
def test_what_is_not_in_its_coding(coding, body):
    with pytest.raises(BrokenCodingError):
        undone(coding, body, 100)


def test_every_piece_of_a_bomb_is_small():
    bomb = gzipped(bytes(50_000_000))
    pieces = decoder_for("gzip").decode(bomb)
    assert max(map(len, pieces)) <= 65536


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, ""),
        ("", ""),
        ("Identity", ""),
        ("identity, GZIP", "gzip"),
        ("gzip, gzip", "gzip, gzip"),
        ("br", "br"),
    ],
)
def test_which_coding_a_header_names(header, coding):
    assert coding_of(header) == coding


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "dcb"])
def test_what_can_not_be_undone_is_known(coding):
    assert decoder_for(coding) is None


def answer(coding, body, length=None):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


class TestBothWays:
    """Whole answers, blocking and asynchronous."""

    @pytest.mark.parametrize(("coding", "body"), CODED.values(), ids=CODED)
    def test_an_answer_is_undone(self, send, serve, coding, body):
        server = serve(answer(coding, body))
        assert send(HttpRequest("GET", server.url(), "the test endpoint")).body == PLAIN
        assert b"accept-encoding: identity\r\n" in server.requests[0]

    @pytest.mark.parametrize(
        ("coding", "body", "kind", "reason"),
        [
            ("gzip", gzipped(bytes(1001)), InvalidResponse, "response_too_large"),
            ("gzip", gzipped(bytes(50_000_000)), InvalidResponse, "response_too_large"),
            ("gzip", gzipped(b"") * 51, InvalidResponse, "response_too_large"),
            ("gzip", gzipped(bytes(1000))[:-1], TransportError, "truncated"),
            ("gzip", b"not gzip", InvalidResponse, "response_encoded"),
            ("br", b"x", InvalidResponse, "response_encoded"),
        ],
    )
    def test_what_is_refused(self, send, serve, coding, body, kind, reason):
        request = HttpRequest("GET", serve(answer(coding, body)).url(), "the test endpoint", max_response_bytes=1000)
        with pytest.raises(kind) as caught:
            send(request)
        assert caught.value.reason == reason
        assert "the test endpoint at " in caught.value.message

    def test_as_much_as_is_allowed_is(self, send, serve):
        server = serve(answer("gzip", gzipped(bytes(1000))))
        assert send(HttpRequest("GET", server.url(), "the test endpoint", max_response_bytes=1000)).body == bytes(1000)


def parts_of(server, limit=10**9):
    request = HttpRequest("GET", server.url(), "the paper", max_response_bytes=limit)
    with HttpClient(insecure_loopback_http=True, total_timeout_s=20).stream(request) as response:
        assert response.is_coded
        yield from response.chunks()


@pytest.mark.parametrize(("coding", "body"), [each for each in CODED.values() if each[0]], ids=list(CODED)[1:])
def test_a_stream_is_undone(serve, coding, body):
    assert b"".join(parts_of(serve(answer(coding, body)))) == PLAIN


def test_a_bomb_takes_no_memory(serve):
    bomb = serve(answer("gzip", gzipped(bytes(200_000_000))))
    sizes = []
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponse) as caught:
            sizes.extend(map(len, parts_of(bomb, 150_000_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "response_too_large"
    assert 149_000_000 < sum(sizes) <= 150_000_000
    assert peak < 10_000_000


def test_a_stream_that_becomes_nothing_gives_its_reader_turns(serve):
    """Whoever bounds the time of a download looks at the clock between two parts."""

    def endless(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        while True:
            sock.sendall(gzipped(b"") * 1000)

    server = serve(endless)
    parts = parts_of(server)
    assert [next(parts) for _ in range(20)] == [b""] * 20
    parts.close()
    with pytest.raises(InvalidResponse, match="larger than 1000000 bytes"):
        list(parts_of(server, 1_000_000))
