"""What is kept and what it is called when it is none, against real servers."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from pdfs import make_pdf

from doorward.errors import ConfigurationError
from doorward.papers.outcomes import ADVICE

HTML = "text/html; charset=utf-8"


def page(text, status=200, **headers):
    body = f"<!doctype html><html><head><title>{text}</title></head><body>{text}</body></html>"
    return status, {"Content-Type": HTML, **headers}, body.encode()


def test_a_pdf_is_kept_in_the_folder_of_its_year(site, library, pdf, kept):
    server = site()
    server["/doi/pdf/10.1000/xyz123"] = (200, {"Content-Type": "application/pdf"}, pdf())
    url = server.at("/doi/pdf/10.1000/xyz123")
    [outcome] = library().fetch(url, year=2021)
    assert (outcome.outcome, outcome.reason, outcome.route, outcome.bytes) == ("saved", "unread", "direct", 2000)
    assert outcome.is_saved
    assert outcome.path.read_bytes() == pdf()
    assert outcome.sha256 == hashlib.sha256(pdf()).hexdigest()
    assert kept() == ["2021/xyz123.pdf"]


def test_the_same_paper_again_is_not_kept_twice_and_another_takes_another_name(site, library, pdf, kept):
    server = site()
    server["/a/x.pdf"] = server["/b/x.pdf"] = (200, {}, pdf())
    server["/c/x.pdf"] = (200, {}, pdf(filling=b"?"))
    outcomes = library().fetch(*(server.at(f"/{each}/x.pdf") for each in "abc"))
    assert [outcome.path.name for outcome in outcomes] == ["x.pdf", "x.pdf", "x (2).pdf"]
    assert kept() == ["unknown/x (2).pdf", "unknown/x.pdf"]


BODIES = {
    "HTML with %PDF- inside": (
        (200, {"Content-Type": "application/pdf"}, b"<html>%PDF-1.7 startxref 9 %%EOF</html>"),
        "not_pdf",
        "html",
    ),
    "HTML then a PDF": ((200, {}, b"<html></html>\n%PDF-1.7\nstartxref\n9\n%%EOF\n"), "not_pdf", "html"),
    "a login page with status 200": (
        (200, {}, b'<html><form><input type="password" name=p></form>'),
        "login_page",
        "password_form",
    ),
    "an auto-submitting SAML form": (
        (
            200,
            {},
            (
                b'<html><body onload="document.forms[0].submit()"><form method="post" action="/ACS">'
                b'<input type="hidden" name="SAMLResponse" value="s3cret"/></form></body></html>'
            ),
        ),
        "login_page",
        "saml_form",
    ),
    "0 bytes": ((200, {"Content-Type": "application/pdf"}, b""), "empty", "no_body"),
    "white space": ((200, {}, b" \n" * 900), "empty", "no_body"),
    "a gzip bomb": ((200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000))), "not_pdf", "other_content"),
    "a gzip bomb behind %PDF-": (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b"%PDF-1.7\n" + bytes(50_000_000))),
        "too_large",
        "response_too_large",
    ),
    "a login page in gzip": (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b"<html><input type=password>")),
        "login_page",
        "password_form",
    ),
    "a coding that is not read here": ((200, {"Content-Encoding": "br"}, b"\x0b\x02"), "not_pdf", "response_encoded"),
    "a coding that is not what came": ((200, {"Content-Encoding": "gzip"}, b"%PDF-1.7"), "not_pdf", "response_encoded"),
    "a bot check": (page("Just a moment...", 403), "human_check", "cloudflare_challenge"),
    "a bot check by its header": (
        page("x", 503, **{"cf-mitigated": "challenge"}),
        "human_check",
        "cloudflare_challenge",
    ),
    "429": (page("Just a moment...", 429, **{"Retry-After": "120"}), "rate_limited", "http_429"),
    "404": (page("gone", 404), "not_found", "http_404"),
    "a page that says so": (page("Page not found"), "not_found", "page_says_so"),
    "401": (page("who?", 401), "login_page", "http_401"),
    "403": (page("no", 403), "not_entitled", "http_403"),
    "a paywall": (page("Buy this article"), "not_entitled", "purchase_offered"),
    "500": (page("oops", 500), "unavailable", "http_500"),
    "a picture": (
        (200, {"Content-Type": "application/pdf"}, b"\x89PNG\r\n\x1a\n" + bytes(3000)),
        "not_pdf",
        "other_content",
    ),
    "300 without an address": ((300, {}, b"<html>choose"), "not_pdf", "html"),
    "a part nobody asked for": ((206, {"Content-Range": "bytes 0-4/9"}, b"%PDF-1.7"), "not_pdf", "other_content"),
}


@pytest.mark.parametrize(("answer", "outcome", "reason"), BODIES.values(), ids=BODIES)
def test_what_is_no_paper_is_named_and_not_kept(site, library, kept, answer, outcome, reason):
    server = site()
    server["/paper.pdf"] = answer
    [found] = library(max_bytes=40_000_000).fetch(server.at("/paper.pdf"))
    assert (found.outcome, found.reason, found.path) == (outcome, reason, None)
    assert kept() == []
    assert ADVICE[found.outcome]
    assert len(server.asked) == 1, "asked again"
    assert "s3cret" not in repr(found)


def test_a_truncated_pdf_is_not_kept(site, library, pdf, kept):
    server = site()
    server["/whole.pdf"] = (200, {"ETag": '"1"'}, pdf()[:1500])
    server["/cut.pdf"] = (200, {"Content-Length": "2000"}, pdf()[:1500])
    whole, cut = library().fetch(server.at("/whole.pdf"), server.at("/cut.pdf"))
    assert (whole.outcome, whole.reason) == ("truncated", "no_pdf_end")
    assert (cut.outcome, cut.reason) == ("truncated", "truncated")
    assert kept() == []


def test_what_is_larger_than_the_limit_is_not_kept(site, library, pdf, kept):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"%PDF-1.7\n" + bytes(65536))

    server = site()
    server["/said.pdf"] = (200, {}, pdf(300_000))
    server["/endless.pdf"] = endless
    outcomes = library(max_bytes=200_000).fetch(server.at("/said.pdf"), server.at("/endless.pdf"))
    assert [(each.outcome, each.reason) for each in outcomes] == [("too_large", "response_too_large")] * 2
    assert kept() == []


def test_300_mb_of_something_else_is_not_read(site, library, kept):
    sent = []

    def large(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(300 * 1024**2))
        handler.end_headers()
        for _ in range(300):
            handler.wfile.write(bytes(1024**2))
            sent.append(1)

    server = site()
    server["/paper.pdf"] = large
    [outcome] = library().fetch(server.at("/paper.pdf"))
    assert (outcome.outcome, outcome.reason) == ("not_pdf", "other_content")
    assert kept() == []
    assert len(sent) < 100


def test_retry_after_is_handed_on(site, library):
    server = site()
    server["/p"] = page("slow down", 429, **{"Retry-After": "120"})
    [outcome] = library().fetch(server.at("/p"))
    assert outcome.retry_after_s == 120


def test_the_page_of_an_article_leads_to_its_pdf_and_its_year(site, library, pdf, kept):
    server = site()
    server["/article/7"] = (
        200,
        {},
        (
            b"<html><meta content='../pdf/7?a=1&amp;b=2' name='citation_pdf_url'><meta name=citation_title content=T>"
            b'<meta name="citation_publication_date" content="2019/05/03"><form><input type=password></form>'
        ),
    )
    server["/pdf/7"] = (200, {"Content-Disposition": 'attachment; filename="A study.pdf"'}, pdf())
    [outcome] = library().fetch(server.at("/article/7"))
    assert outcome.is_saved
    assert outcome.url == server.at("/article/7")
    assert kept() == ["2019/2019 - T.pdf"]
    assert server.asked[1].path == "/pdf/7?a=1&b=2"


def article(pdf_url="/pdf/7", **more):
    told = {"citation_title": TITLE, "citation_pdf_url": pdf_url, **more}
    tags = (f'<meta name="{name}" content="{value}">' for name, value in told.items())
    return 200, {"Content-Type": HTML}, f"<html><head>{''.join(tags)}</head>".encode()


TITLE = "Effects of temperature on the growth of Atlantic salmon"
OTHER = "The social life of urban foxes, and of their friends in the country"


def test_a_paper_is_called_after_its_article(site, library, kept):
    server = site()
    server["/article/7"] = article(citation_author="Smith, Jane", citation_date="2019/05/03")
    server["/pdf/7"] = (200, {"Content-Disposition": 'attachment; filename="1-s2.0-main.pdf"'}, make_pdf(TITLE))
    [outcome] = library().fetch(server.at("/article/7"))
    assert (outcome.outcome, outcome.reason) == ("saved", "article")
    assert outcome.advice == "Saved."
    assert kept() == [f"2019/Smith - 2019 - {TITLE}.pdf"]


def test_another_paper_is_kept_aside_and_not_filed(site, library, kept):
    server = site()
    server["/article/7"] = article(citation_date="2019/05/03")
    server["/pdf/7"] = (200, {"Content-Disposition": 'filename="salmon.pdf"'}, make_pdf(OTHER))
    for _ in range(2):
        [outcome] = library().fetch(server.at("/article/7"))
        assert (outcome.outcome, outcome.reason, outcome.is_saved) == ("wrong_paper", "another_article", False)
        assert outcome.path.read_bytes() == make_pdf(OTHER)
        assert (outcome.bytes, outcome.sha256) == (
            len(make_pdf(OTHER)),
            hashlib.sha256(make_pdf(OTHER)).hexdigest(),
        )
        assert kept() == ["aside/salmon.pdf"]


def test_the_doi_that_was_asked_for_is_looked_for(site, library, kept):
    server = site()
    for number in "12":
        server[f"/doi/10.1234/abc.{number}"] = (200, {}, make_pdf(f"{OTHER} doi:10.1234/abc.1"))
    right, wrong = library().fetch(server.at("/doi/10.1234/abc.1"), server.at("/doi/10.1234/abc.2"))
    assert (right.outcome, right.reason) == ("saved", "article")
    assert wrong.outcome == "wrong_paper"
    assert kept() == ["aside/abc.2.pdf", "unknown/abc.1.pdf"]


def test_a_scan_is_filed_and_that_nobody_can_tell_is_said(site, library, kept):
    server = site()
    server["/article/7"] = article()
    server["/pdf/7"] = (200, {}, make_pdf(""))
    [outcome] = library().fetch(server.at("/article/7"))
    assert (outcome.outcome, outcome.reason) == ("saved", "no_text")
    assert "scan" in outcome.advice
    assert kept() == [f"unknown/{TITLE}.pdf"]


def test_the_article_counts_by_way_of_the_institution_too(site, library, session, kept):
    server, proxy = site(), site()
    server["/article/7"] = article()
    server["/pdf/7"] = page("Buy this article", 403)
    proxy["/login"] = (200, {}, make_pdf(OTHER))
    session.prefix = proxy.at("/login?url=")
    [outcome] = library(session).fetch(server.at("/article/7"))
    assert (outcome.outcome, outcome.route) == ("wrong_paper", "institution")
    assert kept() == ["aside/7.pdf"]


@pytest.mark.parametrize("named", ["/article/7", "javascript:alert(1)", "ftp://example.org/x.pdf", "https://[x/"])
def test_a_page_leads_nowhere_by_a_bad_address(site, library, kept, named):
    server = site()
    server["/article/7"] = (200, {}, f'<html><meta name="citation_pdf_url" content="{named}">'.encode())
    [outcome] = library().fetch(server.at("/article/7"))
    assert outcome.outcome in {"not_pdf", "unavailable"}
    assert len(server.asked) == 1
    assert kept() == []


def test_a_page_leads_on_once_only(site, library):
    server = site()
    for number in range(5):
        named = f'<html><meta name="citation_pdf_url" content="/{number + 1}">'.encode()
        server[f"/{number}"] = (200, {}, named)
    [outcome] = library().fetch(server.at("/0"))
    assert outcome.outcome == "not_pdf"
    assert len(server.asked) == 2


def test_redirects_are_followed_to_a_limit(site, library, pdf):
    server = site()
    server["/0"] = (302, {"Location": "next%20one#there"}, b"")
    server["/next%20one"] = (307, {"Location": "//" + server.url.partition("//")[2] + "/p.pdf"}, b"")
    server["/p.pdf"] = (200, {}, pdf())
    server["/far"] = lambda _: (302, {"Location": f"/far?{len(server.asked)}"}, b"")
    saved, lost = library().fetch(server.at("/0"), server.at("/far"))
    assert saved.is_saved
    assert (lost.outcome, lost.reason) == ("not_pdf", "too_many_redirects")
    assert sum(asked.path.startswith("/far") for asked in server.asked) == 21


@pytest.mark.parametrize("page", [(302, {"Location": "/b"}, b""), (200, {"Refresh": "0; url=/b"}, b"<html>")])
def test_a_circle_is_left_at_once_and_the_institutions_way_is_tried(site, library, session, pdf, page):
    server, proxy = site(), site()
    server["/a"] = page
    server["/b"] = (301, {"Location": "/a"}, b"")
    [lost] = library().fetch(server.at("/a"))
    assert (lost.outcome, lost.reason) == ("not_pdf", "redirect_circle")
    assert [asked.path for asked in server.asked] == ["/a", "/b"]
    proxy["/login"] = (200, {}, pdf())
    session.prefix = proxy.at("/login?url=")
    [saved] = library(session).fetch(server.at("/a"))
    assert (saved.is_saved, saved.route) == (True, "institution")


def test_the_same_address_with_a_new_cookie_is_no_circle(site, library, pdf):
    def page(handler):
        if "seen=1" in (handler.headers["Cookie"] or ""):
            return 200, {}, pdf()
        return 302, {"Location": handler.path, "Set-Cookie": "seen=1"}, b""

    server = site()
    server["/p"] = page
    assert library().fetch(server.at("/p"))[0].is_saved


def test_pages_that_lead_on_by_themselves_are_followed(site, library, pdf):
    server = site()
    server["/0"] = (200, {}, b"<html><head><meta http-equiv='refresh' content='0; url=/1?a=1&amp;b=2'></head>")
    server["/1"] = (200, {"Refresh": "1;URL=2"}, b"")
    server["/2"] = (302, {"Location": "/3"}, b"")
    server["/3"] = (200, {}, pdf())
    [outcome] = library().fetch(server.at("/0"))
    assert outcome.is_saved
    assert [asked.path for asked in server.asked] == ["/0", "/1?a=1&b=2", "/2", "/3"]


@pytest.mark.parametrize(
    ("page", "outcome", "reason"),
    [
        ('<html><meta http-equiv="refresh" content="600; url=/p.pdf">', "not_pdf", "html"),
        ('<html><!-- <meta http-equiv="refresh" content="0; url=/p.pdf"> -->', "not_pdf", "html"),
        ('<meta http-equiv="refresh" content="0; url=/p.pdf"><input type=password>', "login_page", "password_form"),
        ('<html><meta http-equiv=refresh content="0; url=/idp?SAMLRequest=x">', "login_page", "saml_redirect"),
        ('<html><meta http-equiv=refresh content="0; url=file:///etc/passwd">', "unavailable", "address_no_host"),
        ('<html><meta http-equiv=refresh content="0; url=/p">', "not_pdf", "redirect_circle"),
    ],
)
def test_pages_that_lead_nowhere(site, library, pdf, page, outcome, reason):
    server = site()
    server["/p"] = (200, {}, page.encode())
    server["/p.pdf"] = (200, {}, pdf())
    [found] = library().fetch(server.at("/p"))
    assert (found.outcome, found.reason) == (outcome, reason)
    assert len(server.asked) == 1


@pytest.mark.parametrize("way", ["redirect", "citation_pdf_url", "refresh"])
@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, "saved", "pdf"),
        (404, "unavailable", "not_by_https"),
        (400, "unavailable", "not_by_https"),
        (401, "login_page", "http_401"),
        (503, "unavailable", "http_503"),
    ],
)
def test_what_is_without_https_is_asked_by_https(site, library, pdf, named_site, way, status, outcome, reason):
    server = site()
    publisher = named_site
    there = publisher.url.replace("https://", "http://") + "/p.pdf"
    server["/a"] = {
        "redirect": (302, {"Location": there}, b""),
        "citation_pdf_url": (200, {}, f'<html><meta name="citation_pdf_url" content="{there}">'.encode()),
        "refresh": (200, {}, f'<html><meta http-equiv="refresh" content="0; {there}">'.encode()),
    }[way]
    publisher["/p.pdf"] = (status, {}, pdf() if status == 200 else b"<html>")
    [found] = library().fetch(server.at("/a"))
    assert (found.outcome, found.reason) == (outcome, reason)
    assert [asked.path for asked in publisher.asked] == ["/p.pdf"]


def test_where_nothing_answers_by_https_that_is_said_and_the_institution_is_asked(site, library, session, pdf):
    server, proxy = site(), site()
    server["/a"] = (302, {"Location": "http://unknown.example/x.pdf"}, b"")
    [lost] = library().fetch(server.at("/a"))
    assert (lost.outcome, lost.reason) == ("unavailable", "not_by_https")
    assert "https" in lost.advice
    proxy["/login"] = (200, {}, pdf())
    session.prefix = proxy.at("/login?url=")
    [saved] = library(session).fetch(server.at("/a"))
    assert (saved.is_saved, saved.route) == (True, "institution")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://unknown.example/x.pdf", "not_by_https"),
        ("ftp://example.org/x.pdf", "address_not_https"),
        ("file:///etc/passwd", "address_no_host"),
        ("https://user:pw@example.org/", "address_has_userinfo"),
        ("https://" + "a" * 9000 + ".example/", "address_bad_characters"),
        ("https://a..b/", "address_not_a_host"),
        ("https://[x/", "address_not_a_url"),
        ("https://unknown.example/x.pdf", "dns_failed"),
    ],
)
def test_a_redirect_to_where_we_do_not_go(site, library, location, reason):
    server = site()
    server["/p"] = (302, {"Location": location}, b"")
    [outcome] = library().fetch(server.at("/p"))
    assert (outcome.outcome, outcome.reason) == ("unavailable", reason)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "bare deflate"])
def test_a_pdf_that_comes_compressed_is_kept_as_it_was(site, library, pdf, kept, kind):
    body = pdf(300_000, filling=bytes(range(256)))
    bare = zlib.compressobj(wbits=-15)
    coded = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "bare deflate": bare.compress(body) + bare.flush(),
    }[kind]
    server = site()
    server["/p.pdf"] = (200, {"Content-Encoding": kind.rpartition(" ")[2], "ETag": '"1"'}, coded)
    told = []
    [outcome] = library().fetch(server.at("/p.pdf"), progress=told.append)
    assert outcome.path.read_bytes() == body
    assert outcome.bytes == told[-1].received == 300_000
    assert {each.total for each in told} == {None}
    assert kept() == ["unknown/p.pdf"]


def test_a_compressed_pdf_is_never_gone_on_with(site, library, pdf, kept):
    """Ranges count the coded bytes, which are not those on disk."""
    server = site()
    body = gzip.compress(pdf(300_000, filling=bytes(range(256))))
    server["/p.pdf"] = (200, {"Content-Encoding": "gzip", "ETag": '"1"', "Content-Length": len(body)}, body[:-50])
    for _ in range(2):
        [outcome] = library().fetch(server.at("/p.pdf"))
        assert (outcome.outcome, outcome.reason) == ("truncated", "truncated")
    assert kept() == []
    assert [asked.headers.get("range") for asked in server.asked] == [None, None]


def test_a_part_that_comes_compressed_is_not_joined(site, library, pdf):
    whole = pdf(300_000)
    server = site()
    server["/p.pdf"] = (200, {"ETag": '"1"', "Content-Length": "300000"}, whole[:150_000])
    assert library(resumes=0).fetch(server.at("/p.pdf"))[0].outcome == "truncated"

    def page(handler):
        if "Range" in handler.headers:
            part = {"ETag": '"1"', "Content-Range": "bytes 150000-299999/300000", "Content-Encoding": "gzip"}
            return 206, part, gzip.compress(whole[150_000:])
        return 200, {"ETag": '"1"'}, whole

    server["/p.pdf"] = page
    [outcome] = library().fetch(server.at("/p.pdf"))
    assert outcome.path.read_bytes() == whole
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=150000-", None]


@pytest.mark.parametrize("padding", [bytes(100_000), b"\r\n" * 5000, b" " * 65536, b"\0\xff\x1a" * 999])
@pytest.mark.parametrize("junk", [b"", b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"])
def test_padding_and_junk_as_readers_take_them(site, library, pdf, junk, padding):
    body = junk + pdf() + padding
    server = site()
    server["/p.pdf"] = (200, {}, body)
    [outcome] = library().fetch(server.at("/p.pdf"))
    assert outcome.path.read_bytes() == body


def test_headers_in_utf_8_are_read_as_that(site, library, pdf, kept):
    raw = "é".encode().decode("latin-1")
    server = site()
    server["/p"] = (302, {"Location": f"/{raw}"}, b"")
    server["/%C3%A9"] = (200, {"Content-Disposition": f'attachment; filename="{raw}.pdf"'}, pdf())
    [outcome] = library().fetch(server.at("/p"))
    assert outcome.is_saved
    assert kept() == ["unknown/é.pdf"]


def test_a_cookie_that_no_header_takes_is_left_out(site, library, pdf, session):
    server = site()
    cookies = ["a=1", "b=\u00e9", "c=2", "d=x\ty"]
    server["/0"] = (302, {"Location": "/p.pdf", "Set-Cookie": [c.encode().decode("latin-1") for c in cookies]}, b"")
    server["/p.pdf"] = (200, {}, pdf())
    [outcome] = library(session).fetch(server.at("/0"))
    assert outcome.is_saved
    sent = server.asked[1].headers["cookie"].split("; ")
    assert {"a=1", "c=2"} <= set(sent)
    assert not [cookie for cookie in sent if cookie.startswith(("b=", "d="))]


def test_a_redirect_to_a_login_is_known_by_its_request(site, library):
    server = site()
    server["/p"] = (302, {"Location": "/idp?SAMLRequest=" + "x" * 9000 + "&RelayState=a"}, b"")
    [outcome] = library().fetch(server.at("/p"))
    assert (outcome.outcome, outcome.reason) == ("login_page", "saml_redirect")
    assert len(server.asked) == 1


def test_a_bad_address_stops_everything_before_it_begins(site, library, pdf):
    server = site()
    server["/p"] = (200, {}, pdf())
    for bad in ("http://example.org/", "doi:10.1000/1", "https://", "https://u:p@example.org/"):
        with pytest.raises(ConfigurationError) as caught:
            library().fetch(server.at("/p"), bad)
        assert caught.value.field == "url"
    assert server.asked == []


def test_a_server_that_is_silent(site, library, pdf):
    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "2000")
        handler.end_headers()
        handler.wfile.write(pdf()[:1500])
        handler.wfile.flush()
        handler.connection.settimeout(20)
        handler.rfile.read(1)

    server = site()
    server["/p"] = silent
    started = time.monotonic()
    [outcome] = library(idle_timeout_s=0.3, resumes=0).fetch(server.at("/p"))
    assert (outcome.outcome, outcome.reason) == ("truncated", "timeout_idle")
    [outcome] = library(total_timeout_s=0.1, idle_timeout_s=0.3).fetch(server.at("/p"))
    assert outcome.outcome in {"truncated", "unavailable"}
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_that_never_ends(site, library, status):
    """Never silent for long, and never done."""
    ended = threading.Event()

    def drip(handler):
        handler.send_response(status)
        handler.end_headers()
        try:
            while not ended.wait(0.05):
                handler.wfile.write(b"<html>")
        except OSError:
            ended.set()

    server = site()
    server["/p"] = drip
    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(library(total_timeout_s=0.5).fetch, server.at("/p"))
        try:
            [outcome] = fetching.result(15)
        finally:
            ended.set()
    assert (outcome.outcome, outcome.reason) == ("unavailable", "timeout_total")


async def test_cancelling_ends_also_what_is_no_pdf(site, library, session):
    begun, hung_up = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        loop.call_soon_threadsafe(begun.set)
        try:
            for _ in range(400):
                handler.wfile.write(b"<input type=password>")
                time.sleep(0.05)
        except OSError:
            hung_up.set()

    server = site()
    server["/p"] = drip
    fetching = asyncio.ensure_future(library(session).afetch(server.at("/p")))
    await asyncio.wait_for(begun.wait(), 15)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert await asyncio.to_thread(hung_up.wait, 15)
    assert session.login_pages == 0
