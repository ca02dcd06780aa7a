from __future__ import annotations

import base64
import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from doorward.errors import UnknownKey
from doorward.protocol.jwk import generate_signing_key, parse_jwk
from doorward.protocol.key_material import CURVES

PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(value: int, *, zeros: int = 0) -> str:
    return b64(bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(n: int, e: int = 65537) -> dict[str, object]:
    return {"kty": "RSA", "n": unsigned(n), "e": unsigned(e)}


def some_modulus(bits: int) -> int:
    """An odd number of exactly so many bits; whether it has two prime factors is nobody's business here."""
    return int.from_bytes(hashlib.shake_256(b"%d" % bits).digest(bits // 8 + 1)) >> 8 - bits % 8 | 1 | 1 << (bits - 1)


def ec_jwk(crv: str = "P-256") -> dict[str, object]:
    curve, size = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}[crv]
    point = ec.generate_private_key(curve).public_key().public_numbers()
    return {"kty": "EC", "crv": crv, "x": b64(point.x.to_bytes(size, "big")), "y": b64(point.y.to_bytes(size, "big"))}


def okp_jwk(x: bytes | None = None) -> dict[str, object]:
    point = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw() if x is None else x
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(point)}


def reason(jwk: dict[str, object]) -> str:
    with pytest.raises(UnknownKey) as caught:
        parse_jwk(jwk)
    return caught.value.reason


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096, 8192])
def test_rsa_sizes_that_are_taken(bits):
    key = parse_jwk(rsa_jwk(some_modulus(bits)))
    assert key.signature_bytes == (bits + 7) // 8
    assert isinstance(key.public_key, rsa.RSAPublicKey)
    assert key.public_key.public_numbers() == rsa.RSAPublicNumbers(65537, some_modulus(bits))


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (rsa_jwk(some_modulus(512)), "jwk_rsa_too_small"),
        (rsa_jwk(some_modulus(1024)), "jwk_rsa_too_small"),
        (rsa_jwk(some_modulus(2047)), "jwk_rsa_too_small"),
        (rsa_jwk(some_modulus(8193)), "jwk_rsa_too_large"),
        (rsa_jwk(some_modulus(100_000)), "jwk_rsa_too_large"),
        (rsa_jwk(some_modulus(2048) - 1), "jwk_rsa_modulus_even"),
        (rsa_jwk(some_modulus(2048), 1), "jwk_rsa_exponent"),
        (rsa_jwk(some_modulus(2048), 3), "jwk_rsa_exponent"),
        (rsa_jwk(some_modulus(2048), 65535), "jwk_rsa_exponent"),
        (rsa_jwk(some_modulus(2048), 65538), "jwk_rsa_exponent"),
        (rsa_jwk(some_modulus(2048), 2**32 + 1), "jwk_rsa_exponent"),
        (rsa_jwk(some_modulus(2048), some_modulus(2048) - 2), "jwk_rsa_exponent"),
        ({**rsa_jwk(some_modulus(2048)), "e": "AA"}, "jwk_rsa_exponent"),
        ({**rsa_jwk(some_modulus(2048)), "e": ""}, "jwk_e_malformed"),
        ({**rsa_jwk(some_modulus(2048)), "n": unsigned(some_modulus(2048), zeros=2)}, "jwk_n_malformed"),
        ({**rsa_jwk(some_modulus(2048)), "n": unsigned(some_modulus(2048)) + "="}, "jwk_n_not_base64url"),
        ({**rsa_jwk(some_modulus(2048)), "e": "AQA+"}, "jwk_e_not_base64url"),
        ({**rsa_jwk(some_modulus(2048)), "e": 65537}, "jwk_e_malformed"),
        ({"kty": "RSA", "n": unsigned(some_modulus(2048))}, "jwk_e_missing"),
        ({"kty": "RSA", "e": "AQAB"}, "jwk_n_missing"),
    ],
)
def test_rsa_keys_that_are_refused(jwk, expected):
    assert reason(jwk) == expected


def test_the_sign_octet_of_a_java_integer_changes_nothing():
    plain = rsa_jwk(some_modulus(2048))
    with_zero = {**plain, "n": unsigned(some_modulus(2048), zeros=1), "e": unsigned(65537, zeros=1)}
    assert parse_jwk(with_zero) == parse_jwk(plain)


def test_a_modulus_from_the_faulty_chip_is_known_by_its_shape():
    """CVE-2017-15361: both primes are k * M + 65537 ** a mod M, so modulo each factor of M so is the modulus."""
    primorial = 1
    for number in range(2, 168):
        if all(number % factor for factor in range(2, number)):
            primorial *= number
    first, second = (some_modulus(bits) * primorial + pow(65537, bits**5, primorial) for bits in (900, 901))
    modulus = first * second
    assert 2047 < modulus.bit_length() < 8193
    assert reason(rsa_jwk(modulus)) == "jwk_rsa_roca"
    assert parse_jwk(rsa_jwk(modulus + 2))


@pytest.mark.parametrize("crv", ["P-256", "P-384", "P-521"])
def test_ec_keys_that_are_taken(crv):
    assert isinstance(parse_jwk(ec_jwk(crv)).public_key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("crv", ["P-256", "P-384", "P-521"])
def test_a_coordinate_is_a_number_with_or_without_its_zeros(crv, name):
    """One key in 128 has one that begins with a zero octet, and much software leaves that out, or adds one."""
    bits = CURVES[crv].key_size
    for scalar in range(1, 5000):  # some small multiple of the generator begins so
        numbers = ec.derive_private_key(scalar, CURVES[crv]).public_key().public_numbers()
        if getattr(numbers, name) < 2 ** (8 * ((bits - 1) // 8)):
            break
    octets = {each: getattr(numbers, each).to_bytes((bits + 7) // 8, "big") for each in ("x", "y")}
    assert octets[name][0] == 0
    for written in (octets[name], octets[name].lstrip(b"\0"), b"\0" + octets[name]):
        jwk = {"kty": "EC", "crv": crv} | {each: b64(octets[each]) for each in octets} | {name: b64(written)}
        key = parse_jwk(jwk)
        assert (key.public_key.public_numbers(), key.signature_bytes) == (numbers, 2 * len(octets[name]))
    for wrong in (b"\0\0" + octets[name], b"\1" + octets[name]):
        assert reason({**jwk, name: b64(wrong)}) == "jwk_coordinate_length"
    assert reason({**jwk, name: b64(octets[name][:-1])}) == "jwk_point_not_on_curve"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"crv": "secp256k1"}, "jwk_crv_unsupported"),
        ({"crv": "p-256"}, "jwk_crv_unsupported"),
        ({"crv": "Ed25519"}, "jwk_crv_unsupported"),
        ({"crv": None}, "jwk_crv_missing"),
        ({"crv": 256}, "jwk_crv_malformed"),
        ({"crv": "P-384"}, "jwk_point_not_on_curve"),
        ({"x": b64(bytes(32)), "y": b64(bytes(32))}, "jwk_point_not_on_curve"),
        ({"y": b64(b"\1" * 32)}, "jwk_point_not_on_curve"),
        ({"x": b64(b"\xff" * 32)}, "jwk_point_not_on_curve"),
        ({"x": ""}, "jwk_coordinate_length"),
        ({"x": "****"}, "jwk_x_not_base64url"),
        ({"y": ["y"]}, "jwk_y_malformed"),
    ],
)
def test_ec_keys_that_are_refused(changes, expected):
    assert reason({**ec_jwk(), **changes}) == expected


def add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    """The addition law of RFC 8032 section 5.1.4, in affine coordinates."""
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, PRIME)
    return x % PRIME, y % PRIME


def decompress(y: int) -> tuple[int, int] | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return (x, y) if x * x % PRIME == square else None


def times_order(point: tuple[int, int]) -> tuple[int, int]:
    """Multiply with the order of the large subgroup: what is left is a point of order 1, 2, 4 or 8."""
    scalar, result = 2**252 + 27742317777372353535851937790883648493, (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def small_order_points() -> set[tuple[int, int]]:
    """All eight, found by calculation and not by a list that could share the code's mistake."""
    found = {(0, 1)}
    for y in range(2, 1000):
        point = decompress(y)
        if point is None:
            continue
        torsion, multiple = times_order(point), (0, 1)
        for _ in range(8):
            multiple = add(multiple, torsion)
            found.add(multiple)
        if len(found) == 8:
            return found
    raise AssertionError


def test_every_ed25519_point_of_small_order_is_refused():
    points = small_order_points()
    assert len(points) == 8
    for x, y in points:
        assert reason(okp_jwk((y | (x & 1) << 255).to_bytes(32, "little"))) == "jwk_point_small_order"


def test_every_ed25519_point_that_is_not_canonical_is_refused():
    for excess in range(19):
        for sign in (0, 1):
            encoded = (PRIME + excess | sign << 255).to_bytes(32, "little")
            assert reason(okp_jwk(encoded)) == "jwk_point_not_canonical"


def test_ed25519_points_are_on_the_curve_or_refused():
    for y in range(2, 60):
        encoded = y.to_bytes(32, "little")
        if decompress(y) is None:
            assert reason(okp_jwk(encoded)) == "jwk_point_not_on_curve"
        else:
            assert parse_jwk(okp_jwk(encoded)).public_key.public_bytes_raw() == encoded


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        ({**okp_jwk(), "crv": "X25519"}, "jwk_crv_unsupported"),
        ({**okp_jwk(), "crv": "Ed448"}, "jwk_crv_unsupported"),
        ({"kty": "OKP", "x": "AA"}, "jwk_crv_missing"),
        ({"kty": "OKP", "crv": "Ed25519"}, "jwk_x_missing"),
        (okp_jwk(bytes(31)), "jwk_coordinate_length"),
        (okp_jwk(bytes(33)), "jwk_coordinate_length"),
        (okp_jwk(b""), "jwk_coordinate_length"),
    ],
)
def test_okp_keys_that_are_refused(jwk, expected):
    assert reason(jwk) == expected


# Certificates in place of numbers

LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


def certificate(private_key, *, not_after: dt.datetime = LONG_AGO + dt.timedelta(days=1)) -> str:
    """As x5c writes it. Nothing but its key is of use: self-signed, expired, of no name that matters."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "evil.example")])
    builder = x509.CertificateBuilder(name, name, private_key.public_key(), 1, LONG_AGO, not_after)
    digest = None if isinstance(private_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return base64.b64encode(builder.sign(private_key, digest).public_bytes(serialization.Encoding.DER)).decode()


@pytest.mark.parametrize("alg", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_certificate_stands_for_the_numbers(alg):
    key = generate_signing_key(alg, kid="k")
    whole = key.public_jwk()
    bare = {name: whole[name] for name in whole if name not in {"n", "e", "x", "y"}}
    assert parse_jwk({**bare, "x5c": [certificate(key.private_key), "more of its chain"]}) == parse_jwk(whole)


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_where_there_are_numbers_they_count(alg):
    key, other = generate_signing_key(alg), generate_signing_key(alg)
    assert parse_jwk({**key.public_jwk(), "x5c": [certificate(other.private_key)]}) == parse_jwk(key.public_jwk())
    number = "n" if alg == "RS256" else "x"
    halved = {name: value for name, value in key.public_jwk().items() if name not in {"e", "y"}} | {number: "AQ"}
    with pytest.raises(UnknownKey):
        parse_jwk({**halved, "x5c": [certificate(key.private_key)]})


@pytest.mark.parametrize(
    "x5c",
    [
        [],
        {},
        "MIIB",
        [7],
        [""],
        ["MIIB"],
        ["****"],
        ["A" * 16_385],
        [base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()],
    ],
)
@pytest.mark.parametrize("kind", [{"kty": "RSA"}, {"kty": "EC", "crv": "P-256"}, {"kty": "OKP", "crv": "Ed25519"}])
def test_what_is_no_certificate_is_refused(kind, x5c):
    assert reason({**kind, "x5c": x5c}) == "jwk_x5c_malformed"


def test_a_certificate_of_a_version_that_nobody_knows_is_refused():
    whole = base64.b64decode(certificate(ec.generate_private_key(ec.SECP256R1())))
    version_3, version_2 = bytes.fromhex("a003020102"), bytes.fromhex("a003020101")
    assert whole.count(version_3) == 1
    second = base64.b64encode(whole.replace(version_3, version_2)).decode()
    assert reason({"kty": "EC", "crv": "P-256", "x5c": [second]}) == "jwk_x5c_malformed"


def test_a_certificate_that_is_too_long_is_not_read():
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.example")])
    builder = x509.CertificateBuilder(name, name, private_key.public_key(), 1, LONG_AGO, LONG_AGO)
    kind = {"kty": "EC", "crv": "P-256"}
    for octets, readable in ((1_000, True), (16_384, False)):
        filled = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(octets)), critical=False
        )
        der = filled.sign(private_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        jwk = {**kind, "x5c": [base64.b64encode(der).decode()]}
        if readable:
            assert parse_jwk(jwk).kty == "EC"
        else:
            assert reason(jwk) == "jwk_x5c_malformed"


@pytest.mark.parametrize(
    ("said", "made", "expected"),
    [
        ({"kty": "RSA"}, lambda: ec.generate_private_key(ec.SECP256R1()), "jwk_x5c_mismatch"),
        ({"kty": "EC", "crv": "P-256"}, lambda: ec.generate_private_key(ec.SECP384R1()), "jwk_x5c_mismatch"),
        ({"kty": "EC", "crv": "P-256"}, ed25519.Ed25519PrivateKey.generate, "jwk_x5c_mismatch"),
        ({"kty": "OKP", "crv": "Ed25519"}, lambda: ec.generate_private_key(ec.SECP256R1()), "jwk_x5c_mismatch"),
        ({"kty": "OKP", "crv": "Ed448"}, ed25519.Ed25519PrivateKey.generate, "jwk_crv_unsupported"),
        ({"kty": "RSA"}, lambda: rsa.generate_private_key(65537, 1024), "jwk_rsa_too_small"),  # noqa: S505 - that is the point
        ({"kty": "RSA"}, lambda: rsa.generate_private_key(3, 2048), "jwk_rsa_exponent"),
    ],
)
def test_the_key_of_a_certificate_is_judged_as_any_other(said, made, expected):
    assert reason({**said, "x5c": [certificate(made())]}) == expected
