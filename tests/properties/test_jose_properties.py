"""What holds for every input: only typed errors, a round trip for every algorithm, no mutation that verifies."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.errors import AlgorithmNotAllowed, InvalidCredential, InvalidResponse, Malformed, UnknownKey
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.claims import (
    audience,
    optional_numeric_date,
    optional_string,
    parse_jwt,
    sign_claims,
    validate_times,
    verify_jwt,
)
from doorward.protocol.jwk import (
    ASYMMETRIC_ALGORITHMS,
    JwkSet,
    SigningKey,
    generate_signing_key,
    parse_jwk,
    parse_jwk_set,
)
from doorward.protocol.jws import parse_jws, sign_jws, verify_jws
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.errors import DoorwardError

ALGORITHMS = sorted(ASYMMETRIC_ALGORITHMS)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
objects = st.dictionaries(names, values, max_size=6)

# Text that is nearly JSON: its own pieces in any order.
fragments = [
    *'{}[]":,\\',
    "\\u0061",
    "\\ud800",
    "a",
    "1",
    "-",
    "1e999",
    "NaN",
    "true",
    "null",
    " ",
    "\n",
    '"a":',
    '"a"',
]
near_json = st.lists(st.sampled_from(fragments), max_size=40).map("".join).map(str.encode)
anything = st.binary(max_size=300) | near_json | near_json.map(lambda inner: b'{"a":' + inner + b"}")


@functools.cache
def key_of(alg: str) -> SigningKey:
    return generate_signing_key(alg, kid="k")


@functools.cache
def keys_of(alg: str) -> JwkSet:
    return JwkSet((parse_jwk(key_of(alg).public_jwk()),))


def refusal(call: Callable[[], object], *kinds: type[DoorwardError]) -> DoorwardError | None:
    """Return the typed error that the call ended with, if it did; any other exception fails the test."""
    try:
        call()
    except kinds as error:
        return error
    return None


# JSON


@given(anything)
@settings(deadline=None)
def test_any_bytes_are_an_object_or_malformed(data):
    try:
        value = loads_object(data, what="The text")
    except Malformed:
        return
    assert value == json.loads(data)


@given(objects, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]), st.booleans())
@settings(deadline=None)
def test_any_object_is_read_however_it_is_spaced(value, separators, ascii_only):
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    assert loads_object(text.encode(), what="The text", max_depth=50) == value


@given(objects, names, values, values, st.integers(0, 3), st.sampled_from([":", " :", "\n: "]))
@settings(deadline=None)
def test_a_repeated_name_is_never_overlooked(value, name, first, second, level, colon):
    """Whatever stands around it, however it is spelled, however deep."""
    escaped = '"' + "".join(f"\\u{unit:04x}" for unit in _utf_16(name)) + '"'
    pairs = [json.dumps(name) + colon + json.dumps(first), escaped + colon + json.dumps(second)]
    others = [json.dumps(other) + ":" + json.dumps(content) for other, content in value.items() if other != name]
    text = "{" + ",".join([pairs[0], *others, pairs[1]]) + "}"
    for _ in range(level):
        text = '{"in":[' + text + "]}"
    with pytest.raises(Malformed) as caught:
        loads_object(text.encode(), what="The text", max_depth=50)
    assert caught.value.reason == "json_repeated_name"


def _utf_16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


# Base64url


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_base64url_comes_back(data):
    assert decode_base64url(encode_base64url(data), what="The value") == data


@given(st.text(max_size=12) | st.text("AZaz09-_=.+/", max_size=12))
@settings(deadline=None)
def test_no_two_texts_have_one_value(text):
    try:
        data = decode_base64url(text, what="The value")
    except Malformed:
        return
    assert encode_base64url(data) == text


# Tokens

segments = st.text("AQgwZz09-_=. ", max_size=20) | st.binary(max_size=60).map(encode_base64url)
headers = st.fixed_dictionaries(
    {"alg": st.sampled_from([*ALGORITHMS, "none", "HS256"]) | values},
    optional=dict.fromkeys(("kid", "typ", "crit", "b64", "zip", "jku", "jwk", "x5u", "x5c", "cty"), values),
)
near_tokens = st.lists(
    segments
    | anything.map(encode_base64url)
    | headers.map(lambda header: encode_base64url(json.dumps(header).encode())),
    max_size=6,
).map(".".join)
any_token = st.text(max_size=200) | st.binary(max_size=200) | near_tokens | near_tokens.map(str.encode)


@given(any_token)
@settings(max_examples=400, deadline=None)
def test_any_token_is_parsed_or_refused_by_a_typed_error(token):
    for parse in (parse_jws, parse_jwt):
        error = refusal(lambda parse=parse: parse(token), Malformed, AlgorithmNotAllowed)
        assert error is None or error.message.isprintable()


@given(headers, st.binary(max_size=100), st.binary(max_size=140), st.sampled_from(ALGORITHMS))
@settings(deadline=None)
def test_no_token_but_a_signed_one_verifies(header, payload, signature, alg):
    parts = (json.dumps(header).encode(), payload, signature)
    token = ".".join(encode_base64url(part) for part in parts)
    with pytest.raises(InvalidCredential):
        verify_jws(parse_jws(token), keys_of(alg), algorithms=ASYMMETRIC_ALGORITHMS)


@pytest.mark.parametrize("alg", ALGORITHMS)
@given(payload=st.binary(max_size=300), typ=st.none() | st.sampled_from(["JWT", "at+jwt"]))
@settings(max_examples=20, deadline=None)
def test_what_was_signed_verifies(alg, payload, typ):
    jws = parse_jws(sign_jws(payload, key_of(alg), typ=typ))
    verified = verify_jws(jws, keys_of(alg), algorithms={alg})
    assert (verified.payload, verified.header.typ) == (payload, typ)


@given(objects)
@settings(deadline=None)
def test_claims_come_back(claims):
    jwt = parse_jwt(sign_claims(claims, key_of("EdDSA")), max_bytes=100_000)
    assert verify_jwt(jwt, keys_of("EdDSA"), algorithms={"EdDSA"}).claims == claims


@pytest.mark.parametrize("alg", ALGORITHMS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_token_with_one_byte_changed_verifies(alg, data):
    token = sign_claims({"iss": "https://id.example", "sub": "alice", "exp": 2_000_000_000}, key_of(alg)).encode()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[at]))
    changed = data.draw(
        st.sampled_from(
            [
                token[:at] + bytes([other]) + token[at + 1 :],
                token[:at] + token[at + 1 :],
                token[:at] + token[at:][:1] + token[at:],
            ]
        )
    )
    with pytest.raises(InvalidCredential):
        verify_jwt(parse_jwt(changed), keys_of(alg), algorithms=ASYMMETRIC_ALGORITHMS)


# Keys

jwks = st.one_of(
    st.sampled_from(["RS256", "ES256", "ES512", "EdDSA"]).map(lambda alg: key_of(alg).public_jwk()),
    st.just({}),
)
edits = st.dictionaries(
    st.sampled_from(["kty", "use", "key_ops", "alg", "kid", "crv", "n", "e", "x", "y", "d", "k"]),
    values | segments,
    max_size=3,
)


@given(jwks, edits)
@settings(deadline=None)
def test_any_jwk_is_a_key_or_refused_with_a_reason(jwk, edit):
    error = refusal(lambda: parse_jwk({**jwk, **edit}), UnknownKey)
    assert error is None or error.reason.startswith("jwk_")


@given(anything | st.lists(values | jwks).map(lambda keys: json.dumps({"keys": keys}).encode()))
@settings(deadline=None)
def test_any_jwk_set_is_a_set_or_an_invalid_response(data):
    error = refusal(lambda: parse_jwk_set(data), InvalidResponse)
    assert error is None or error.message.isprintable()


@given(st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_any_32_bytes_are_an_ed25519_point_or_refused(point):
    error = refusal(lambda: parse_jwk({"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(point)}), UnknownKey)
    assert error is None or error.reason.startswith("jwk_point_")


# Claims


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "sub"]), values), st.floats(0, 1e11))
@settings(deadline=None)
def test_any_claims_are_read_or_refused_by_a_typed_error(claims, now):
    for read in (
        lambda: validate_times(claims, now=now),
        lambda: audience(claims),
        lambda: optional_string(claims, "sub"),
        lambda: optional_numeric_date(claims, "iat"),
    ):
        error = refusal(read, InvalidCredential)
        assert error is None or error.message.isprintable()
