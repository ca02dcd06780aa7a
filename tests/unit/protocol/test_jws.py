from __future__ import annotations

import base64
import functools
import json
import tracemalloc

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from doorward.errors import AlgorithmNotAllowed, BadSignature, ConfigurationError, Malformed, UnknownKey
from doorward.protocol.jwk import (
    ASYMMETRIC_ALGORITHMS,
    JwkSet,
    SigningKey,
    generate_signing_key,
    parse_jwk,
    parse_jwk_set,
)
from doorward.protocol.jws import JoseHeader, parse_jws, sign_jws, verify_jws

ALGORITHMS = sorted(ASYMMETRIC_ALGORITHMS)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.cache
def key_of(alg: str) -> SigningKey:
    return generate_signing_key(alg, kid="k")


def keys_of(*keys: SigningKey) -> JwkSet:
    return parse_jwk_set(json.dumps({"keys": [key.public_jwk() for key in keys]}).encode())


def headed(header: object, payload: bytes = b"payload") -> str:
    """A token with a header of the test's choosing, and a signature that nobody will look at."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{b64(text)}.{b64(payload)}.{b64(bytes(64))}"


def with_signature(alg: str, signature: bytes) -> str:
    return sign_jws(b"payload", key_of(alg)).rpartition(".")[0] + "." + b64(signature)


def signature_of(token: str) -> bytes:
    return parse_jws(token).signature


def verify(token: str, *keys: SigningKey, algorithms=ASYMMETRIC_ALGORITHMS):
    return verify_jws(parse_jws(token), keys_of(*keys), algorithms=algorithms)


# Parsing


def test_a_token_comes_apart():
    token = sign_jws(b"payload", key_of("ES256"), typ="JWT")
    jws = parse_jws(token)
    assert jws.header == JoseHeader(alg="ES256", kid="k", typ="JWT")
    assert (jws.payload, len(jws.signature)) == (b"payload", 64)
    assert jws.signing_input == token.rpartition(".")[0].encode()
    assert parse_jws(token.encode()) == jws


def test_an_empty_payload_is_a_payload():
    assert verify(sign_jws(b"", key_of("ES256")), key_of("ES256")).payload == b""


def test_neither_payload_nor_signature_shows():
    jws = parse_jws(sign_jws(b"s3cr3t", key_of("ES256"), typ="JWT"))
    verified = verify_jws(jws, keys_of(key_of("ES256")), algorithms={"ES256"})
    assert repr(jws) == "UnverifiedJws(header=JoseHeader(alg='ES256', kid='k', typ='JWT'))"
    assert repr(verified) == "VerifiedJws(header=JoseHeader(alg='ES256', kid='k', typ='JWT'))"


def test_what_was_parsed_cannot_be_changed():
    jws = parse_jws(sign_jws(b"payload", key_of("ES256")))
    with pytest.raises(AttributeError):
        jws.payload = b"another"


def test_header_members_that_say_nothing_about_the_check_are_ignored():
    token = headed({"alg": "ES256", "kid": "k", "x5t": "AAAA", "x5t#S256": "AAAA", "cty": "x", "nonce": "n"})
    assert parse_jws(token).header == JoseHeader("ES256", "k", None)


def test_the_memory_of_headers_is_bounded_and_never_mistakes_one_for_another():
    tracemalloc.start()
    try:
        for number in range(9_000):
            name = f"{number:0300}" if number % 9 else f"{number:0500}"
            assert parse_jws(headed({"alg": "ES256", "kid": name})).header.kid == name
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_refused_header_is_refused_again():
    for _ in range(3):
        with pytest.raises(Malformed) as caught:
            parse_jws(headed({"alg": "ES256", "crit": ["exp"]}))
        assert caught.value.reason == "header_crit"


HEAD, BODY, TAIL = b64(b'{"alg":"ES256"}'), b64(b"{}"), b64(bytes(64))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", "token_parts"),
        ("x", "token_parts"),
        (f"{HEAD}.{BODY}", "token_parts"),
        (f"{HEAD}.{BODY}.{TAIL}.", "token_parts"),
        (f"{HEAD}.{BODY}.{TAIL}.{TAIL}.{TAIL}.{TAIL}", "token_parts"),
        (f"{HEAD}.{BODY}.{TAIL}.{TAIL}.{TAIL}", "jwe"),
        (f"{HEAD}..{TAIL}.{TAIL}.{TAIL}", "jwe"),
        (f"{HEAD}.{BODY}.", "signature_missing"),
        (f".{BODY}.{TAIL}", "json_syntax"),
        ("..", "json_syntax"),
        (f"{HEAD}=.{BODY}.{TAIL}", "base64_alphabet"),
        (f"{HEAD}.{BODY}=.{TAIL}", "base64_alphabet"),
        (f"{HEAD}.{BODY}.{TAIL}==", "base64_alphabet"),
        (f" {HEAD}.{BODY}.{TAIL}", "base64_alphabet"),
        (f"{HEAD}.{BODY}.{TAIL}\n", "base64_alphabet"),
        (f"{HEAD}.{BODY}.{TAIL[:-2]}+/", "base64_alphabet"),
        (f"{HEAD}.{BODY}.{TAIL[:-1]}\N{CYRILLIC CAPITAL LETTER A}", "base64_alphabet"),
        (f"{HEAD}.{BODY}\0.{TAIL}", "base64_alphabet"),
        ('{"payload":"e30","signatures":[]}', "base64_alphabet"),
        (f"{HEAD}.{BODY}AA.{TAIL}", "base64_length"),
        (f"{HEAD}.e31.{TAIL}", "base64_not_canonical"),
        (f"{HEAD}.{BODY}.{TAIL[:-1]}B", "base64_not_canonical"),
        (f"{HEAD}.{BODY}.{TAIL}AAA", "base64_length"),
        (f"{HEAD}A.{BODY}.{TAIL}", "base64_length"),
        (headed([]), "json_not_object"),
        (headed(b'{"alg":"ES256","alg":"ES256"}'), "json_repeated_name"),
        (headed(b'{"alg":"ES256","x":' + b"[" * 4000), "json_too_deep"),
        (headed({"alg": "ES256", "x": 10**30}), "json_integer_range"),
    ],
)
def test_what_is_not_the_one_form_of_a_token_is_refused(token, expected):
    for form in (token, token.encode()):
        with pytest.raises(Malformed) as caught:
            parse_jws(form)
        assert caught.value.reason == expected


@pytest.mark.parametrize("length", [16_385, 30_000_000])
def test_a_long_token_is_refused_unread(length):
    with pytest.raises(Malformed) as caught:
        parse_jws("x" * length)
    assert caught.value.reason == "token_too_long"


def test_the_longest_token_is_a_setting():
    token = sign_jws(b"payload", key_of("ES256"))
    assert parse_jws(token, max_bytes=len(token))
    with pytest.raises(Malformed) as caught:
        parse_jws(token, max_bytes=len(token) - 1)
    assert caught.value.reason == "token_too_long"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"crit": ["exp"]}, "header_crit"),
        ({"crit": []}, "header_crit"),
        ({"crit": ["b64"], "b64": False}, "header_b64"),
        ({"b64": False}, "header_b64"),
        ({"b64": True}, "header_b64"),
        ({"zip": "DEF"}, "header_zip"),
        ({"enc": "A256GCM"}, "header_enc"),
        ({"enc": None}, "header_enc"),
        ({"x5u": "https://evil.example/cert"}, "header_x5u"),
        ({"jwk": {"kty": "EC"}}, "header_jwk"),
        ({"jku": "https://id.example/jwks", "jwk": {"kty": "EC"}}, "header_jwk"),
        ({"alg": None}, "header_alg"),
        ({"alg": 256}, "header_alg"),
        ({"alg": ["ES256"]}, "header_alg"),
        ({"kid": None}, "header_kid"),
        ({"kid": 1}, "header_kid"),
        ({"kid": ["k"]}, "header_kid"),
        ({"kid": ""}, "header_kid"),
        ({"kid": "k" * 513}, "header_kid"),
        ({"kid": "k\0"}, "header_kid"),
        ({"kid": "k\r\nSet-Cookie: x"}, "header_kid"),
        ({"kid": "\N{RIGHT-TO-LEFT OVERRIDE}k"}, "header_kid"),
        ({"typ": None}, "header_typ"),
        ({"typ": {}}, "header_typ"),
        ({"typ": ""}, "header_typ"),
        ({"typ": "\x1b[2J"}, "header_typ"),
    ],
)
def test_a_header_member_that_must_not_be_is_refused(members, expected):
    with pytest.raises(Malformed) as caught:
        parse_jws(headed({"alg": "ES256", **members}))
    assert caught.value.reason == expected


def test_a_header_without_an_algorithm_is_refused():
    with pytest.raises(Malformed) as caught:
        parse_jws(headed({"typ": "JWT"}))
    assert caught.value.reason == "header_alg"


@pytest.mark.parametrize(
    ("alg", "expected"),
    [
        ("none", "alg_none"),
        ("None", "alg_none"),
        ("NONE", "alg_none"),
        ("nOnE", "alg_none"),
        ("HS256", "alg_symmetric"),
        ("HS384", "alg_symmetric"),
        ("HS512", "alg_symmetric"),
        ("hs256", "alg_symmetric"),
        ("rs256", "alg_unsupported"),
        ("RS256 ", "alg_unsupported"),
        ("RS1", "alg_unsupported"),
        ("ES256K", "alg_unsupported"),
        ("ed25519", "alg_unsupported"),
        ("Ed448", "alg_unsupported"),
        ("RSA-OAEP", "alg_unsupported"),
        ("dir", "alg_unsupported"),
        ("", "alg_unsupported"),
        ("\x1b[31m" * 100, "alg_unsupported"),
    ],
)
def test_an_algorithm_that_is_none_of_ours_is_refused_before_any_key(alg, expected):
    for token in (headed({"alg": alg}), headed({"alg": alg}).rpartition(".")[0] + "."):
        with pytest.raises(AlgorithmNotAllowed) as caught:
            parse_jws(token)
        assert caught.value.reason == expected
        assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    "members",
    [
        {"jku": "https://uaa.cf.example/token_keys"},
        {"jku": "http://169.254.169.254/"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA", "x5t#S256": "AAAA", "cty": "JWT", "apu": 1},
    ],
    ids=lambda members: next(iter(members)),
)
def test_what_says_where_a_key_is_counts_for_nothing(members):
    """Cloud Foundry, SAP and Azure Attestation write jku. The issuer's keys decide, whatever stands there."""
    token = sign_jws(b"payload", key_of("ES256"), extra_header=members)
    assert verify(token, key_of("ES256")).payload == b"payload"
    stranger = generate_signing_key("ES256", kid=key_of("ES256").kid)
    with pytest.raises(BadSignature):
        verify(sign_jws(b"payload", stranger, extra_header=members), key_of("ES256"))


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA"])
def test_a_token_may_say_either_name_of_ed25519(alg):
    key = key_of("EdDSA")
    signing_input = f"{b64(json.dumps({'alg': alg, 'kid': key.kid}).encode())}.{b64(b'payload')}"
    token = f"{signing_input}.{b64(key.private_key.sign(signing_input.encode()))}"
    assert verify(token, key, algorithms={"EdDSA"}).header.alg == "EdDSA"
    with pytest.raises(AlgorithmNotAllowed):
        verify(token, key, algorithms={"ES256"})
    with pytest.raises(BadSignature):
        verify(f"{token[:-4]}AAAA", key)


# Verifying


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_we_sign_verifies(alg):
    verified = verify(sign_jws(b"payload", key_of(alg)), key_of(alg), algorithms=[alg])
    assert (verified.header.alg, verified.payload) == (alg, b"payload")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_another_key_of_the_same_kind_does_not_verify(alg):
    token = sign_jws(b"payload", generate_signing_key(alg, kid="k"))
    with pytest.raises(BadSignature) as caught:
        verify(token, key_of(alg))
    assert caught.value.reason == "bad_signature"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_changed_payload_does_not_verify(alg):
    head, _, tail = sign_jws(b"payload", key_of(alg)).split(".")
    with pytest.raises(BadSignature):
        verify(f"{head}.{b64(b'another')}.{tail}", key_of(alg))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_of_another_length_is_refused(alg):
    signature = signature_of(sign_jws(b"payload", key_of(alg)))
    for wrong in (signature[:-1], b"\0" + signature, signature + b"\0", b"\0"):
        with pytest.raises(BadSignature) as caught:
            verify(with_signature(alg, wrong), key_of(alg))
        assert caught.value.reason == "signature_length"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_constant_signature_does_not_verify(alg):
    length = len(signature_of(sign_jws(b"payload", key_of(alg))))
    for constant in (bytes(length), b"\xff" * length, bytes(length - 1) + b"\1"):
        with pytest.raises(BadSignature):
            verify(with_signature(alg, constant), key_of(alg))


@pytest.mark.parametrize("r", [0, 1, P256_ORDER - 1, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, P256_ORDER - 1, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
def test_the_numbers_of_an_ecdsa_signature_are_in_range(r, s):
    with pytest.raises(BadSignature) as caught:
        verify(with_signature("ES256", r.to_bytes(32, "big") + s.to_bytes(32, "big")), key_of("ES256"))
    in_range = 0 < r < P256_ORDER and 0 < s < P256_ORDER
    assert caught.value.reason == ("bad_signature" if in_range else "signature_range")


def test_the_mirrored_ecdsa_signature_verifies_too():
    """(r, n - s) is as good as (r, s): nothing that denies or remembers tokens may be keyed by the signature."""
    signature = signature_of(sign_jws(b"payload", key_of("ES256")))
    mirrored = P256_ORDER - int.from_bytes(signature[32:], "big")
    assert verify(with_signature("ES256", signature[:32] + mirrored.to_bytes(32, "big")), key_of("ES256"))


def test_a_der_signature_is_refused():
    signing_input = sign_jws(b"payload", key_of("ES256")).rpartition(".")[0].encode()
    der = key_of("ES256").private_key.sign(signing_input, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(BadSignature) as caught:
        verify(with_signature("ES256", der), key_of("ES256"))
    assert caught.value.reason == "signature_length"


@pytest.mark.parametrize(
    ("mask", "salt_length"),
    [
        *((hashes.SHA256(), salt_length) for salt_length in (0, 20, 31, 33, 64)),
        (hashes.SHA1(), 32),  # noqa: S303 - the point
        (hashes.SHA512(), 32),
    ],
)
def test_pss_has_its_own_hash_for_the_mask_and_a_salt_as_long(mask, salt_length):
    key = key_of("PS256")
    signing_input = sign_jws(b"payload", key).rpartition(".")[0].encode()
    signature = key.private_key.sign(signing_input, padding.PSS(padding.MGF1(mask), salt_length), hashes.SHA256())
    with pytest.raises(BadSignature):
        verify(with_signature("PS256", signature), key)


def test_an_ed25519_scalar_that_is_not_reduced_is_refused():
    """RFC 8032 section 5.1.7: with s plus the order, one signature would have two spellings."""
    signature = signature_of(sign_jws(b"payload", key_of("EdDSA")))
    scalar = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    with pytest.raises(BadSignature):
        verify(with_signature("EdDSA", signature[:32] + scalar.to_bytes(32, "little")), key_of("EdDSA"))


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_token_that_names_no_key_is_held_against_each_that_fits(alg):
    keys = [generate_signing_key(alg, kid=f"{number}") for number in range(4)]
    others = [generate_signing_key(other, kid=other) for other in ("ES384", "ES512")]
    published = parse_jwk_set(json.dumps({"keys": [key.public_jwk() for key in keys + others]}).encode())
    for key in keys:
        token = parse_jws(sign_jws(b"payload", SigningKey(None, alg, key.private_key)))
        assert verify_jws(token, published, algorithms=ASYMMETRIC_ALGORITHMS).payload == b"payload"
    for stranger in (generate_signing_key(alg), generate_signing_key("ES256", kid="0")):
        with pytest.raises((BadSignature, UnknownKey)):
            verify_jws(parse_jws(sign_jws(b"payload", stranger)), published, algorithms=ASYMMETRIC_ALGORITHMS)


def test_keys_of_other_lengths_are_no_hindrance_to_a_token_that_names_none():
    small, large = (SigningKey(None, "RS256", rsa.generate_private_key(65537, bits)) for bits in (2048, 3072))
    published = parse_jwk_set(json.dumps({"keys": [key.public_jwk() for key in (large, small)]}).encode())
    for key in (small, large):
        assert verify_jws(parse_jws(sign_jws(b"payload", key)), published, algorithms={"RS256"})


def test_only_allowed_algorithms_are_verified():
    token = sign_jws(b"payload", key_of("ES384"))
    for algorithms in ((), ["ES256"], {"RS256", "none", "HS256"}):
        with pytest.raises(AlgorithmNotAllowed) as caught:
            verify(token, key_of("ES384"), algorithms=algorithms)
        assert caught.value.reason == "alg_not_allowed"


def test_one_string_is_no_list_of_algorithms():
    with pytest.raises(ConfigurationError) as caught:
        verify(sign_jws(b"payload", key_of("ES256")), key_of("ES256"), algorithms="ES256, ES384")
    assert caught.value.field == "algorithms"


def test_a_token_of_another_issuers_key_is_refused():
    with pytest.raises(UnknownKey) as caught:
        verify(sign_jws(b"payload", generate_signing_key("ES256", kid="theirs")), key_of("ES256"))
    assert caught.value.reason == "unknown_kid"


def test_the_algorithm_of_the_key_decides_and_not_the_tokens():
    """The same RSA key, announced for RS256: a PS256 signature by it is refused, though it is right."""
    private_key = key_of("RS256").private_key
    token = sign_jws(b"payload", SigningKey("k", "PS256", private_key))
    with pytest.raises(UnknownKey) as caught:
        verify(token, SigningKey("k", "RS256", private_key))
    assert caught.value.reason == "key_algorithm_mismatch"


@pytest.mark.parametrize("e", [65537, 2**32 - 1])
@pytest.mark.parametrize("filling", [0x00, 0x55, 0xFF])
def test_an_odd_modulus_never_gives_another_error(filling, e):
    """Whatever numbers an issuer publishes, the check ends in a verdict."""
    n = b"\x80" + bytes([filling]) * 254 + b"\1"
    key = parse_jwk({"kty": "RSA", "n": b64(n), "e": b64(e.to_bytes(4, "big"))})
    for alg in ("RS256", "PS512"):
        for signature in (bytes(256), b"\x7f" * 256, n, b"\xff" * 256):
            jws = parse_jws(f"{b64(json.dumps({'alg': alg}).encode())}.e30.{b64(signature)}")
            with pytest.raises(BadSignature):
                verify_jws(jws, JwkSet((key,)), algorithms={alg})


# Signing


def test_the_header_says_what_the_key_and_the_caller_say():
    token = sign_jws(b"payload", key_of("ES256"), typ="at+jwt", extra_header={"jku": "https://evil.example"})
    head = token.partition(".")[0]
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {
        "alg": "ES256",
        "kid": "k",
        "typ": "at+jwt",
        "jku": "https://evil.example",
    }


def test_a_key_without_a_name_puts_none_in_the_header():
    key = generate_signing_key("EdDSA")
    token = sign_jws(b"payload", key)
    assert parse_jws(token).header == JoseHeader("EdDSA", None, None)
    assert verify(token, key)


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_the_extra_header_replaces_nothing(name):
    with pytest.raises(ConfigurationError) as caught:
        sign_jws(b"payload", key_of("ES256"), extra_header={name: "none"})
    assert caught.value.field == "extra_header"


def test_an_extra_header_must_be_json():
    with pytest.raises(ConfigurationError) as caught:
        sign_jws(b"payload", key_of("ES256"), extra_header={"x": b"bytes"})
    assert (caught.value.field, caught.value.reason) == ("extra_header", "not_json")
