"""The counterparts are there and are what they should be, so that a failure elsewhere is about Doorward."""

from __future__ import annotations

import asyncio
import http.server
import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest


def _open(url, form=None):
    """Open a URL by today's trust: urlopen's own opener keeps the trust of whoever called it first."""
    return urllib.request.build_opener().open(url, form, timeout=10)


@pytest.fixture
def page_url():
    """A small server: any path is a page under the policy of our own pages, with one flaw, an image without a text."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.end_headers()
            self.wfile.write(b"<!doctype html><html lang=en><title>t</title><main><h1>t</h1><img src=x></main></html>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.usefixtures("trust_test_ca")
def test_discovery_over(scheme, oidc_provider):
    issuer = getattr(oidc_provider, scheme)
    with _open(f"{issuer}/.well-known/openid-configuration") as response:
        metadata = json.load(response)
    assert metadata["issuer"] == issuer
    assert {"RS256", "PS256", "ES256", "EdDSA"} <= set(metadata["id_token_signing_alg_values_supported"])
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["device_authorization_endpoint"].startswith(issuer)


def test_https_is_not_trusted_without_the_authority(oidc_provider):
    with pytest.raises(urllib.error.URLError) as caught:
        _open(oidc_provider.https)
    assert isinstance(caught.value.reason, ssl.SSLCertVerificationError)


def test_chromium_trusts_the_authority(chromium, oidc_provider):
    def steps(page):
        response = page.goto(f"{oidc_provider.https}/.well-known/openid-configuration")
        return response.status, response.json()["issuer"]

    assert chromium.run(steps) == (200, oidc_provider.https)


def test_chromium_stays_on_loopback(chromium):
    def steps(page):
        page.goto("http://www.example.com/")

    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        chromium.run(steps)


async def test_asynchronous_tests_run_beside_chromium(chromium):
    title = await asyncio.to_thread(chromium.run, lambda page: page.title())
    assert title == ""


def test_axe_sees_a_violation_through_a_strict_policy(chromium, axe, page_url):
    def steps(page):
        page.goto(page_url)
        return axe(page)

    assert [each.partition(":")[0] for each in chromium.run(steps)] == ["image-alt"]


def _authorization_url(provider, page_url):
    query = {
        "client_id": "native",
        "response_type": "code",
        "scope": "openid offline_access",
        "prompt": "consent",
        "state": "s",
        "redirect_uri": f"{page_url}/callback",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    return f"{provider.https}/auth?{urllib.parse.urlencode(query)}"


@pytest.mark.parametrize(("answer", "parameter"), [("sign_in", "code"), ("deny", "error")])
def test_a_person_answers(answer, parameter, chromium, oidc_provider, page_url):
    def steps(page):
        getattr(oidc_provider, answer)(page, _authorization_url(oidc_provider, page_url))
        return page.url

    url = urllib.parse.urlsplit(chromium.run(steps))
    query = urllib.parse.parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{page_url}/callback"
    assert query["state"] == ["s"]
    assert query["iss"] == [oidc_provider.https]
    assert parameter in query


def test_a_person_approves_a_device(chromium, oidc_provider):
    form = urllib.parse.urlencode({"client_id": "native", "scope": "openid"}).encode()
    with _open(f"{oidc_provider.http}/device/auth", form) as response:
        device = json.load(response)
    chromium.run(lambda page: oidc_provider.approve_device(page, device["verification_uri_complete"]))
    form = urllib.parse.urlencode(
        {
            "client_id": "native",
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device["device_code"],
        }
    ).encode()
    before = oidc_provider.token_requests(oidc_provider.http)
    with (
        oidc_provider.access_token_ttl(5),
        _open(f"{oidc_provider.http}/token", form) as response,
    ):
        assert json.load(response)["expires_in"] == 5
    assert oidc_provider.token_requests(oidc_provider.http) == before + 1


def test_keys_rotate(oidc_provider):
    old = oidc_provider.rotate_keys()
    both = oidc_provider.rotate_keys()
    assert both[4:] == old
    assert not set(oidc_provider.rotate_keys(drop=True)) & set(both)
