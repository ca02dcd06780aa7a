"""What an issuer publishes, asked for within one deadline. Where it is looked for is tested with the key rings."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from loopback_https import Answer, Server

from doorward.errors import ConfigurationError, InvalidResponse, ProviderUnavailable, TransportError
from doorward.guard import Guard, Issuer
from doorward.guard.issuers.discovery import OneDeadline, discover, fetch_keys
from doorward.http.client import HttpClient
from doorward.http.target import check_target, choose_proxy
from doorward.model import HttpRequest, HttpResponse
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key
from doorward.protocol.metadata import IssuerMetadata, build_metadata_requests

URL = "https://id.example.org"


class Answers:
    """A transport that gives what it was given, in order."""

    def __init__(self, *responses):
        self.responses = list(responses)
        self.urls = []

    def send(self, request):
        self.urls.append(request.url)
        return self.responses.pop(0)


def test_without_time_left_nothing_is_sent():
    transport = OneDeadline(HttpClient(), 0.0)
    with pytest.raises(TransportError, match="No time was left to ask the provider's metadata") as caught:
        transport.send(build_metadata_requests(URL)[0])
    assert caught.value.reason == "timeout_total"


def test_what_introspection_needs():
    body = b'{"issuer": "https://id.example.org", "introspection_endpoint": "https://id.example.org/i"}'
    transport = Answers(HttpResponse(404), HttpResponse(200, {"content-type": "application/json"}, body))
    assert discover(URL, transport, now=0) == IssuerMetadata(URL, introspection_endpoint=f"{URL}/i")
    assert transport.urls == [
        f"{URL}/.well-known/openid-configuration",
        f"{URL}/.well-known/oauth-authorization-server",
    ]


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ([404, 404], "no_metadata"),
        ([403, 404], "unexpected_status"),  # as S3 has it; the first says what is wrong
        ([404, 403], "no_metadata"),
        ([302], "redirect"),
        ([404, 302], "redirect"),
    ],
)
def test_only_where_nothing_is_there_another_place_is_tried(statuses, reason):
    transport = Answers(*map(HttpResponse, statuses))
    with pytest.raises(InvalidResponse) as caught:
        discover(URL, transport, now=0)
    assert (caught.value.reason, len(transport.urls)) == (reason, len(statuses))


@pytest.mark.parametrize("place", range(4))
def test_an_issuer_with_a_path_is_found_wherever_it_publishes(place):
    issuer = f"{URL}/oidc"
    found = json_answer({"issuer": issuer, "jwks_uri": f"{URL}/k"})
    transport = Answers(*[HttpResponse(403)] * place, found)
    assert discover(issuer, transport, now=0).jwks_uri == f"{URL}/k"
    assert len({*transport.urls}) == place + 1


def test_an_unusable_place_of_the_keys_is_told():
    transport = Answers(json_answer({"issuer": URL, "jwks_uri": "http://id.example.org/k"}))
    with pytest.raises(InvalidResponse) as caught:
        fetch_keys(Issuer(URL, ["api"]), transport, now=0)
    assert caught.value.reason == "bad_endpoint"


def test_an_unusable_endpoint_for_introspection_keeps_no_keys_away():
    metadata = {"issuer": URL, "jwks_uri": f"{URL}/k", "introspection_endpoint": "http://id.example.org/i"}
    transport = Answers(json_answer(metadata), json_answer(KEYS))
    assert len(fetch_keys(Issuer(URL, ["api"]), transport, now=0).keys) == 1


# What the settings say of how the keys are asked for


KEYS = {"keys": [generate_signing_key("EdDSA", kid="a").public_jwk()]}


def json_answer(document, status=200):
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(document).encode())


class Shown:
    """A transport that keeps what was shown where."""

    def __init__(self, answers):
        self.answers, self.shown = answers, []

    def send(self, request):
        self.shown.append((request.url, request.headers.get("authorization")))
        return self.answers[request.url]


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("pod.token-1\n")
    return path


def test_a_token_is_shown_where_the_keys_are_and_is_read_each_time(token_file):
    issuer = Issuer(URL, ["api"], jwks_url=f"{URL}/jwks", jwks_token_file=str(token_file))
    transport = Shown({f"{URL}/jwks": json_answer(KEYS)})
    fetch_keys(issuer, transport, now=0)
    token_file.write_text("pod.token-2")
    fetch_keys(issuer, transport, now=0)
    assert transport.shown == [(f"{URL}/jwks", "Bearer pod.token-1"), (f"{URL}/jwks", "Bearer pod.token-2")]


@pytest.mark.parametrize("elsewhere", ["https://other.example.org/jwks", "https://id.example.org:8443/jwks"])
def test_a_token_is_shown_to_no_other_origin_whatever_the_metadata_say(token_file, elsewhere):
    metadata = f"{URL}/.well-known/openid-configuration"
    transport = Shown({metadata: json_answer({"issuer": URL, "jwks_uri": elsewhere}), elsewhere: json_answer(KEYS)})
    fetch_keys(Issuer(URL, ["api"], jwks_token_file=str(token_file)), transport, now=0)
    assert transport.shown == [(metadata, "Bearer pod.token-1"), (elsewhere, None)]


@pytest.mark.parametrize("content", ["", "two words", "a\nb", "ä", "x" * 65_537])
def test_a_file_that_holds_no_token_is_told(token_file, content):
    token_file.write_text(content)
    with pytest.raises(ConfigurationError, match="holds no bearer token") as caught:
        fetch_keys(Issuer(URL, ["api"], jwks_token_file=str(token_file)), Shown({}), now=0)
    assert caught.value.field == "jwks_token_file"


def test_a_token_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        fetch_keys(Issuer(URL, ["api"], jwks_token_file=str(tmp_path / "none")), Shown({}), now=0)


@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream", "", None])
def test_keys_of_any_media_type(media_type):
    headers = {} if media_type is None else {"content-type": media_type}
    transport = Shown({f"{URL}/jwks": HttpResponse(200, headers, json.dumps(KEYS).encode())})
    assert len(fetch_keys(Issuer(URL, ["api"], jwks_url=f"{URL}/jwks"), transport, now=0).keys) == 1


@pytest.mark.parametrize(
    "host",
    ["keycloak:8080", "10.1.2.3", "[fd00::1]:8080", "sso.prod.svc", "sso.prod.svc.cluster.local", "sso.internal"],
)
def test_http_inside_where_it_is_allowed_to_one_url(host):
    url = f"http://{host}/jwks"
    with pytest.raises(ConfigurationError):
        Issuer(URL, ["api"], jwks_url=url)
    issuer = Issuer(URL, ["api"], jwks_url=url, insecure_jwks_http=True)
    asked = HttpRequest("GET", url, "the keys")
    target = check_target(asked, insecure_loopback_http=False, insecure_http_url=issuer.jwks_url)
    assert target.scheme == "http"
    assert choose_proxy(target, {"https_proxy": "http://proxy:3128"}) is None
    with pytest.raises(ConfigurationError):
        check_target(
            HttpRequest("GET", f"{url}/other", "else"), insecure_loopback_http=False, insecure_http_url=issuer.jwks_url
        )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"jwks_url": "http://keys.example.org/jwks", "insecure_jwks_http": True}, "not_inside"),
        *[
            ({"jwks_url": f"http://{host}/jwks", "insecure_jwks_http": True}, "not_inside")
            for host in [
                "8.8.8.8",
                "134744072",
                "0x08080808",
                "01001004010",
                "8.8.2056",
                "[2001:0:808:808::1]",
                "0.0.0.1",
                "169.254.169.254",
                "100.64.0.1",
                "255.255.255.255",
                "198.18.0.1",
                "[::ffff:8.8.8.8]",
                "[64:ff9b::808:808]",
                "keycloak.",
                "a..internal",
                "x.0x8",
                "10.0.0.1.example.org",
                "internal.example.org",
            ]
        ],
        ({"jwks_url": "ftp://keycloak/jwks", "insecure_jwks_http": True}, "not_https"),
        ({"jwks_url": "http://u@keycloak/jwks", "insecure_jwks_http": True}, "has_userinfo"),
        ({"insecure_jwks_http": True}, "jwks_url_missing"),
        ({"jwks_url": "http://keycloak/j", "insecure_jwks_http": True, "jwks_token_file": "t"}, "token_in_plain_text"),
        ({"jwks": KEYS, "jwks_token_file": "t"}, "keys_not_fetched"),
        ({"jwks": KEYS, "jwks_ca_file": "t"}, "keys_not_fetched"),
        ({"jwks_ca_file": ""}, "not_a_path"),
        ({"insecure_jwks_http": "yes"}, "not_a_flag"),
    ],
)
def test_settings_that_say_nothing_sensible(settings, reason):
    with pytest.raises(ConfigurationError) as caught:
        Issuer(URL, ["api"], **settings)
    assert caught.value.reason == reason


def test_a_ca_for_one_issuer_is_trusted_for_it_and_alone(test_ca, tmp_path):
    answer = Answer(200, [("Content-Type", "application/json")], json.dumps(KEYS).encode())
    with contextlib.closing(Server(lambda _: answer, certificate=test_ca.certificate, key=test_ca.key)) as server:
        url = f"https://localhost:{server.port}/jwks"
        asked = HttpRequest("GET", url, "the keys")
        assert HttpClient(ca_file=str(test_ca.ca)).send(asked).status == 200
        with pytest.raises(TransportError) as caught:
            HttpClient().send(asked)
        assert caught.value.reason == "tls_certificate"
        nobody = tmp_path / "none.pem"
        nobody.write_text("no certificate")
        with pytest.raises(ConfigurationError) as caught:
            HttpClient(ca_file=str(nobody)).send(asked)
        assert caught.value.reason == "trust_unreadable"


def test_a_guard_asks_for_keys_as_the_settings_say(test_ca, token_file):
    """As a Kubernetes API server has it: a CA of the cluster's own, and keys only for who has a token."""
    key = generate_signing_key("EdDSA", kid="a")

    def api_server(request):
        if request.headers.get("Authorization") != "Bearer pod.token-1":
            return Answer(401)
        return Answer(
            200, [("Content-Type", "application/jwk-set+json")], json.dumps({"keys": [key.public_jwk()]}).encode()
        )

    with contextlib.closing(Server(api_server, certificate=test_ca.certificate, key=test_ca.key)) as server:
        name, now = "https://kubernetes.default.svc", int(time.time())
        token = sign_claims({"iss": name, "sub": "pod", "aud": "api", "iat": now, "exp": now + 60}, key)
        settings = {"jwks_url": f"https://localhost:{server.port}/jwks", "jwks_ca_file": str(test_ca.ca)}
        with (
            contextlib.closing(Guard([Issuer(name, ["api"], **settings)])) as guard,
            pytest.raises(ProviderUnavailable),
        ):
            guard.authenticate(f"Bearer {token}")
        issuer = Issuer(name, ["api"], **settings, jwks_token_file=str(token_file))
        with contextlib.closing(Guard([issuer])) as guard:
            assert guard.authenticate(f"Bearer {token}").subject == "pod"
