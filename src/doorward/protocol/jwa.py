"""The signature algorithms of RFC 7518 and RFC 8037 that we know, on top of ``cryptography``. No keys are judged here.

Asymmetric ones only (decision 6): whoever can check a token must not be able to make one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from doorward.errors import BadSignature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ALGORITHMS", "OTHER_NAMES", "Algorithm", "PrivateKey", "PublicKey", "load_libsodium"]

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One ``alg``: the keys it takes (``crv`` is empty for RSA), and how it signs and verifies.

    ``verify(public_key, signature, signing_input)`` returns nothing or raises ``BadSignature``. ``sign(private_key,
    signing_input)`` returns the signature as it stands in a JWS. Both take only keys of this ``kty`` and ``crv``, and a
    signature of the right length: ``jwk`` and ``jws`` see to that.
    """

    kty: str
    crv: str
    verify: Callable[[Any, bytes, bytes], None]
    sign: Callable[[Any, bytes], bytes]


def _bad_signature() -> BadSignature:
    return BadSignature("The signature does not belong to this token and the issuer's key; get a new token.")


_ED25519_BYTES = 64
_DIGEST_INFO = {  # RFC 8017 section 9.2, note 1: what stands before the digest in a signature
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def _rsa(hash_algorithm: hashes.HashAlgorithm, *, pss: bool) -> Algorithm:
    digest, prehashed = getattr(hashlib, hash_algorithm.name), Prehashed(hash_algorithm)
    before = _DIGEST_INFO[hash_algorithm.name]
    pkcs1 = padding.PKCS1v15()
    scheme: padding.AsymmetricPadding = (
        padding.PSS(padding.MGF1(hash_algorithm), salt_length=hash_algorithm.digest_size) if pss else pkcs1
    )

    def verify_pss(key: rsa.RSAPublicKey, signature: bytes, signing_input: bytes) -> None:
        try:
            key.verify(signature, digest(signing_input).digest(), scheme, prehashed)
        except InvalidSignature:
            raise _bad_signature() from None

    def verify_pkcs1(key: rsa.RSAPublicKey, signature: bytes, signing_input: bytes) -> None:
        # RFC 8017 section 8.2.2 compares the whole encoded message, and so does this: the padding is checked as it is
        # taken off, all behind it is compared, and both together fill the modulus, so that nothing is left open. It
        # takes 2 µs less than `key.verify`, which sets up a context for each call.
        if len(signature) != (key.key_size + 7) // 8:  # RFC 8017 section 8.2.2 step 1
            raise _bad_signature()
        try:
            signed = key.recover_data_from_signature(signature, pkcs1, None)
        except InvalidSignature:
            raise _bad_signature() from None
        if signed != before + digest(signing_input).digest():
            raise _bad_signature()

    def sign(key: rsa.RSAPrivateKey, signing_input: bytes) -> bytes:
        return key.sign(digest(signing_input).digest(), scheme, prehashed)

    return Algorithm("RSA", "", verify_pss if pss else verify_pkcs1, sign)


def _ecdsa(crv: str, size: int, order: int, hash_algorithm: hashes.HashAlgorithm) -> Algorithm:
    digest = getattr(hashlib, hash_algorithm.name)

    @cache  # made when it is first needed: to make one, cryptography loads its whole back end
    def scheme() -> ec.ECDSA:
        return ec.ECDSA(Prehashed(hash_algorithm))

    def verify(key: ec.EllipticCurvePublicKey, signature: bytes, signing_input: bytes) -> None:
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        if not (0 < r < order and 0 < s < order):
            raise BadSignature("The signature holds a number out of range; get a new token.", reason="signature_range")
        try:
            key.verify(encode_dss_signature(r, s), digest(signing_input).digest(), scheme())
        except InvalidSignature:
            raise _bad_signature() from None

    def sign(key: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(digest(signing_input).digest(), scheme()))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return Algorithm("EC", crv, verify, sign)


def _verify_by_openssl(key: ed25519.Ed25519PublicKey, signature: bytes, signing_input: bytes) -> None:
    try:
        key.verify(signature, signing_input)
    except InvalidSignature:
        raise _bad_signature() from None


@cache  # looked for when a guard is made, or else when the first such token comes
def _ed25519_verifier() -> Callable[[ed25519.Ed25519PublicKey, bytes, bytes], None]:
    """Return libsodium's check where PyNaCl is installed, else OpenSSL's.

    libsodium takes half the time. It refuses all that OpenSSL refuses, and points of small order besides.
    """
    try:
        from nacl.bindings import crypto_sign_open  # noqa: PLC0415 - optional
        from nacl.exceptions import BadSignatureError  # noqa: PLC0415 - the same
    except (ImportError, OSError):  # OSError: the library behind it does not load
        return _verify_by_openssl

    def verify_by_libsodium(key: ed25519.Ed25519PublicKey, signature: bytes, signing_input: bytes) -> None:
        if len(signature) != _ED25519_BYTES:  # it is handed over in one piece with the text
            raise _bad_signature()
        try:
            crypto_sign_open(signature + signing_input, key.public_bytes_raw())
        except BadSignatureError:
            raise _bad_signature() from None

    return verify_by_libsodium


def load_libsodium() -> None:
    """Look for libsodium now, and not in a thread: where another one forks amid an import, the child waits for ever."""
    _ed25519_verifier()


def _eddsa() -> Algorithm:
    def verify(key: ed25519.Ed25519PublicKey, signature: bytes, signing_input: bytes) -> None:
        _ed25519_verifier()(key, signature, signing_input)

    def sign(key: ed25519.Ed25519PrivateKey, signing_input: bytes) -> bytes:
        return key.sign(signing_input)

    return Algorithm("OKP", "Ed25519", verify, sign)


# How many points a curve's generator makes: FIPS 186-5, SP 800-186 section 3.2.1.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_P521_ORDER = int(
    "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA"
    "51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
    16,
)

ALGORITHMS: Mapping[str, Algorithm] = {
    "RS256": _rsa(hashes.SHA256(), pss=False),
    "RS384": _rsa(hashes.SHA384(), pss=False),
    "RS512": _rsa(hashes.SHA512(), pss=False),
    "PS256": _rsa(hashes.SHA256(), pss=True),
    "PS384": _rsa(hashes.SHA384(), pss=True),
    "PS512": _rsa(hashes.SHA512(), pss=True),
    "ES256": _ecdsa("P-256", 32, _P256_ORDER, hashes.SHA256()),
    "ES384": _ecdsa("P-384", 48, _P384_ORDER, hashes.SHA384()),
    "ES512": _ecdsa("P-521", 66, _P521_ORDER, hashes.SHA512()),
    "EdDSA": _eddsa(),
}

OTHER_NAMES: Mapping[str, str] = {"Ed25519": "EdDSA"}
"""Names for what stands above under another: with keys of Ed25519 alone, RFC 9864 says ``Ed25519`` for ``EdDSA``."""
