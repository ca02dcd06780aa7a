"""What is no guard is refused when it is made, with the place and what to write instead."""

import inspect

import pytest

from doorward.errors import ConfigurationError
from doorward.guard import Admin, ApiKeys, AuditLog, Guard, Introspection, Issuer, Throttle
from doorward.guard.configuration import Options
from doorward.guard.policy.admins import API_KEY_ISSUER
from doorward.protocol.jwk import generate_signing_key

URL, OTHER = "https://id.example.org", "https://other.example.org"
JWKS = {"keys": [generate_signing_key("EdDSA", kid="k1").public_jwk()]}


def issuer(url=URL, **settings):
    return Issuer(url, ["api"], jwks=JWKS, **settings)


@pytest.mark.parametrize(
    ("options", "field", "reason"),
    [
        ({"audit": "audit.log"}, "audit", "wrong_type"),
        ({"throttle": {}}, "throttle", "wrong_type"),
        ({"revocations": "revoked.db"}, "revocations", "wrong_type"),
        ({"introspection": URL}, "introspection", "wrong_type"),
        ({"grants": {"team": ["*"]}}, "grants", "wrong_type"),
        ({"admins": "alice@example.org"}, "admins", "not_a_list"),
        ({"admins": [7]}, "admins[0]", "wrong_type"),
        ({"admins": ["root", "alice@example.org"]}, "admins[1]", "admin_email_untrusted"),
        ({"admins": [Admin(URL, email="alice@example.org")]}, "admins[0]", "admin_email_untrusted"),
        ({"admins": [Admin(OTHER, subject="root")]}, "admins[0]", "admin_issuer_unknown"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies", "networks_not_list"),
    ],
)
def test_a_mistake_stops_the_start(options, field, reason):
    with pytest.raises(ConfigurationError) as wrong:
        Guard([issuer()], **options)
    assert (wrong.value.field, wrong.value.reason) == (field, reason)


@pytest.mark.parametrize("urls", [[], [URL, OTHER]])
def test_an_administrator_who_is_only_a_name_needs_the_one_issuer(urls):
    with pytest.raises(ConfigurationError) as wrong:
        Guard([issuer(url) for url in urls], ApiKeys.memory(), admins=["root"])
    assert (wrong.value.field, wrong.value.reason) == ("admins[0]", "admin_without_issuer")


def test_a_guard_made_by_code_has_nothing_to_read_again():
    with pytest.raises(ConfigurationError) as wrong:
        Guard([issuer()]).reload()
    assert wrong.value.reason == "nothing_to_reload"


def test_a_misspelt_option_is_none():
    with pytest.raises(TypeError, match="audits"):
        Guard([issuer()], audits=None)


def test_what_the_guard_is_given_reaches_its_configuration_under_the_same_names_and_defaults():
    signature = inspect.signature(Guard).parameters
    defaults = dict(zip(Options.__struct_fields__, Options.__struct_defaults__, strict=True))
    assert {name: each.default for name, each in signature.items() if name != "clock"} == defaults


@pytest.mark.parametrize("api_keys", ["keys.db", Throttle()])
def test_what_is_no_store_of_keys(api_keys):
    with pytest.raises(ConfigurationError) as wrong:
        Guard([issuer()], api_keys)
    assert wrong.value.field == "api_keys"


def test_what_is_no_issuer():
    with pytest.raises(ConfigurationError) as wrong:
        Guard([URL])
    assert wrong.value.field == "issuers"
    Guard(issuer())  # one alone is as good as a list of one


def test_administrators_who_can_be():
    Guard([issuer(trust_email=True)], admins=["root", "alice@example.org", Admin(API_KEY_ISSUER, subject="nightly")])
    asked = Introspection(OTHER, "api", client_secret="secret", audiences=["api"], trust_email=True)
    Guard([issuer()], introspection=asked, admins=[Admin(OTHER, email="alice@example.org")])


def test_anything_that_records_is_an_audit(tmp_path):
    class Own:
        def record(self, decision):
            pass

    for audit in (Own(), AuditLog(tmp_path / "audit.log")):
        Guard([issuer()], ApiKeys.memory(), audit=audit).close()
