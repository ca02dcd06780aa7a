"""Provider metadata: the issuer to the character, every URL and type checked, named exceptions only where asked for."""

from __future__ import annotations

import json

import pytest

from doorward.errors import ConfigurationError, DoorwardError, InvalidResponse, ProviderUnavailable
from doorward.model import HttpResponse
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, generate_signing_key
from doorward.protocol.metadata import (
    IssuerMetadata,
    build_jwks_request,
    build_jwks_url_request,
    build_metadata_requests,
    check_issuer_url,
    issuer_matches,
    leads_on,
    parse_issuer_metadata_response,
    parse_jwks_response,
    parse_metadata_response,
)

ISSUER = "https://id.example.org"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
TEMPLATE = "https://login.example.com/{tenantid}/v2.0"
GOOD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize?p=policy",
    "token_endpoint": "https://tokens.example.net/token",
    "jwks_uri": f"{ISSUER}/jwks",
}
ENDPOINTS = (
    *("authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint"),
    *("revocation_endpoint", "introspection_endpoint", "end_session_endpoint", "userinfo_endpoint"),
    "pushed_authorization_request_endpoint",
)


def answer(document):
    return HttpResponse(200, {"content-type": "application/json"}, json.dumps(document).encode())


def parse(changes=(), issuer=ISSUER, **options):
    return parse_metadata_response(answer(GOOD | dict(changes)), issuer=issuer, now=0, **options)


def refused(*args, **kwargs):
    with pytest.raises(InvalidResponse) as caught:
        parse(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/", f"{ISSUER}/realms/a%20b/", f"{ISSUER}:8443/x"])
def test_good_issuers(issuer):
    check_issuer_url(issuer)


@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        ("http://id.example.org", "not_https"),
        ("http://127.0.0.1:8080", "not_https"),
        ("https://id.example.org?", "has_query"),
        ("https://id.example.org#x", "has_fragment"),
        ("https://a@id.example.org", "has_userinfo"),
        ("id.example.org", "no_host"),
        ("https://id.example.org/\x1b[2J", "bad_characters"),
        (None, "not_a_string"),
    ],
)
def test_issuers_that_are_none(issuer, reason):
    with pytest.raises(ConfigurationError) as caught:
        check_issuer_url(issuer)
    assert (caught.value.field, caught.value.reason) == ("issuer", reason)
    assert caught.value.message.isprintable()


def test_http_on_loopback_is_an_explicit_choice():
    check_issuer_url("http://127.0.0.1:8080/op", insecure_loopback_http=True)
    with pytest.raises(ConfigurationError, match="not https"):
        check_issuer_url("http://id.example.org", insecure_loopback_http=True)


OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("issuer", "host", "places"),
    [
        (ISSUER, ISSUER, [OPENID, OAUTH]),
        (f"{ISSUER}/", ISSUER, [OPENID, OAUTH]),
        (f"{ISSUER}//", ISSUER, [f"/{OPENID}", f"{OAUTH}/", f"/{OAUTH}", f"{OPENID}/"]),
        (f"{ISSUER}/oidc", ISSUER, [f"/oidc{OPENID}", f"{OAUTH}/oidc", f"/oidc{OAUTH}", f"{OPENID}/oidc"]),
        (f"{ISSUER}:8443/a/b/", f"{ISSUER}:8443", [f"/a/b{OPENID}", f"{OAUTH}/a/b", f"/a/b{OAUTH}", f"{OPENID}/a/b"]),
        ("http://[::1]:9/%20", "http://[::1]:9", [f"/%20{OPENID}", f"{OAUTH}/%20", f"/%20{OAUTH}", f"{OPENID}/%20"]),
    ],
)
def test_where_metadata_is_asked_for(issuer, host, places):
    requests = build_metadata_requests(issuer)
    assert [request.url for request in requests] == [f"{host}{place}" for place in places]
    for request in requests:
        assert (request.method, request.max_response_bytes) == ("GET", 262_144)
        assert request.headers == {"accept": "application/json"}


@pytest.mark.parametrize(
    ("status", "on"), [(400, True), (401, True), (499, True), (399, False), (200, False), (500, False)]
)
def test_what_leads_on_to_the_next_place(status, on):
    assert leads_on(HttpResponse(status)) is on


def test_what_is_absent_means_what_the_standards_say():
    metadata = parse()
    assert {getattr(metadata, name) for name in ENDPOINTS[3:]} == {None}
    assert metadata.authorization_endpoint == GOOD["authorization_endpoint"]
    assert (metadata.scopes_supported, metadata.grant_types_supported) == (None, None)
    assert metadata.id_token_signing_algorithms == {"RS256"}
    assert metadata.token_endpoint_auth_methods == ("client_secret_basic",)
    assert metadata.revocation_endpoint_auth_methods is metadata.introspection_endpoint_auth_methods is None
    assert metadata.iss_parameter_supported is metadata.push_required is False
    assert metadata.proof_algorithms is metadata.challenge_methods is None
    assert metadata.by_certificate() == metadata
    assert metadata.certificate_bound_tokens is False


def test_what_is_there_is_kept():
    metadata = parse(
        {
            **dict.fromkeys(ENDPOINTS, f"{ISSUER}/x"),
            "scopes_supported": ["openid"],
            "grant_types_supported": ["authorization_code"],
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS512", "EdDSA", "dir"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
            "authorization_response_iss_parameter_supported": True,
            "require_pushed_authorization_requests": True,
            "dpop_signing_alg_values_supported": ["ES256"],
            "code_challenge_method_supported": "misspelt, and of no use",
        }
    )
    assert {getattr(metadata, name) for name in ENDPOINTS} == {f"{ISSUER}/x"}
    assert metadata.push_required
    assert metadata.proof_algorithms == ("ES256",)
    assert (metadata.scopes_supported, metadata.grant_types_supported) == (("openid",), ("authorization_code",))
    assert metadata.id_token_signing_algorithms == {"RS512", "EdDSA"} <= ASYMMETRIC_ALGORITHMS
    assert metadata.token_endpoint_auth_methods == ("client_secret_post",)
    assert metadata.revocation_endpoint_auth_methods == ("none",)
    assert metadata.introspection_endpoint_auth_methods == ("private_key_jwt",)
    assert metadata.iss_parameter_supported is True


def test_symmetric_algorithms_alone_leave_nothing_to_verify_with():
    assert parse({"id_token_signing_alg_values_supported": ["HS256", "none"]}).id_token_signing_algorithms == set()


@pytest.mark.parametrize(
    "named",
    [
        f"{ISSUER}/",
        "https://id.example.org:443",
        "https://ID.example.org",
        "http://id.example.org",
        "https://id.example.or",
        "https://id.example.org.evil.example",
        "https://id.example.org ",
        TEMPLATE,
        "\x1b[2Jhttps://id.example.org",
    ],
)
def test_another_issuer(named):
    error = refused({"issuer": named})
    assert error.reason == "issuer_mismatch"
    assert error.message.isprintable()


def test_a_trailing_slash_is_part_of_the_issuer():
    assert parse({"issuer": f"{ISSUER}/"}, issuer=f"{ISSUER}/").issuer == f"{ISSUER}/"
    assert refused(issuer=f"{ISSUER}/").reason == "issuer_mismatch"


@pytest.mark.parametrize("named", [TEMPLATE, TEMPLATE.replace("{tenantid}", TENANT)])
def test_a_template_is_accepted_from_who_was_told_of_it(named):
    common = "https://login.example.com/common/v2.0"
    assert parse({"issuer": named}, common, accepted_issuer_template=TEMPLATE).issuer == named
    assert parse({"issuer": common}, common, accepted_issuer_template=TEMPLATE).issuer == common
    assert refused({"issuer": named}, common).reason == "issuer_mismatch"


@pytest.mark.parametrize(
    "named",
    [
        "https://login.example.com/evil/v2.0",
        f"https://login.example.com/{TENANT}/../evil/v2.0",
        f"https://login.example.com/{TENANT}/v2.0/",
        f"https://login.example.com/{TENANT}/v2_0",
        f"https://login.example.com/{TENANT.upper()}/v2.0",
        f"https://login.example.com/{TENANT}\n/v2.0",
        f"https://login.example.com/{TENANT}/v2.0\n",
        f"https://login-example.com/{TENANT}/v2.0",
    ],
)
def test_a_template_stands_for_a_tenant_and_nothing_else(named):
    assert refused({"issuer": named}, accepted_issuer_template=TEMPLATE).reason == "issuer_mismatch"
    assert not issuer_matches(TEMPLATE, named)


def test_issuer_matches():
    assert issuer_matches(ISSUER, ISSUER)
    assert not issuer_matches(ISSUER, f"{ISSUER}/")
    assert issuer_matches(TEMPLATE, TEMPLATE.replace("{tenantid}", TENANT))
    assert not issuer_matches(TEMPLATE.replace("{tenantid}", TENANT), TEMPLATE)


@pytest.mark.parametrize("name", ["issuer", "token_endpoint"])
def test_what_must_be_there(name):
    error = refused({name: None})
    assert error.reason == "missing_member"
    assert name in error.message


OPTIONAL = [name for name in ENDPOINTS if name != "token_endpoint"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_need_not_be_there_until_it_is_needed(name):
    metadata = parse({name: None})
    assert getattr(metadata, name) is None
    with pytest.raises(InvalidResponse, match=name) as caught:
        metadata.need(name)
    assert caught.value.reason == "missing_member"


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("url", ["http://id.example.org/x", "", [f"{ISSUER}/x"], 7])
def test_an_unusable_endpoint_counts_as_not_offered(name, url):
    metadata = parse({**dict.fromkeys(ENDPOINTS, f"{ISSUER}/x"), name: url})
    assert getattr(metadata, name) is None
    assert metadata.flaws.keys() == {name}
    assert metadata.need("token_endpoint") == f"{ISSUER}/x"


ELSEWHERE = {"jwks_uri": None, "scopes_supported": ["mcp"]}


@pytest.mark.parametrize(
    ("changes", "openid"),
    [
        (ELSEWHERE, False),
        ({"scopes_supported": None}, False),  # keys alone may be those of access tokens
        ({"scopes_supported": ["openid"]}, True),
        (ELSEWHERE | {"subject_types_supported": ["public"]}, True),
        (ELSEWHERE | {"id_token_signing_alg_values_supported": ["RS256"]}, True),
    ],
)
def test_what_shows_an_openid_provider_outside_of_its_own_place(changes, openid):
    assert parse(changes, openid=False).openid is openid
    assert parse(changes).openid is True


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/token",
        "http://id.example.org/t",
        "http://127.0.0.1/t",
        "https://a@id.example.org/t",
        "https://id.example.org/t#f",
        "https://id.example.org/t\n",
        "file:///etc/passwd",
    ],
)
def test_every_endpoint_that_is_used_is_a_good_url(name, url):
    with pytest.raises(InvalidResponse, match=name) as caught:
        parse({name: url}).need(name)
    assert caught.value.reason == "bad_endpoint"


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_that_is_used_is_a_string(name):
    with pytest.raises(InvalidResponse, match=name) as caught:
        parse({name: [f"{ISSUER}/x"]}).need(name)
    assert caught.value.reason == "wrong_member_type"


def test_loopback_endpoints_on_explicit_choice():
    local = "http://127.0.0.1:9/op"
    document = {name: f"{local}/{name}" for name in ENDPOINTS} | {"issuer": local}
    assert parse(document, local, insecure_loopback_http=True).token_endpoint == f"{local}/token_endpoint"
    error = refused(document | {"token_endpoint": "http://id.example.org/t"}, local, insecure_loopback_http=True)
    assert error.reason == "bad_endpoint"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", [ISSUER]),
        ("scopes_supported", "openid email"),
        ("grant_types_supported", [1]),
        ("id_token_signing_alg_values_supported", "RS256"),
        ("token_endpoint_auth_methods_supported", {"none": True}),
        ("revocation_endpoint_auth_methods_supported", [None]),
        ("introspection_endpoint_auth_methods_supported", False),
        ("authorization_response_iss_parameter_supported", "true"),
    ],
)
def test_wrong_types(name, value):
    error = refused({name: value})
    assert error.reason == "wrong_member_type"
    assert name in error.message


def test_a_login_page_in_between_is_named():
    page = HttpResponse(200, {"content-type": "text/html"}, b"<html>Hotel Wi-Fi</html>")
    with pytest.raises(InvalidResponse, match="provider's metadata answered text/html") as caught:
        parse_metadata_response(page, issuer=ISSUER, now=0)
    assert caught.value.reason == "not_json"


def test_an_outage_is_one():
    with pytest.raises(ProviderUnavailable):
        parse_metadata_response(HttpResponse(503), issuer=ISSUER, now=0)


def test_keys():
    request = build_jwks_request(parse())
    assert (request.method, request.url, request.max_response_bytes) == ("GET", GOOD["jwks_uri"], 1_048_576)
    document = {"keys": [generate_signing_key("ES256", kid="a").public_jwk()]}
    assert [key.kid for key in parse_jwks_response(answer(document), now=0).keys] == ["a"]


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(503),
        HttpResponse(302, {"location": "https://evil.example/keys"}),
        HttpResponse(404, {"content-type": "text/html"}, b"gone"),
        HttpResponse(200, {"content-type": "text/html"}, b"<html>"),
        answer({"keys": "none"}),
        answer({"error": "server_error"}),
    ],
)
def test_no_keys(response):
    with pytest.raises(DoorwardError) as caught:
        parse_jwks_response(response, now=0)
    assert isinstance(caught.value, (InvalidResponse, ProviderUnavailable))


def parse_for_service(document, issuer=ISSUER, **options):
    return parse_issuer_metadata_response(answer(document), issuer=issuer, now=0, **options)


def test_an_issuer_for_machines_needs_no_endpoints_for_people():
    assert parse_for_service({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/k?v=1"}) == IssuerMetadata(
        ISSUER, f"{ISSUER}/k?v=1"
    )
    assert parse_for_service({"issuer": ISSUER}) == IssuerMetadata(ISSUER)
    document = GOOD | {
        "introspection_endpoint": f"{ISSUER}/i",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    }
    assert parse_for_service(document) == IssuerMetadata(
        ISSUER, GOOD["jwks_uri"], f"{ISSUER}/i", ("client_secret_basic",)
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": f"{ISSUER}/"}, "issuer_mismatch"),
        ({"issuer": None}, "missing_member"),
        ({"introspection_endpoint_auth_methods_supported": "none"}, "wrong_member_type"),
    ],
)
def test_an_issuer_for_machines_is_checked_all_the_same(changes, reason):
    with pytest.raises(InvalidResponse) as caught:
        parse_for_service(GOOD | changes)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "url", "reason"),
    [
        ("jwks_uri", "http://id.example.org/k", "bad_endpoint"),
        ("jwks_uri", "http://127.0.0.1/k", "bad_endpoint"),
        ("jwks_uri", [f"{ISSUER}/k"], "wrong_member_type"),
        ("introspection_endpoint", "https://a@id.example.org/i", "bad_endpoint"),
        ("introspection_endpoint", None, "missing_member"),
    ],
)
def test_what_a_service_needs_of_its_issuer_can_be_used(name, url, reason):
    metadata = parse_for_service(GOOD | {name: url})
    assert getattr(metadata, name) is None
    with pytest.raises(InvalidResponse, match=name) as caught:
        metadata.need(name)
    assert caught.value.reason == reason


def test_an_issuer_for_machines_on_loopback():
    local = {"issuer": "http://localhost:9", "jwks_uri": "http://localhost:9/k"}
    assert parse_for_service(local, "http://localhost:9", insecure_loopback_http=True).jwks_uri == local["jwks_uri"]


@pytest.mark.parametrize("status", [404, 405, 410])
def test_no_metadata_there(status):
    with pytest.raises(InvalidResponse) as caught:
        parse_issuer_metadata_response(HttpResponse(status), issuer=ISSUER, now=0)
    assert caught.value.reason == "no_metadata"


def test_keys_at_a_url_of_their_own():
    request = build_jwks_url_request(f"{ISSUER}/k")
    assert request == build_jwks_request(parse({"jwks_uri": f"{ISSUER}/k"}))
    document = HttpResponse(200, {"content-type": "application/jwk-set+json"}, b'{"keys": []}')
    assert parse_jwks_response(document, now=0).keys == ()


@pytest.mark.parametrize(
    "issuer",
    [
        "https://me:planted@id.example.org",
        "https://id.example.org?key=planted",
        "https://id.example.org/\nplanted",
        "https://planted@[::1",
    ],
)
def test_an_issuer_that_may_hold_a_password_is_not_repeated(issuer):
    with pytest.raises(ConfigurationError) as caught:
        check_issuer_url(issuer)
    assert "planted" not in str(caught.value)


class TestCertificates:
    """RFC 8705 section 5: a client with a certificate goes to the endpoints that are meant for it."""

    def test_they_have_endpoints_of_their_own(self):
        aliases = {"token_endpoint": "https://mtls.example.org/token", "authorization_endpoint": "https://x.example"}
        metadata = parse({"mtls_endpoint_aliases": aliases, "tls_client_certificate_bound_access_tokens": True})
        assert metadata.token_endpoint == GOOD["token_endpoint"]
        assert metadata.by_certificate().token_endpoint == "https://mtls.example.org/token"
        assert metadata.by_certificate().authorization_endpoint == GOOD["authorization_endpoint"]
        assert metadata.certificate_bound_tokens

    @pytest.mark.parametrize(
        "aliases", [[], "x", {"token_endpoint": "http://mtls.example.org"}, {"userinfo_endpoint": 7}], ids=str
    )
    def test_what_is_no_address(self, aliases):
        assert refused({"mtls_endpoint_aliases": aliases}).reason == "bad_endpoint"
