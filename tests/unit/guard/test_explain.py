"""An explanation says what the guard says, where, and why, without the token."""

import pytest

from doorward.errors import InvalidCredential
from doorward.guard import Admin, ApiKeys, Guard, Issuer
from doorward.guard.explain import explain_alone
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

URL, OTHER, NOW = "https://id.example.org", "https://other.example.org", 1_800_000_000
KEY = generate_signing_key("EdDSA", kid="k1")
CLAIMS = {"iss": URL, "sub": "alice", "aud": "api", "iat": NOW, "exp": NOW + 300, "scope": "read"}


class Stopped:
    def now(self):
        return float(NOW)

    monotonic = now


@pytest.fixture
def keys():
    return ApiKeys.memory(clock=Stopped())


@pytest.fixture
def guard(keys):
    issuer = Issuer(URL, ["api"], jwks={"keys": [KEY.public_jwk()]}, trust_email=True)
    return Guard([issuer], keys, clock=Stopped(), admins=["alice"])


def steps(explanation):
    return [(step.name, step.outcome) for step in explanation.steps]


def test_what_is_accepted(guard):
    token = sign_claims({**CLAIMS, "email": "alice@example.org", "email_verified": True, "groups": ["eng"]}, KEY)
    explanation = guard.explain(token)
    assert explanation.accepted is True
    assert steps(explanation) == [
        ("shape", "ok"),
        ("issuer", "ok"),
        ("keys", "ok"),
        ("signature", "ok"),
        ("claims", "note"),
        ("claims", "note"),
        ("claims", "ok"),
        ("revocation", "ok"),
        ("principal", "ok"),
    ]
    text = " ".join(step.text for step in explanation.steps)
    for expected in ("EdDSA", "k1", URL, "(+300 s)", "alice@example.org (counts)", "An administrator.", "eng"):
        assert expected in text
    assert not any(part in text for part in token.split("."))


@pytest.mark.parametrize(
    ("issuer", "verified", "said"),
    [
        (URL, True, "An administrator."),
        (URL, False, "No administrator: this address is an administrator's, but no trusted issuer has verified it"),
        (OTHER, True, f"No administrator: this address is an administrator's by the word of {URL} alone"),
    ],
)
def test_why_an_address_makes_nobody_an_administrator(issuer, verified, said):
    trusted = [Issuer(url, ["api"], jwks={"keys": [KEY.public_jwk()]}, trust_email=True) for url in (URL, OTHER)]
    guard = Guard(trusted, clock=Stopped(), admins=[Admin(URL, email="Alice@example.org")])
    claims = {**CLAIMS, "iss": issuer, "sub": "1", "email": "alice@example.org", "email_verified": verified}
    assert said in guard.explain(sign_claims(claims, KEY)).steps[-1].text


@pytest.mark.parametrize(
    ("claims", "last"),
    [
        ({"iss": "https://other.example.org"}, "issuer"),
        ({"iss": ...}, "issuer"),
        ({"exp": NOW - 31}, "claims"),
        ({"aud": "another"}, "claims"),
        ({"exp": "soon"}, "claims"),
        ({"iat": 10**12}, "claims"),
        ({"email": 7}, "revocation"),
    ],
)
def test_where_it_ends_and_that_the_guard_agrees(guard, claims, last):
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    token = sign_claims(given, KEY)
    explanation = guard.explain(token)
    assert explanation.accepted is False
    assert (explanation.steps[-1].name, explanation.steps[-1].outcome) == (last, "refused")
    with pytest.raises(InvalidCredential) as refused:
        guard.authenticate(f"Bearer {token}")
    assert (explanation.code, explanation.reason) == (refused.value.code, refused.value.reason)


def test_another_key(guard):
    other = sign_claims(CLAIMS, generate_signing_key("EdDSA", kid="k1"))
    assert steps(guard.explain(other))[-1] == ("signature", "refused")
    unknown = sign_claims(CLAIMS, generate_signing_key("EdDSA", kid="k2"))
    assert guard.explain(unknown).reason == "unknown_kid"


def test_what_is_revoked(guard):
    token = sign_claims(CLAIMS, KEY)
    guard.revocations.revoke(token=token)
    assert (steps(guard.explain(token))[-1], guard.explain(token).code) == (("revocation", "refused"), "revoked")


def test_an_api_key(guard, keys):
    secret, _ = keys.create("nightly", scopes=["read"], may_delegate=True)
    explanation = guard.explain(secret.reveal())
    assert explanation.accepted is True
    assert "nightly" in explanation.steps[-1].text
    assert "May act for others." in explanation.steps[-1].text
    assert secret.reveal() not in repr(explanation)
    keys.revoke("nightly")
    assert guard.explain(secret.reveal()).code == "revoked"
    assert guard.explain("nonsense").reason == "unknown_shape"


@pytest.mark.parametrize(
    "credential", ["", "two words", "a,b", "naïve", "a\n", "\udc80", "x" * 20_000, "==", "no-key-of-ours"]
)
def test_what_no_header_can_hold_ends_as_at_the_guard(guard, credential):
    explanation = guard.explain(credential)
    with pytest.raises(InvalidCredential) as refused:
        guard.authenticate(f"Bearer {credential}")
    said = (explanation.accepted, explanation.code, explanation.reason)
    assert said == (False, refused.value.code, refused.value.reason)


def test_an_email_that_is_only_shown(guard):
    explanation = guard.explain(sign_claims({**CLAIMS, "email": "a@example.org"}, KEY))
    assert "only to show" in explanation.steps[-1].text


def test_nothing_is_remembered(guard):
    token = sign_claims(CLAIMS, KEY)
    guard.explain(token)
    assert guard.known(f"Bearer {token}") is None


class TestWithoutSettings:
    def test_what_a_token_says_of_itself(self):
        explanation = explain_alone(sign_claims({**CLAIMS, "secret_note": "hush"}, KEY), now=NOW)
        assert explanation.accepted is None
        assert steps(explanation) == [("shape", "ok"), ("issuer", "note"), ("claims", "note"), ("signature", "note")]
        assert "hush" not in repr(explanation)

    def test_odd_claims_are_shown_as_they_are(self):
        token = sign_claims({"iss": [1], "aud": ["a", "b"], "exp": "x\x1b[31m", "iat": 2**63, "sub": "s\x07"}, KEY)
        text = " ".join(step.text for step in explain_alone(token, now=NOW).steps)
        assert "[1]" in text
        assert text.isprintable()
        assert "nothing that counts" in explain_alone(sign_claims({}, KEY), now=NOW).steps[2].text

    def test_what_is_no_token(self):
        assert explain_alone("dw_nonsense", now=NOW).accepted is None
        explanation = explain_alone("eyJ.no.sense", now=NOW)
        assert (explanation.accepted, explanation.reason) == (False, "base64_not_canonical")
