"""Headers that claim an identity, in the spellings that some server, proxy or framework takes for the same name."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.integrations.gate.identity_headers import IdentityHeaders


@pytest.mark.parametrize(
    "name",
    [
        "x-auth-user", "X-Auth-User", "x_auth_user", "X.Auth.User", "x-auth_user", "x--auth--user", "X_-AUTH.USER",
        "x-authenticated-userid", "x-user", "x-username", "x_user_id", "x-remote-user", "remote-user", "REMOTE_USER",
        "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username",
        "x-forwarded-access-token", "x-goog-authenticated-user-email", "x-ms-client-principal",
        "x-ms-client-principal-name", "x-amzn-oidc-data", "x-webauth-user", "x-doorward-subject",
        "cf-access-jwt-assertion", "tailscale-user-login", "x-client-cert", "ssl-client-s-dn", "SSL_CLIENT_VERIFY",
        "x-forwarded-client-cert", "client-cert", "impersonate-user", "oidc_claim_sub", "x-consumer-username",
        "SM_USER", "iv-user", "kubeflow-userid", "GAP-Auth", "OAM_REMOTE_USER", "x-hasura-role", "x-proxy-user",
        "teleport-jwt-assertion", "x-jwt-payload",
    ],
)  # fmt: skip
def test_a_name_that_claims_an_identity_is_stripped(name):
    assert IdentityHeaders()[name.encode()] is True


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "host", "accept", "cookie", "content-type", "user-agent", "x-forwarded-for", "x-api-key",
        "x-forwarded-host", "x-forwarded-proto", "x-request-id", "x-author", "x-real-ip", "traceparent", "remote",
        "from",
    ],
)  # fmt: skip
def test_another_name_stays(name):
    assert IdentityHeaders()[name.encode()] is False


@pytest.mark.parametrize("name", [b"", b":path", b"x auth", b"x-a\x00", b"x-\xffuth-user", b"host\n"])
def test_what_is_no_header_name_is_stripped(name):
    assert IdentityHeaders()[name] is True


def test_names_can_be_added():
    headers = IdentityHeaders(["X-Tenant", "acme.user*"])
    assert headers[b"x_tenant"]
    assert headers[b"acme-user-id"]
    assert headers[b"x-auth-user"]
    assert not headers[b"x-tenants"]


@pytest.mark.parametrize("wrong", ["x-tenant", ["*"], [""], ["x tenant"], ["x*y"], ["x-\xe9"]])
def test_what_is_no_list_of_names_is_refused(wrong):
    with pytest.raises(ConfigurationError) as refused:
        IdentityHeaders(wrong)
    assert refused.value.field == "identity_headers"


def test_what_callers_make_it_remember_is_bounded():
    headers = IdentityHeaders()
    for number in range(10_000):
        assert headers[b"x-junk-%d" % number] is False
        assert headers[b"x-auth-%d" % number] is True
    assert len(headers) <= 1024
    long = b"x-auth-" + b"a" * 65_536
    assert headers[long] is True
    assert long not in headers


def test_no_name_of_an_identity_passes_by_being_named():
    headers = IdentityHeaders(only=["x-user", "x-mine"])
    assert (headers[b"x-user"], headers[b"x-mine"], headers[b"x-other"]) == (True, False, True)


@pytest.mark.parametrize("setting", ["identity_headers", "only_headers"])
def test_one_text_is_no_list_of_names(setting):
    with pytest.raises(ConfigurationError) as refused:
        IdentityHeaders("abc") if setting == "identity_headers" else IdentityHeaders(only="abc")
    assert (refused.value.field, refused.value.reason) == (setting, "not_a_list")
