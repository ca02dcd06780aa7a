"""A PDF or not, and by which marker."""

from __future__ import annotations

import time

import pytest

from doorward.papers.inspect import begins_as_pdf, ends_as_pdf, is_login_url, name_page
from doorward.papers.page import PAGE_BYTES, read_page, refresh_address


@pytest.mark.parametrize(
    ("head", "is_pdf"),
    [
        (b"%PDF-1.7\n", True),
        (b"%PDF-2.0\n", True),
        (b"\xef\xbb\xbf%PDF-1.4", True),
        (b"\r\n %PDF-1.4", True),
        (b" " * 1000 + b"%PDF-1.4", True),
        (b"\0" * 1016 + b"%PDF-1.4", True),
        (b"\0" * 1017 + b"%PDF-1.4", False),
        (b"--part\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4", True),
        (b"<br />\n<b>Warning</b>: in /srv/get.php<br />\n%PDF-1.4", True),
        (b"<!DOCTYPE html><p>%PDF-1.4", False),
        (b"\n<HTML><p>%PDF-1.4", False),
        (b"<?xml version='1.0'?>%PDF-1.4", False),
        (b"<!-- -->%PDF-1.4", False),
        (b"%PDF-", False),
        (b"%PDF-x.y", False),
        (b"%pdf-1.7", False),
        (b"", False),
    ],
)
def test_how_a_pdf_begins(head, is_pdf):
    assert begins_as_pdf(head) == is_pdf


@pytest.mark.parametrize(
    ("tail", "size", "is_end"),
    [
        (b"startxref\n9\n%%EOF", 100, True),
        (b"startxref\r\n9\r\n%%EOF\r\n\0\0<!-- sent by a proxy -->", 100, True),
        (b"startxref\n99\n%%EOF\nstartxref\n9\n%%EOF", 100, True),
        (b"startxref\n100\n%%EOF", 100, False),
        (b"startxref\n0\n%%EOF", 100, False),
        (b"startxref\n9\n", 100, False),
        (b"%%EOF", 100, False),
        (b"startxref\n" + b"9" * 20 + b"\n%%EOF", 100, False),
        (b"", 0, False),
    ],
)
def test_how_a_pdf_ends(tail, size, is_end):
    assert ends_as_pdf(tail, size) == is_end


def named(body, status=200, headers=None, **options):
    return name_page(status, headers or {}, body, read_page(body), **options)


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        (b'<script src="/cdn-cgi/challenge-platform/x.js">', "human_check", "cloudflare_challenge"),
        (b'<iframe src="/_Incapsula_Resource?x">', "human_check", "imperva_check"),
        (b"<h1>Verify you are human</h1>", "human_check", "captcha"),
        (b"<INPUT TYPE=hidden NAME='SAMLRequest'>", "login_page", "saml_form"),
        (b'<form name="EZproxyForm"><input type="password">', "login_page", "password_form"),
        ("<input type=password>".encode("utf-16"), "login_page", "password_form"),
        (b'<form name="EZproxyForm">', "login_page", "ezproxy_login"),
        (b"<p>Find your institution", "login_page", "discovery"),
        (b"<title>Sign in | Publisher</title>", "login_page", "page_says_so"),
        (b"<title>404 - not found</title>", "not_found", "page_says_so"),
        (b"<p>You do not have access to this", "not_entitled", "access_denied"),
        (b"<p>Access through your institution <input type=password>", "not_entitled", "subscription_wanted"),
        (b'<meta name="citation_title" content="T"><input type="password"><html>', "not_pdf", "html"),
        (b"<!-- <input type=password> --><html>", "not_pdf", "html"),
        (b"<html><!-- never closed <input type=password>", "not_pdf", "html"),
        (b"PK\x03\x04", "not_pdf", "other_content"),
    ],
)
def test_a_page_by_its_marker(body, outcome, reason):
    assert named(body) == (outcome, reason)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (403, b"<input type=password>", "login_page"),
        (403, b'<meta name="citation_doi" content="10.1/2"><input type=password>', "not_entitled"),
        (402, b"", "not_entitled"),
        (410, b"", "not_found"),
        (451, b"", "unavailable"),
        (503, b"<title>Just a moment...</title>", "human_check"),
        (429, b'<title>Just a moment...</title><input name="SAMLResponse">', "rate_limited"),
    ],
)
def test_a_status_that_refuses(status, body, outcome):
    assert named(body, status).outcome == outcome


def test_where_a_redirect_led_counts_where_the_page_says_nothing():
    assert named(b"<html>", redirected_to="https://id.example.org/idp/profile") == ("login_page", "login_address")
    assert named(b"<html>", redirected_to="https://example.org/article/login-habits").outcome == "not_pdf"
    assert named(b"<p>Buy this article", redirected_to="https://example.org/login").outcome == "not_entitled"


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("2019/05/03", 2019),
        ("May 2019", 2019),
        ("03/05/2019", 2019),
        ("20190503", None),
        ("soon", None),
        ("0999", None),
    ],
)
def test_the_year_of_an_article(date, year):
    assert read_page(f'<meta name="citation_date" content="{date}">'.encode()).article.year == year


def test_the_first_date_that_says_a_year_counts():
    page = read_page(b'<meta name=dc.date content=2001><meta name="citation_publication_date" content="">')
    assert page.article.year == 2001


def test_where_an_article_says_its_pdf_is():
    assert read_page(b"<META CONTENT=' /a?b=1&amp;c=2 ' PROPERTY=citation_pdf_url>").pdf_url == "/a?b=1&c=2"
    assert read_page(b'<meta name="citation_pdf_url" content="">').pdf_url is None


def test_a_saml_request_in_an_address():
    assert is_login_url("https://idp.example.org/sso?a=1&SAMLRequest=abc")
    assert not is_login_url("https://example.org/?u=https%3A%2F%2Fidp%3FSAMLRequest%3Dx")


@pytest.mark.parametrize(
    "piece",
    [
        b"<",
        b"<!--",
        b"<meta ",
        b"<input a=",
        b"<title",
        b'<meta name="',
        b"<meta a=b ",
        b"\xff",
        b"a=" * 50 + b"<meta ",
    ],
)
def test_a_page_made_to_cost_time_costs_little(piece):
    body = (piece * (PAGE_BYTES // len(piece) + 1))[:PAGE_BYTES]
    started = time.process_time()
    named(body)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("content", "address"),
    [
        ("0; url=/real.pdf", "/real.pdf"),
        ("2;URL='/retrieve?a=1'", "/retrieve?a=1"),
        ('0;url="/a b"; x', "/a b"),
        (" 1.5 , url = /x ", "/x"),
        ("0; /x", "/x"),
        ("0 url=/x", "/x"),
        (";url=/x", "/x"),
        ("10; url=/x", "/x"),
        ("11; url=/session-over", ""),
        ("1800; url=/logout", ""),
        ("5", ""),
        ("0; url=", ""),
        ("soon; url=/x", ""),
        ("", ""),
    ],
)
def test_where_a_refresh_leads(content, address):
    assert refresh_address(content) == address
    attribute = content.replace('"', "&quot;")
    assert read_page(f'<META http-equiv="Refresh" content="{attribute}">'.encode()).refresh == address
