"""Signature checks that have two ways to the same answer: Ed25519 by OpenSSL and by libsodium, RSA by recovering."""

from __future__ import annotations

import hashlib
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from doorward.errors import BadSignature
from doorward.protocol import jwa
from doorward.protocol.jwa import ALGORITHMS

ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1
TEXT = b"eyJhbGciOiJFZERTQSJ9.e30"


@pytest.fixture
def without_pynacl(monkeypatch):
    """Ed25519 as where PyNaCl is not installed."""
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    jwa._ed25519_verifier.cache_clear()  # noqa: SLF001 - it was looked for once, in whatever test came first
    yield
    jwa._ed25519_verifier.cache_clear()  # noqa: SLF001 - the same


@pytest.fixture(params=["libsodium", "OpenSSL"])
def verify(request):
    if request.param == "OpenSSL":
        request.getfixturevalue("without_pynacl")
    found = jwa._ed25519_verifier()  # noqa: SLF001 - which of the two it is
    assert (found is jwa._verify_by_openssl) == (request.param == "OpenSSL")  # noqa: SLF001 - the same
    return ALGORITHMS["EdDSA"].verify


def test_ed25519_takes_what_was_signed_and_nothing_else(verify):
    key = ed25519.Ed25519PrivateKey.generate()
    public, signature = key.public_key(), key.sign(TEXT)
    verify(public, signature, TEXT)
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    wrong = [(other, signature, TEXT), (public, signature, TEXT + b"x"), (public, bytes(64), TEXT)]
    for place in range(0, 64, 7):
        bent = bytearray(signature)
        bent[place] ^= 1
        wrong.append((public, bytes(bent), TEXT))
    for case in wrong:
        with pytest.raises(BadSignature):
            verify(*case)


def test_ed25519_has_one_signature_for_a_number(verify):
    key = ed25519.Ed25519PrivateKey.generate()
    signature = key.sign(TEXT)
    number = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(BadSignature):
        verify(key.public_key(), signature[:32] + number.to_bytes(32, "little"), TEXT)


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little"), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_ed25519_takes_no_point_of_small_order_for_a_signature(verify, point):
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(BadSignature):
        verify(public, point + bytes(32), TEXT)


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def encoded(key, filling, info, digest):
    """Sign by hand whatever message encoding is asked for: with a private key nothing is hidden."""
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    end = b"\x00" + info + digest
    block = filling(size - len(end)) + end
    assert len(block) == size
    signed = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return signed.to_bytes(size, "big")


INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
def test_rsa_agrees_with_the_library(rsa_key, alg):
    name = {"RS256": hashes.SHA256, "RS384": hashes.SHA384, "RS512": hashes.SHA512}[alg]
    signature = rsa_key.sign(TEXT, padding.PKCS1v15(), name())
    ALGORITHMS[alg].verify(rsa_key.public_key(), signature, TEXT)
    for other in {"RS256", "RS384", "RS512"} - {alg}:
        with pytest.raises(BadSignature):
            ALGORITHMS[other].verify(rsa_key.public_key(), signature, TEXT)


def test_rsa_by_hand_is_the_same_signature(rsa_key):
    digest = hashlib.sha256(TEXT).digest()
    honest = encoded(rsa_key, lambda room: b"\x00\x01" + b"\xff" * (room - 2), INFO, digest)
    assert honest == rsa_key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    ALGORITHMS["RS256"].verify(rsa_key.public_key(), honest, TEXT)


@pytest.mark.parametrize(
    ("filling", "info", "tail"),
    [
        (lambda room: b"\x00\x02" + b"\xff" * (room - 2), INFO, b""),  # block type 2
        (lambda room: b"\x01\x01" + b"\xff" * (room - 2), INFO, b""),
        (lambda room: b"\x00\x01" + b"\xff" * 8 + b"\x00" * (room - 10), INFO, b""),  # a short padding
        (lambda room: b"\x00\x01" + b"\xff" * (room - 3) + b"\xfe", INFO, b""),
        (lambda room: b"\x00\x01" + b"\xff" * (room - 2), INFO[:-2], b""),  # no length before the digest
        (lambda room: b"\x00\x01" + b"\xff" * (room - 2), b"", b""),  # no DigestInfo at all
        (
            lambda room: b"\x00\x01" + b"\xff" * (room - 2),
            INFO.replace(b"\x05\x00", b"").replace(b"\x30\x0d", b"\x30\x0b"),
            b"",
        ),
        (lambda room: b"\x00\x01" + b"\xff" * (room - 2), INFO, b"\x00"),  # something behind it
        (lambda _: b"\x00\x01" + b"\xff" * 8, INFO, "fill"),  # Bleichenbacher 2006: garbage behind a short padding
    ],
)
def test_rsa_takes_no_other_encoding_of_the_digest(rsa_key, filling, info, tail):
    digest = hashlib.sha256(TEXT).digest()
    if tail == "fill":
        tail = bytes(256 - 10 - 1 - len(info) - len(digest))
    forged = encoded(rsa_key, filling, info, digest + tail)
    with pytest.raises(BadSignature):
        ALGORITHMS["RS256"].verify(rsa_key.public_key(), forged, TEXT)


def test_rsa_takes_no_number_beyond_the_modulus(rsa_key):
    signature = rsa_key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    modulus = rsa_key.public_key().public_numbers().n
    beyond = int.from_bytes(signature, "big") + modulus
    for number in [modulus, modulus - 1, 0, 1, 2**2048 - 1, *([beyond] if beyond < 2**2048 else [])]:
        with pytest.raises(BadSignature):
            ALGORITHMS["RS256"].verify(rsa_key.public_key(), number.to_bytes(256, "big"), TEXT)


def test_a_signature_has_its_keys_length(verify, rsa_key):
    key = ed25519.Ed25519PrivateKey.generate()
    signature = key.sign(TEXT)
    for shorter, text in ((signature[:-1], signature[-1:] + TEXT), (signature + TEXT[:1], TEXT[1:])):
        with pytest.raises(BadSignature):
            verify(key.public_key(), shorter, text)
    signature = rsa_key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    for wrong in (b"\x00" + signature, signature[1:], signature + b"\x00", b""):
        with pytest.raises(BadSignature):
            ALGORITHMS["RS256"].verify(rsa_key.public_key(), wrong, TEXT)
