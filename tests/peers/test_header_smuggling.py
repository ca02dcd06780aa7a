"""Hostile requests, byte by byte, at real servers: none gets in, and no claim of an identity reaches the application.

The applications in support/ answer with what they saw: guarded_app.py, and guarded_wsgi_app.py for servers of WSGI.
Servers refuse much of this themselves, each in its own way; so a test asks whether the application was reached, and as
whom, never for a certain refusal.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

REACHED = "what-reached-the-application"  # as the application says it
ISSUER = "https://id.example.org"
START_DEADLINE_S = 30.0
ANSWER_DEADLINE_S = 10.0
KEY = generate_signing_key("ES256", kid="key-1")
SERVERS = {
    "uvicorn-h11": ["uvicorn", "--http", "h11", "--no-access-log", "--log-level", "warning"],
    "uvicorn-httptools": ["uvicorn", "--http", "httptools", "--no-access-log", "--log-level", "warning"],
    "granian": ["granian", "--interface", "asgi", "--log-level", "warning"],
    "granian-wsgi": ["granian", "--interface", "wsgi", "--log-level", "warning"],
    "gunicorn": ["gunicorn", "--threads", "4", "--log-level", "warning"],
    "waitress": ["waitress"],
}
OF_WSGI = ("granian-wsgi", "gunicorn", "waitress")
IDENTITY_HEADERS = [
    "X-Auth-User", "x_auth_user", "X.Auth.User", "x-AUTH_user", "X-Auth.User", "X--Auth--User", "X_AUTH_REQUEST_EMAIL",
    "X-Authenticated-UserId", "X-User", "x-user-id", "X_Username", "X-Remote-User", "Remote-User", "remote_user",
    "X-Forwarded-User", "x_forwarded_email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token", "X-Goog-Authenticated-User-Email", "X-MS-CLIENT-PRINCIPAL", "x-amzn-oidc-identity",
    "X-WEBAUTH-USER", "X-Doorward-Subject", "Cf-Access-Authenticated-User-Email", "Tailscale-User-Login",
    "X-Client-Cert", "SSL_CLIENT_S_DN",
]  # fmt: skip


def make_token(subject="alice"):
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "aud": "notes", "iat": now, "exp": now + 600}
    return sign_claims(claims, KEY).encode()


@dataclass
class Server:
    port: int
    takes_websockets: bool
    decodes_unseen: bool = False
    """It does not tell how a path was sent, so nobody can know that a public one was written oddly."""

    def send(self, request, *, until=None):
        """Send the bytes of one request, and whatever follows it; return the answer, or what came `until`."""
        with socket.create_connection(("127.0.0.1", self.port), ANSWER_DEADLINE_S) as connection:
            received = b""
            with contextlib.suppress(ConnectionError):  # refused while we were still sending
                connection.sendall(request)
                while (until is None or until not in received) and (chunk := connection.recv(65_536)):
                    received += chunk
            return received

    def ask(self, *headers, path=b"/admin", method=b"GET", version=b"HTTP/1.1"):
        lines = [
            method + b" " + path + b" " + version,
            b"Host: api.example.org",
            *headers,
            b"Connection: close",
            b"",
            b"",
        ]
        return self.send(b"\r\n".join(lines))


def reached(answer):
    """Return all that reached the application, of however many requests the server took these bytes for."""
    found = re.findall(rb'\{"' + REACHED.encode() + rb'": (\{.*?\})\}', answer)
    assert answer.count(REACHED.encode()) == len(found)
    return [json.loads(each) for each in found]


def bearer(token):
    return b"Authorization: Bearer " + token


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program, *options = SERVERS[request.param]
    app = "guarded_wsgi_app:app" if request.param in OF_WSGI else "guarded_app:app"
    at = ["--bind", f"127.0.0.1:{port}"] if program == "gunicorn" else ["--host", "127.0.0.1", "--port", str(port)]
    settings = {"issuer": ISSUER, "jwks": {"keys": [KEY.public_jwk()]}}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *options, *at, app],
            env={
                **os.environ,
                "GUARDED_APP": json.dumps(settings),
                "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), os.environ.get("PYTHONPATH", "")]),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        running = Server(
            port, takes_websockets=request.param not in OF_WSGI, decodes_unseen=request.param == "granian-wsgi"
        )
        give_up_at = time.monotonic() + START_DEADLINE_S
        while True:
            with contextlib.suppress(OSError):
                if reached(running.ask(path=b"/health")):
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_a_good_credential_gets_in_however_its_scheme_is_written(server, scheme):
    (seen,) = reached(server.ask(b"Authorization: " + scheme + b" " + make_token()))
    assert seen["subject"] == "alice"


def test_no_credential_is_401_with_a_challenge(server):
    answer = server.ask()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert re.search(rb"(?i)\r\nwww-authenticate: Bearer\r?\n?", head)
    assert body == b'{"error": "unauthorized"}'


def test_every_bad_credential_gets_the_same_answer(server):
    def answer(credential):
        head, _, body = server.ask(b"Authorization: " + credential).partition(b"\r\n\r\n")
        return re.sub(rb"(?i)\r\ndate:[^\r]*", b"", head), body

    good = make_token()
    bad = [b"Bearer x.y.z", b"Bearer " + good[:-4] + b"AAAA", b"Bearer " + good + b"=", b"Bearer dw_a_b_c"]
    (one,) = {answer(credential) for credential in bad}
    assert b"401" in one[0]
    assert b'error="invalid_token"' in one[0]


@pytest.mark.parametrize(
    "headers",
    [
        ["good", "good"],
        ["good", "evil"],
        ["evil", "good"],
        ["good", "empty"],
        ["empty", "good"],
        ["good", "lower"],
        ["basic", "good"],
    ],
)
def test_with_two_authorization_headers_nobody_gets_in(server, headers):
    good = make_token()
    spelled = {
        "good": bearer(good),
        "lower": b"authorization: bearer " + good,
        "evil": bearer(b"x.y.z"),
        "empty": b"Authorization:",
        "basic": b"Authorization: Basic " + base64.b64encode(b"a:b"),
    }
    assert reached(server.ask(*(spelled[name] for name in headers))) == []


@pytest.mark.parametrize(
    "form",
    [
        b"Authorization: Bearer  %s",
        b"Authorization: Bearer\t%s",
        b"Authorization: Bearer \t%s",
        b"Authorization: Bearer%s",
        b"Authorization: Bearer:%s",
        b"Authorization: Bearer,%s",
        b"Authorization: Bearer %s, Bearer %s",
        b"Authorization: Bearer %s %s",
        b"Authorization: %s",
        b"Authorization: Token %s",
        b"Authorization: Bearer \x00%s",
        b"Authorization: Bearer %s\x00",
        b"Authorization: Bearer \x0b%s",
        b"Authorization: Bearer %s\x7f",
        b"Authorization: Bearer \xa0%s",
        b"Authorization: Bearer \xc2\xa0%s",
        b"Authorization: Bearer \xef\xbb\xbf%s",
        b"Authorization: \xe2\x80\x8bBearer %s",
        b'Authorization: Bearer "%s"',
        b"Authorization: Bearer token=%s",
        b"Authorization: Bearer x.y.z\r\n %s",
        b"Authorization: Bearer %s\r\n Bearer %s",
        b"X-Note: a\r\n Authorization: Bearer %s",
        b"Authorization : Bearer %s",
        b" Authorization: Bearer %s",
        b"Authorization\t: Bearer %s",
        b"Author_ization: Bearer %s",
        b"X-Authorization: Bearer %s",
        b"Proxy-Authorization: Bearer %s",
        b"Cookie: Authorization=Bearer %s",
    ],
)
def test_a_credential_in_an_odd_form_gets_nobody_in(server, form):
    assert reached(server.ask(form.replace(b"%s", make_token()))) == []


@pytest.mark.parametrize("form", [b"Authorization:\r\n Bearer %s", b"Authorization: Bearer\r\n\t%s"])
def test_a_folded_line_is_refused_or_was_joined_by_the_server(server, form):
    for seen in reached(server.ask(form.replace(b"%s", make_token()))):
        assert seen["subject"] == "alice"
        (value,) = (value for name, value in seen["headers"] if name == "authorization")
        assert value.split() == ["Bearer", value.split()[1]], "RFC 9112 section 5.2 lets a server put spaces there"


def test_white_space_before_a_value_is_not_part_of_it(server):
    (seen,) = reached(server.ask(b"Authorization: \t Bearer " + make_token()))
    assert seen["subject"] == "alice", "RFC 9110 section 5.5"


@pytest.mark.parametrize("filler", [b"a", b".", b"=", b" ", b"\xff", b"A.", b"eyJ"])
def test_64_kilobytes_get_nobody_in_and_hold_nobody_up(server, filler):
    for value in (filler * (65_536 // len(filler)), b"x.y." + filler * (60_000 // len(filler))):
        assert reached(server.ask(b"Authorization: Bearer " + value)) == []
    (seen,) = reached(server.ask(bearer(make_token())))
    assert seen["subject"] == "alice"


@pytest.mark.parametrize("path", [b"/notes", b"/health", b"/static/app.js"])
def test_no_claim_of_an_identity_reaches_the_application(server, path):
    claims = [name.encode() + b": admin" for name in IDENTITY_HEADERS]
    (seen,) = reached(server.ask(bearer(make_token()), b"X-Request-Id: 7", *claims, path=path))
    assert "admin" not in [value for _, value in seen["headers"]]
    assert ["x-request-id", "7"] in seen["headers"], "others stay"
    assert seen["subject"] == ("alice" if path == b"/notes" else None)


def test_headers_alone_make_nobody_somebody(server):
    for name in IDENTITY_HEADERS:
        assert reached(server.ask(name.encode() + b": admin")) == []


@pytest.mark.parametrize(
    "path",
    [
        b"/health/../admin", b"/health/..", b"/health%2f..%2fadmin", b"/health/%2e%2e/admin",
        b"/health/%2e./admin", b"/health/%252e%252e/admin", b"/health%2F%2e%2e%2Fadmin", b"//health",
        b"/health/", b"/health//", b"/HEALTH", b"/Health", b"/health;x", b"/health;/../admin", b"/health%3bx",
        b"/health%00", b"/health%00/../admin", b"/health%20", b"/health%0a", b"/health%23", b"/health%3f",
        b"/health.", b"/health\\..\\admin", b"/health%5cadmin", b"/%68ealth", b"/./health", b"/admin/../health",
        b"/admin/%2e%2e/health", b"/admin;/health", b"/admin%2f..%2fhealth", b"/static/../admin",
        b"/static/%2e%2e/admin", b"/static/..%2fadmin", b"/static/..%5cadmin", b"/static/..;/admin",
        b"/static/.../admin", b"/static/./../admin", b"/static//../admin", b"/static/a/../../admin", b"/static",
        b"/static/%2561", b"/static%2fapp.js", b"/static/\xc0\xae\xc0\xae/admin", b"/static/%c0%ae%c0%ae/admin",
        b"/%2fhealth", b"/health/admin", b"/admin?/health", b"/admin#/health", b"/admin?x=/../health",
        b"http://api.example.org/admin", b"http://api.example.org/health/../admin",
        b"http://x@/health/../admin", b"http:///health/../admin", b"*", b"admin", b"",
    ],
)  # fmt: skip
def test_no_way_of_writing_a_path_gets_anybody_in_without_a_credential(server, path):
    for method in (b"GET", b"HEAD", b"OPTIONS", b"POST"):
        for seen in reached(server.ask(path=path, method=method)):
            assert server.decodes_unseen
            assert seen["path"] in {"/health", "/static/app.js"}, "what the application sees"


@pytest.mark.parametrize("path", [b"/health", b"/health?x=1", b"/health?/../admin", b"/static/", b"/static/a/b.js"])
def test_a_public_path_as_it_is_written_needs_no_credential(server, path):
    (seen,) = reached(server.ask(path=path))
    assert seen["subject"] is None


def test_headers_that_rewrite_a_request_do_not_move_a_guarded_path(server):
    (seen,) = reached(server.ask(b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin", path=b"/health"))
    assert seen["path"] == "/health"
    assert reached(server.ask(b"X-Original-URL: /health", b"X-HTTP-Method-Override: OPTIONS")) == []


@pytest.mark.parametrize(
    ("header", "path"),
    [
        (b"SCRIPT_NAME: /static", b"/static/admin"),  # which gunicorn takes from a proxy on this machine
        (b"SCRIPT_NAME: /heal", b"/health"),
        (b"SCRIPT_NAME: /health", b"/health"),
        (b"SCRIPT_NAME: /x\r\nSCRIPT_NAME: /static", b"/static/admin"),
        (b"Script-Name: /static", b"/static/admin"),
        (b"X-Forwarded-Prefix: /static", b"/static/admin"),
        (b"PATH_INFO: /admin", b"/health"),
    ],
)
def test_no_header_makes_a_guarded_path_of_a_public_one(server, header, path):
    for seen in reached(server.ask(header, path=path)):
        assert (seen["mount"], seen["path"]) == ("", path.decode()), "the application goes by this"


def test_a_request_hidden_in_the_body_of_another_needs_its_own_credential(server):
    hidden = b"GET /admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head = b"POST /health HTTP/1.1\r\nHost: x\r\n"
    for framing in (
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    ):
        assert {seen["path"] for seen in reached(server.send(head + framing + hidden))} <= {"/health"}


def test_old_http_is_guarded_too(server):
    assert reached(server.ask(version=b"HTTP/1.0")) == []
    assert reached(server.send(b"GET /admin\r\n\r\n")) == []
    (seen,) = reached(server.ask(bearer(make_token()), version=b"HTTP/1.0"))
    assert seen["subject"] == "alice"


def test_a_websocket_opens_only_with_a_credential(server):
    if not server.takes_websockets:
        assert reached(server.ask(b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")) == []
        return
    upgrade = [
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + base64.b64encode(b"k" * 16),
    ]

    def open_with(*headers):
        lines = [b"GET /live HTTP/1.1", b"Host: x", b"Connection: Upgrade, close", *upgrade, *headers, b"", b""]
        return server.send(b"\r\n".join(lines), until=b"}}")  # the end of what the application says

    refused = open_with()
    assert reached(refused) == []
    assert re.match(rb"HTTP/1.1 40[13] ", refused)
    assert reached(open_with(bearer(b"x.y.z"))) == []
    (seen,) = reached(open_with(bearer(make_token()), b"X-Auth-User: admin"))
    assert seen["subject"] == "alice"
    assert "admin" not in [value for _, value in seen["headers"]]
