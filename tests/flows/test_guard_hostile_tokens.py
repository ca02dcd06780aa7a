"""The guard meets the whole kit of hostile tokens, over the network and from given keys, by threads and by tasks."""

from __future__ import annotations

import pytest

from doorward.errors import DoorwardError, InvalidCredential
from doorward.guard import Guard, Introspection, Issuer
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.jwk import generate_signing_key
from doorward.testing import DevIssuer, HostileToken, hostile_tokens, hostile_variants

AUDIENCE = "api"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(params=["RS256", "PS256", "ES256", "EdDSA"])
def alg(request):
    return request.param


@pytest.fixture
def issuer(alg):
    with DevIssuer() as issuer:
        issuer.change(signing_algorithm=alg)
        yield issuer


def trusted(issuer: DevIssuer, **settings) -> Issuer:
    return Issuer(issuer.url, [AUDIENCE], insecure_loopback_http=True, **settings)


def old_token(issuer: DevIssuer, **claims) -> str:
    """One for which no key can be too old: what its variants are refused for is certain at once."""
    return issuer.issue_access_token("alice", audience=AUDIENCE, iat=int(issuer.clock.now()) - 100, **claims)


def own_keys(issuer: DevIssuer) -> dict[str, object]:
    return {"keys": [issuer.signing_key.public_jwk()]}


def verdict(guard: Guard, token: str) -> str:
    try:
        guard.authenticate(f"Bearer {token}")
    except InvalidCredential as error:
        return error.code
    return "accepted"


def wrongly_judged(guard: Guard, hostile: list[HostileToken]) -> dict[str, str]:
    verdicts = {each.name: verdict(guard, each.token) for each in hostile}
    return {each.name: verdicts[each.name] for each in hostile if verdicts[each.name] not in each.refused_as}


@pytest.mark.parametrize("token_type", ["any", "access"])
def test_each_is_refused_for_what_is_wrong_with_it(issuer, token_type):
    """Twice: what is remembered of a refusal says the same. And the good token is let in before, between and after."""
    good = old_token(issuer)
    hostile = hostile_tokens(
        issuer, audience=AUDIENCE, scopes=["read"], access_only=token_type == "access", max_token_age_s=600
    )
    hostile += hostile_variants(good, jwks=own_keys(issuer))  # of the very token that is remembered
    guard = Guard([trusted(issuer, token_type=token_type, max_token_age_s=600)])
    try:
        for _ in range(2):
            assert guard.authenticate(f"Bearer {good}").subject == "alice"
            assert wrongly_judged(guard, hostile) == {}
        assert guard.authenticate(f"Bearer {good}").subject == "alice"
    finally:
        guard.close()


async def test_tasks_get_the_same_answers_as_threads(issuer):
    hostile = hostile_tokens(issuer, audience=AUDIENCE)
    guard = Guard([trusted(issuer)])
    verdicts = {}
    for each in hostile:
        with pytest.raises(InvalidCredential) as caught:
            await guard.aauthenticate(f"Bearer {each.token}")
        verdicts[each.name] = caught.value.code
    assert {each.name: verdicts[each.name] for each in hostile if verdicts[each.name] not in each.refused_as} == {}
    good = issuer.issue_access_token("alice", audience=AUDIENCE)
    assert (await guard.aauthenticate(f"Bearer {good}")).subject == "alice"
    guard.close()


def test_keys_that_are_given_judge_alike(issuer):
    guard = Guard([trusted(issuer, jwks=own_keys(issuer))])
    assert wrongly_judged(guard, hostile_tokens(issuer, audience=AUDIENCE)) == {}
    assert verdict(guard, issuer.issue_access_token("alice", audience=AUDIENCE)) == "accepted"
    assert not issuer.requests
    guard.close()


def test_no_refused_token_goes_on_to_the_provider_or_comes_back_as_another_kind():
    """A guard that asks about opaque tokens: the issuer would say active to the token that was spoiled."""
    with DevIssuer() as issuer:
        issuer.add_client("api", secret="api-secret")
        introspection = Introspection(
            issuer.url, "api", client_secret="api-secret", audiences=[AUDIENCE], insecure_loopback_http=True
        )
        guard = Guard([trusted(issuer)], introspection=introspection)
        good = old_token(issuer)
        assert verdict(guard, good) == "accepted"
        for each in hostile_tokens(issuer, audience=AUDIENCE) + hostile_variants(good):
            assert verdict(guard, each.token) != "accepted", each.name
        signed = [each for each in hostile_variants(good) if each.name.startswith(("alg_", "payload_", "kid_"))]
        asked = issuer.count("introspect")
        for each in signed:
            verdict(guard, each.token)
        assert issuer.count("introspect") == asked
        guard.close()


def test_an_id_token_opens_no_door_meant_for_access_tokens(issuer):
    id_token = issuer.issue_id_token("alice", client_id=AUDIENCE)
    guard = Guard([trusted(issuer, token_type="access")])
    assert verdict(guard, id_token) == "wrong_type"
    guard.close()
    guard = Guard([trusted(issuer, token_type="id")])
    assert verdict(guard, id_token) == "accepted"
    assert verdict(guard, issuer.issue_access_token("alice", audience=AUDIENCE)) == "wrong_type"
    guard.close()


def test_a_token_that_names_no_key_while_a_rotation_overlaps(issuer, alg):
    with issuer.misbehave("access_token_kid_missing"), DevIssuer() as stranger:
        stranger.change(signing_algorithm=alg)
        guard = Guard([trusted(issuer)])
        before = old_token(issuer)
        assert verdict(guard, before) == "accepted"
        issuer.rotate_keys()
        for good in (old_token(issuer), old_token(issuer, jti="j"), before):
            assert verdict(guard, good) == "accepted"
        with stranger.misbehave("access_token_kid_missing"):
            forged = stranger.issue_access_token("alice", audience=AUDIENCE, iss=issuer.url, iat=1)
        assert verdict(guard, forged) == "bad_signature"
        guard.close()


@pytest.mark.parametrize("revoked_by", ["token", "jti", "subject", "issuer", "kid"])
def test_no_variant_of_a_revoked_token_gets_in(issuer, alg, revoked_by):
    token = old_token(issuer, jti="j")
    twins = [token] + ([malleated(token)] if alg == "ES256" else [])
    guard = Guard([trusted(issuer)])
    for twin in twins:
        assert verdict(guard, twin) == "accepted"
    target = {
        "token": {"token": twins[-1]},
        "jti": {"issuer": issuer.url, "jti": "j"},
        "subject": {"issuer": issuer.url, "subject": "alice"},
        "issuer": {"issuer": issuer.url},
        "kid": {"issuer": issuer.url, "kid": issuer.signing_key.kid},
    }[revoked_by]
    guard.revocations.revoke(**target)
    for twin in twins:
        assert verdict(guard, twin) == "revoked"
    for each in hostile_variants(token):
        assert verdict(guard, each.token) != "accepted", each.name
    assert verdict(guard, token) == "revoked"
    guard.close()


@pytest.mark.parametrize("spacing", [b'{ "', b'{\n "', b'{"'])
def test_a_token_is_revoked_however_its_header_is_spaced(spacing):
    """Whatever the first letters of its base64url are: ``eyJ``, ``eyAi``, ``ewog``."""
    key = generate_signing_key("EdDSA", kid="k")
    with DevIssuer() as issuer:
        issuer.change(signing_algorithm="EdDSA")
        key = issuer.signing_key
        header, payload, _ = issuer.issue_access_token("alice", audience=AUDIENCE).split(".")
        header = encode_base64url(decode_base64url(header, what="The header").replace(b'{"', spacing, 1))
        signature = key.private_key.sign(f"{header}.{payload}".encode())
        token = f"{header}.{payload}.{encode_base64url(signature)}"
        guard = Guard([trusted(issuer)])
        assert verdict(guard, token) == "accepted"
        guard.revocations.revoke(token=token)
        assert verdict(guard, token) == "revoked"
        guard.close()


def malleated(token: str) -> str:
    """The same token with ``(r, n - s)``: as good to any verifier of ECDSA, and another text."""
    rest, _, signature = token.rpartition(".")
    raw = decode_base64url(signature, what="The signature")
    s = P256_ORDER - int.from_bytes(raw[32:])
    return f"{rest}.{encode_base64url(raw[:32] + s.to_bytes(32))}"


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Bearer  {}", "Bearer\t{}", " Bearer {}", "Bearer {} ", "Bearer {}, Bearer {}",
        "Bearer {}\r\n", "Bearer\x00{}", "Bearer\u00a0{}", "Basic {}", "DPoP {}", "Token {}", "Bearer: {}", "Bearer={}",
        "Bearer\u3000{}", "{}", "Bearer {}\x00", "Bearer '{}'", "\ufeffBearer {}", "Bearer {}\ud800", "\ud800",
        "\u0392earer {}", "Bearer {}?", "Bearer token={}",
    ],
)  # fmt: skip
def test_a_header_that_is_not_just_so(authorization):
    with DevIssuer() as issuer:
        guard = Guard([trusted(issuer, jwks=own_keys(issuer))])
        good = issuer.issue_access_token("alice", audience=AUDIENCE)
        spoiled = authorization and authorization.replace("{}", good)
        with pytest.raises(InvalidCredential) as caught:
            guard.authenticate(spoiled)
        assert caught.value.code in {"missing_credential", "malformed"}
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
            assert guard.authenticate(f"{scheme} {good}").subject == "alice"
        guard.close()


def test_no_error_says_what_was_sent(issuer):
    guard = Guard([trusted(issuer)])
    for each in hostile_tokens(issuer, audience=AUDIENCE):
        with pytest.raises(DoorwardError) as caught:
            guard.authenticate(f"Bearer {each.token}")
        message = caught.value.message
        assert message.isprintable(), each.name
        assert len(message) < 700, each.name
        assert not [part for part in each.token.split(".") if len(part) > 20 and part in message], each.name
    guard.close()
