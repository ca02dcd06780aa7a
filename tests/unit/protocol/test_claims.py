from __future__ import annotations

import functools
import json

import pytest

from doorward.errors import (
    AlgorithmNotAllowed,
    BadSignature,
    ConfigurationError,
    Expired,
    Malformed,
    MissingClaim,
    NotYetValid,
)
from doorward.protocol.claims import (
    Times,
    audience,
    optional_numeric_date,
    optional_string,
    parse_jwt,
    require_numeric_date,
    require_string,
    sign_claims,
    validate_times,
    verify_jwt,
)
from doorward.protocol.jwk import JwkSet, SigningKey, generate_signing_key, parse_jwk, parse_jwk_set
from doorward.protocol.jws import sign_jws
from doorward.protocol.reading.strict_json import loads_object

NOW = 1_800_000_000


@functools.cache
def key() -> SigningKey:
    return generate_signing_key("EdDSA", kid="k")


def keys() -> JwkSet:
    return parse_jwk_set(json.dumps({"keys": [key().public_jwk()]}).encode())


# The token


def test_signed_claims_come_back():
    claims = {"iss": "https://id.example", "aud": ["a", "b"], "exp": NOW, "n": {"a": [1, 2.5, None, True]}, "é": "ü"}
    jwt = parse_jwt(sign_claims(claims, key(), typ="at+jwt"))
    assert jwt.claims == claims
    signed = verify_jwt(jwt, keys(), algorithms={"EdDSA"})
    assert signed.claims == claims
    assert (signed.header.alg, signed.header.kid, signed.header.typ) == ("EdDSA", "k", "at+jwt")
    assert signed.header == jwt.header


def test_claims_do_not_show():
    jwt = parse_jwt(sign_claims({"email": "alice@example.org"}, key()))
    signed = verify_jwt(jwt, keys(), algorithms={"EdDSA"})
    assert repr(jwt) == "UnverifiedJwt(header=JoseHeader(alg='EdDSA', kid='k', typ=None))"
    assert repr(signed) == "SignedClaims(header=JoseHeader(alg='EdDSA', kid='k', typ=None))"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "json_syntax"),
        (b"not json", "json_syntax"),
        (b"[]", "json_not_object"),
        (b'"text"', "json_not_object"),
        (b'{"sub":"a","sub":"b"}', "json_repeated_name"),
        (b'{"exp":Infinity}', "json_syntax"),
        (b'{"exp":1' + b"0" * 400 + b"}", "json_integer_range"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "json_too_deep"),
        (b'\xef\xbb\xbf{"a":1}', "json_syntax"),
    ],
)
def test_a_payload_that_is_no_strict_object_is_refused_though_signed(payload, expected):
    with pytest.raises(Malformed) as caught:
        parse_jwt(sign_jws(payload, key()))
    assert caught.value.reason == expected


def test_the_length_is_a_setting():
    with pytest.raises(Malformed) as caught:
        parse_jwt(sign_claims({"a": "x" * 200}, key()), max_bytes=200)
    assert caught.value.reason == "token_too_long"


def test_a_forged_token_is_not_signed():
    head, _, tail = sign_claims({"sub": "alice"}, key()).split(".")
    _, body, _ = sign_claims({"sub": "admin"}, key()).split(".")
    with pytest.raises(BadSignature):
        verify_jwt(parse_jwt(f"{head}.{body}.{tail}"), keys(), algorithms={"EdDSA"})


def test_only_allowed_algorithms_count():
    with pytest.raises(AlgorithmNotAllowed):
        verify_jwt(parse_jwt(sign_claims({}, key())), keys(), algorithms={"RS256"})


def test_keys_of_one_issuer_do_not_sign_for_another_of_the_same_kid():
    other = JwkSet((parse_jwk(generate_signing_key("EdDSA", kid="k").public_jwk()),))
    with pytest.raises(BadSignature):
        verify_jwt(parse_jwt(sign_claims({"iss": "https://other.example"}, key())), other, algorithms={"EdDSA"})


def test_claims_must_be_json():
    with pytest.raises(ConfigurationError) as caught:
        sign_claims({"exp": float("inf")}, key())
    assert (caught.value.field, caught.value.reason) == ("claims", "not_json")


# Readers


@pytest.mark.parametrize("value", [None, "", 1, True, ["a"], {"a": "b"}])
def test_a_string_is_a_string_with_content(value):
    for read in (require_string, optional_string):
        with pytest.raises(Malformed) as caught:
            read({"sub": value}, "sub")
        assert caught.value.reason == "sub_malformed"


def test_a_string_that_is_not_there():
    assert optional_string({}, "sub") is None
    with pytest.raises(MissingClaim) as caught:
        require_string({}, "sub")
    assert caught.value.reason == "sub_missing"
    assert require_string({"sub": "alice"}, "sub") == "alice"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "exp_malformed"),
        (True, "exp_malformed"),
        (False, "exp_malformed"),
        (float("inf"), "exp_malformed"),
        (float("nan"), "exp_malformed"),
        ("1800000000", "exp_malformed"),
        (" +9999999999 ", "exp_malformed"),
        ("2027-01-15T08:00:00Z", "exp_malformed"),
        ([1800000000], "exp_malformed"),
        ({"$date": 1}, "exp_malformed"),
        (-1, "exp_range"),
        (-0.5, "exp_range"),
        (253_402_300_799.5, "exp_range"),
        (1e308, "exp_range"),
        (253_402_300_800, "exp_range"),
        (10**400, "exp_range"),
    ],
)
def test_a_time_is_a_number_of_seconds_that_a_calendar_knows(value, expected):
    for read in (require_numeric_date, optional_numeric_date):
        with pytest.raises(Malformed) as caught:
            read({"exp": value}, "exp")
        assert caught.value.reason == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.8E9", 1_800_000_000), ("1800000000.0", 1_800_000_000), ("1800000000.999", 1_800_000_000), ("0.5", 0)],
)
def test_of_a_time_with_a_fraction_the_whole_seconds_count(text, seconds):
    """RFC 7519 section 2 allows it. JetBrains Hub, SATOSA and PHP's microtime write fractions, Java doubles 1.8E9."""
    claims = loads_object(b'{"exp": %b}' % text.encode(), "The claims")
    for read in (require_numeric_date, optional_numeric_date):
        found = read(claims, "exp")
        assert (found, type(found)) == (seconds, int)
    assert validate_times(claims | {"iat": 0.25}, now=0).expires_at == seconds


def test_a_time_that_is_not_there():
    assert optional_numeric_date({}, "iat") is None
    with pytest.raises(MissingClaim) as caught:
        require_numeric_date({}, "iat")
    assert caught.value.reason == "iat_missing"


@pytest.mark.parametrize("value", [0, NOW, 253_402_300_799])
def test_times_in_range(value):
    assert require_numeric_date({"iat": value}, "iat") == value


@pytest.mark.parametrize(("value", "expected"), [("a", ("a",)), (["a"], ("a",)), (["a", "b", "a"], ("a", "b", "a"))])
def test_an_audience_is_one_string_or_several(value, expected):
    assert audience({"aud": value}) == expected


@pytest.mark.parametrize("value", [None, "", 1, True, {}, [], [""], ["a", 1], ["a", None], [["a"]], {"a": "a"}])
def test_an_audience_is_nothing_else(value):
    with pytest.raises(Malformed) as caught:
        audience({"aud": value})
    assert caught.value.reason == "aud_malformed"


def test_an_audience_must_be_there():
    with pytest.raises(MissingClaim) as caught:
        audience({})
    assert caught.value.reason == "aud_missing"


# Times


def test_times_that_hold_are_returned():
    claims = {"exp": NOW + 60, "nbf": NOW - 60, "iat": NOW - 61}
    assert validate_times(claims, now=NOW) == Times(NOW + 60, NOW - 60, NOW - 61)
    assert validate_times({"exp": NOW + 60}, now=NOW + 0.5) == Times(NOW + 60, None, None)


@pytest.mark.parametrize(
    ("leeway_s", "now", "good"),
    [
        (0, NOW - 1, True),
        (0, NOW - 0.001, True),
        (0, NOW, False),
        (0, NOW + 1, False),
        (30, NOW + 29.999, True),
        (30, NOW + 30, False),
        (300, NOW + 299, True),
        (300, NOW + 300, False),
        (30, float("nan"), False),
        (30, float("inf"), False),
    ],
)
def test_a_token_expires_when_exp_is_reached(leeway_s, now, good):
    if good:
        validate_times({"exp": NOW}, now=now, leeway_s=leeway_s)
    else:
        with pytest.raises(Expired) as caught:
            validate_times({"exp": NOW}, now=now, leeway_s=leeway_s)
        assert caught.value.reason == "expired"


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize(
    ("leeway_s", "ahead_s", "good"), [(0, 0, True), (0, 1, False), (30, 30, True), (30, 31, False), (300, 300, True)]
)
def test_a_token_from_the_future_is_refused(name, leeway_s, ahead_s, good):
    claims = {"exp": NOW + 3600, name: NOW + ahead_s}
    if good:
        validate_times(claims, now=NOW, leeway_s=leeway_s)
    else:
        with pytest.raises(NotYetValid) as caught:
            validate_times(claims, now=NOW, leeway_s=leeway_s)
        assert caught.value.reason == f"{name}_in_future"


@pytest.mark.parametrize(("age_s", "good"), [(3600, True), (3629, True), (3630, False), (7200, False)])
def test_a_token_may_be_too_old_though_it_has_not_expired(age_s, good):
    claims = {"exp": NOW + 10**6, "iat": NOW - age_s}
    if good:
        validate_times(claims, now=NOW, max_age_s=3600)
    else:
        with pytest.raises(Expired) as caught:
            validate_times(claims, now=NOW, max_age_s=3600)
        assert caught.value.reason == "too_old"


@pytest.mark.parametrize(
    ("claims", "name"), [({}, "exp"), ({"iat": NOW, "nbf": NOW}, "exp"), ({"exp": NOW + 60}, "iat")]
)
def test_a_time_that_is_needed_must_be_there(claims, name):
    with pytest.raises(MissingClaim) as caught:
        validate_times(claims, now=NOW, max_age_s=60)
    assert caught.value.reason == f"{name}_missing"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_of_another_type_is_refused_wherever_it_stands(name):
    with pytest.raises(Malformed) as caught:
        validate_times({"exp": NOW + 60, name: "soon"}, now=NOW)
    assert caught.value.reason == f"{name}_malformed"


@pytest.mark.parametrize("leeway_s", [-1, -0.001, 301, float("inf"), float("nan")])
def test_the_leeway_is_a_few_minutes_at_most(leeway_s):
    with pytest.raises(ConfigurationError) as caught:
        validate_times({"exp": NOW + 60}, now=NOW, leeway_s=leeway_s)
    assert caught.value.field == "leeway_s"
