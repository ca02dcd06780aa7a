from __future__ import annotations

import copy
import functools
import json
import pickle

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519

from doorward.errors import ConfigurationError, InvalidResponse, UnknownKey
from doorward.protocol.jwk import (
    ASYMMETRIC_ALGORITHMS,
    JwkSet,
    SigningKey,
    generate_signing_key,
    parse_jwk,
    parse_jwk_set,
)

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


@functools.cache
def jwk_of(alg: str, number: int = 0) -> dict[str, object]:
    """The public half of a key that this run made; without alg, use and kid, which the tests say themselves."""
    members = generate_signing_key(alg, kid=str(number)).public_jwk()
    return {name: members[name] for name in members if name not in {"alg", "use", "kid"}}


def parse_set(*jwks: object, **arguments: int) -> JwkSet:
    return parse_jwk_set(json.dumps({"keys": jwks}).encode(), **arguments)


def reason(call, *arguments: object) -> str:
    with pytest.raises(UnknownKey) as caught:
        call(*arguments)
    return caught.value.reason


def pem(private_key, *, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


def test_the_algorithms_are_asymmetric_ones():
    assert RSA_ALGORITHMS | {"ES256", "ES384", "ES512", "EdDSA"} == ASYMMETRIC_ALGORITHMS


# One key


@pytest.mark.parametrize(
    ("alg", "algorithms"),
    [("RS256", RSA_ALGORITHMS), ("ES256", {"ES256"}), ("ES384", {"ES384"}), ("ES512", {"ES512"}), ("EdDSA", {"EdDSA"})],
)
def test_a_key_without_alg_may_verify_all_that_fit_its_kind(alg, algorithms):
    assert parse_jwk(jwk_of(alg)).algorithms == algorithms


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC_ALGORITHMS))
def test_a_key_with_alg_verifies_that_alone(alg):
    key = parse_jwk({**jwk_of(alg), "alg": alg, "use": "sig", "kid": "k"})
    assert (key.algorithms, key.kid) == ({alg}, "k")


def test_members_that_say_nothing_about_the_key_are_ignored():
    jwk = {**jwk_of("ES256"), "x5t": "AAAA", "x5c": ["MIIB"], "issuer": "https://id.example", "nbf": 1, "exp": 2}
    assert parse_jwk(jwk).algorithms == {"ES256"}


def test_a_key_does_not_show_its_object():
    key = parse_jwk(jwk_of("ES256"))
    assert repr(key) == ("VerificationKey(kid=None, kty='EC', algorithms=frozenset({'ES256'}), signature_bytes=64)")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kty": "oct", "k": "AAAA"}, "jwk_symmetric"),
        ({"kty": "oct"}, "jwk_symmetric"),
        ({"kty": "AKP"}, "jwk_kty_unsupported"),
        ({"kty": "ec"}, "jwk_kty_unsupported"),
        ({"kty": 1}, "jwk_kty_malformed"),
        ({"d": "AAAA"}, "jwk_private"),
        ({"k": "AAAA"}, "jwk_private"),
        ({"oth": []}, "jwk_private"),
        ({"use": "enc"}, "jwk_use_mismatch"),
        ({"use": "SIG"}, "jwk_use_mismatch"),
        ({"use": None}, "jwk_use_malformed"),
        ({"key_ops": ["encrypt"]}, "jwk_key_ops_mismatch"),
        ({"key_ops": ["sign"]}, "jwk_key_ops_mismatch"),
        ({"key_ops": []}, "jwk_key_ops_mismatch"),
        ({"key_ops": ["verify", "deriveKey"]}, "jwk_key_ops_mismatch"),
        ({"key_ops": ["verify", "verify"]}, "jwk_key_ops_repeated"),
        ({"key_ops": "verify"}, "jwk_key_ops_malformed"),
        ({"key_ops": ["verify", {}]}, "jwk_key_ops_malformed"),
        ({"use": "sig", "key_ops": ["encrypt"]}, "jwk_key_ops_mismatch"),
        ({"use": "enc", "key_ops": ["verify"]}, "jwk_use_mismatch"),
        ({"alg": "RS256"}, "jwk_alg_mismatch"),
        ({"alg": "ES384"}, "jwk_alg_mismatch"),
        ({"alg": "HS256"}, "jwk_alg_mismatch"),
        ({"alg": "none"}, "jwk_alg_mismatch"),
        ({"alg": "es256"}, "jwk_alg_mismatch"),
        ({"alg": ["ES256"]}, "jwk_alg_malformed"),
        ({"kid": 7}, "jwk_kid_malformed"),
        ({"kid": None}, "jwk_kid_malformed"),
        ({"kid": ""}, "jwk_kid_malformed"),
        ({"kid": "k" * 513}, "jwk_kid_malformed"),
        ({"kid": "line\nbreak"}, "jwk_kid_malformed"),
    ],
)
def test_a_key_that_could_be_used_wrongly_is_refused(changes, expected):
    assert reason(parse_jwk, {**jwk_of("ES256"), **changes}) == expected


def test_a_key_without_a_type_is_refused():
    assert reason(parse_jwk, {"crv": "P-256"}) == "jwk_kty_unsupported"


@pytest.mark.parametrize("key_ops", [["verify"], ["sign", "verify"]])
def test_key_operations_that_are_taken(key_ops):
    assert parse_jwk({**jwk_of("ES256"), "key_ops": key_ops, "use": "sig"})


# A set


def test_a_bad_key_is_left_out_with_its_reason():
    keys = parse_set(
        {**jwk_of("ES256"), "kid": "good"},
        {**jwk_of("ES256"), "kid": "encrypts", "use": "enc"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {**jwk_of("EdDSA"), "kid": ["no", "name"]},
    )
    assert [key.kid for key in keys.keys] == ["good"]
    assert keys.rejected == {"encrypts": "jwk_use_mismatch", "secret": "jwk_symmetric", None: "jwk_kid_malformed"}


def test_what_is_no_object_is_left_out_too():
    keys = parse_set("key", None, [], jwk_of("ES256"))
    assert (len(keys.keys), keys.rejected) == (1, {None: "jwk_not_object"})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "json_syntax"),
        (b"<html>", "json_syntax"),
        (b"[]", "json_not_object"),
        (b"{}", "jwk_set_without_keys"),
        (b'{"keys":null}', "jwk_set_without_keys"),
        (b'{"keys":{}}', "jwk_set_without_keys"),
        (b'{"keys":[],"keys":[]}', "json_repeated_name"),
        (b'{"keys":[{"kty":"EC","kty":"RSA"}]}', "json_repeated_name"),
        (b'{"keys":' + b"[" * 50_000, "json_too_deep"),
    ],
)
def test_what_is_no_set_is_refused(data, expected):
    with pytest.raises(InvalidResponse) as caught:
        parse_jwk_set(data)
    assert caught.value.reason == expected


def test_too_many_keys_are_refused_unread():
    assert len(parse_set(*[jwk_of("ES256")] * 100).keys) == 100
    with pytest.raises(InvalidResponse) as caught:
        parse_set(*[{}] * 101)
    assert caught.value.reason == "jwk_set_too_many_keys"
    with pytest.raises(InvalidResponse):
        parse_set(jwk_of("ES256"), jwk_of("EdDSA"), max_keys=1)


# Selection


def test_a_key_is_found_by_name_and_algorithm():
    keys = parse_set({**jwk_of("ES256"), "kid": "a"}, {**jwk_of("EdDSA"), "kid": "b"})
    assert keys.select("a", "ES256").kty == "EC"
    assert keys.select("b", "EdDSA").kty == "OKP"


@pytest.mark.parametrize(
    ("kid", "alg", "expected"),
    [
        ("b", "ES256", "unknown_kid"),
        ("A", "ES256", "unknown_kid"),
        ("a ", "ES256", "unknown_kid"),
        ("a", "ES384", "key_algorithm_mismatch"),
        ("a", "HS256", "key_algorithm_mismatch"),
        ("a", "none", "key_algorithm_mismatch"),
        ("weak", "ES256", "jwk_use_mismatch"),
        (None, "EdDSA", "key_algorithm_mismatch"),
    ],
)
def test_no_key_is_found(kid, alg, expected):
    keys = parse_set({**jwk_of("ES256"), "kid": "a"}, {**jwk_of("ES256", 1), "kid": "weak", "use": "enc"})
    assert reason(keys.select, kid, alg) == expected


def test_an_empty_set_knows_no_key():
    assert reason(parse_set().select, "a", "ES256") == "unknown_kid"
    assert reason(parse_set().select, None, "ES256") == "key_algorithm_mismatch"


def test_without_a_name_the_one_key_that_fits_is_taken():
    keys = parse_set({**jwk_of("ES256"), "kid": "a"}, {**jwk_of("EdDSA"), "kid": "b"}, jwk_of("ES384"))
    assert keys.select(None, "EdDSA").kid == "b"
    assert keys.select(None, "ES384").kid is None


def test_without_a_name_two_keys_that_fit_are_too_many():
    keys = parse_set({**jwk_of("ES256"), "kid": "a"}, {**jwk_of("ES256", 1), "kid": "b"})
    assert reason(keys.select, None, "ES256") == "no_kid"


def test_two_keys_of_one_name_are_told_apart_by_algorithm_or_refused():
    keys = parse_set(
        {**jwk_of("ES256"), "kid": "a"}, {**jwk_of("ES256", 1), "kid": "a"}, {**jwk_of("EdDSA"), "kid": "a"}
    )
    assert keys.select("a", "EdDSA").kty == "OKP"
    assert reason(keys.select, "a", "ES256") == "ambiguous_kid"


def test_one_key_twice_is_one_key():
    keys = parse_set({**jwk_of("RS256"), "kid": "a"}, {**jwk_of("RS256"), "kid": "a", "alg": "RS256"})
    assert keys.select("a", "RS256") == keys.keys[0]
    assert keys.select(None, "RS256") == keys.keys[0]


def test_a_good_key_serves_though_a_bad_one_has_its_name():
    keys = parse_set({**jwk_of("ES256", 1), "kid": "a", "use": "enc"}, {**jwk_of("ES256"), "kid": "a"})
    assert keys.select("a", "ES256") == keys.keys[0]


# Our own key


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC_ALGORITHMS))
def test_a_generated_key_is_published_as_a_key_that_is_taken(alg):
    key = generate_signing_key(alg, kid="mine")
    published = parse_jwk(key.public_jwk())
    assert (published.kid, published.algorithms) == ("mine", {alg})
    assert published.public_key == key.private_key.public_key()


def test_a_key_without_a_name_publishes_none():
    assert "kid" not in generate_signing_key("ES256").public_jwk()


def test_a_private_key_stays_hidden():
    key = generate_signing_key("ES256", kid="mine")
    assert repr(key) == "SigningKey(kid='mine', alg='ES256')"
    assert "d" not in key.public_jwk()
    for same in (copy.copy, copy.deepcopy):
        assert same(key) is key
    with pytest.raises(ConfigurationError, match="not pickled") as refused:
        pickle.dumps(key)
    assert refused.value.reason == "key_not_pickled"


@pytest.mark.parametrize(
    ("private_key", "alg"),
    [
        (rsa.generate_private_key(65537, 2048), "PS384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
def test_a_key_is_read_from_pem(private_key, alg):
    key = SigningKey.from_pem(pem(private_key), alg=alg, kid="k")
    assert (key.kid, key.alg) == ("k", alg)
    assert parse_jwk(key.public_jwk()).public_key == private_key.public_key()


@pytest.mark.parametrize(
    ("private_key", "alg", "field", "expected"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES384", "signing_key", "jwk_alg_mismatch"),
        (ec.generate_private_key(ec.SECP256R1()), "RS256", "signing_key", "jwk_alg_mismatch"),
        (ec.generate_private_key(ec.SECP256K1()), "ES256", "signing_key", "jwk_crv_unsupported"),
        (ed25519.Ed25519PrivateKey.generate(), "ES256", "signing_key", "jwk_alg_mismatch"),
        (rsa.generate_private_key(65537, 1024), "RS256", "signing_key", "jwk_rsa_too_small"),  # noqa: S505 - the point
        (rsa.generate_private_key(3, 2048), "RS256", "signing_key", "jwk_rsa_exponent"),
        (x25519.X25519PrivateKey.generate(), "EdDSA", "signing_key", "pem_kind_unsupported"),
        (dsa.generate_private_key(2048), "ES256", "signing_key", "pem_kind_unsupported"),
        (ed25519.Ed25519PrivateKey.generate(), "HS256", "alg", "alg_unsupported"),
        (ed25519.Ed25519PrivateKey.generate(), "none", "alg", "alg_unsupported"),
        (ed25519.Ed25519PrivateKey.generate(), "eddsa", "alg", "alg_unsupported"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(private_key, alg, field, expected):
    with pytest.raises(ConfigurationError) as caught:
        SigningKey.from_pem(pem(private_key), alg=alg)
    assert (caught.value.field, caught.value.reason) == (field, expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"s3cr3t",
        b"-----BEGIN PRIVATE KEY-----\nczNjcjN0\n-----END PRIVATE KEY-----\n",
        pem(ed25519.Ed25519PrivateKey.generate(), encryption=serialization.BestAvailableEncryption(b"pw")),
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_no_private_key_in_pem_is_refused_without_being_shown(data):
    with pytest.raises(ConfigurationError) as caught:
        SigningKey.from_pem(data, alg="EdDSA")
    assert caught.value.reason == "pem_malformed"
    assert "s3cr3t" not in str(caught.value)


def test_an_unknown_algorithm_makes_no_key():
    with pytest.raises(ConfigurationError) as caught:
        generate_signing_key("HS256")
    assert caught.value.reason == "alg_unsupported"


def test_our_key_needs_a_name_that_a_token_can_say():
    with pytest.raises(ConfigurationError) as caught:
        generate_signing_key("EdDSA", kid="")
    assert caught.value.reason == "jwk_kid_malformed"
