"""What a JWK says about its key, checked and made into a key of ``cryptography``, or refused with a reason.

Only the public numbers are judged here; what the key may be used for is said in ``jwk``. Where a JWK has a certificate
in place of numbers, they are taken from there and judged alike. Nothing else of a certificate counts (decision 7).
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from doorward.errors import Malformed, UnknownKey
from doorward.protocol.base64url import decode_base64url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorward.protocol.jwa import PublicKey

__all__ = ["CURVES", "MIN_RSA_BITS", "READERS", "KeyMaterial", "is_name", "optional_text", "unusable"]

MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
_MAX_RSA_BITS = 8192
_MIN_RSA_EXPONENT, _MAX_RSA_EXPONENT = 65537, 2**32 - 1  # FIPS 186-5 A.1.1 from below; a larger one only costs time

CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

_MAX_NAME_CHARACTERS = 512
_MAX_CERTIFICATE_CHARACTERS = 16_384

_ED25519_BYTES = 32
_ED25519_PRIME = 2**255 - 19
_ED25519_D = -121665 * pow(121666, -1, _ED25519_PRIME)
_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8_Y, _ED25519_PRIME - _ORDER_8_Y})

_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
                107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)  # fmt: skip


class KeyMaterial(msgspec.Struct, frozen=True):
    """A public key that passed every check. ``crv`` is empty for RSA."""

    public_key: PublicKey
    crv: str
    signature_bytes: int


def is_name(value: Any) -> bool:
    """Tell whether a value can stand as a ``kid`` or ``typ``: printable text, neither empty nor long."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME_CHARACTERS and value.isprintable()


def unusable(what: str, reason: str) -> UnknownKey:
    """Return the error for a key that must not be used; ``what`` completes the sentence "The issuer's key …"."""
    return UnknownKey(f"The issuer's key {what}; the issuer must replace it.", reason=reason)


def optional_text(jwk: Mapping[str, Any], name: str) -> str | None:
    """Return a member that is a string, or None if it is not there; null says the same."""
    value = jwk.get(name)
    if value is not None and not isinstance(value, str):
        raise unusable(f"has a {name} that is no string", f"jwk_{name}_malformed")
    return value


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = optional_text(jwk, name)
    if value is None:
        raise unusable(f"has no {name}", f"jwk_{name}_missing")
    return value


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    try:
        return decode_base64url(_text(jwk, name), what=name)
    except Malformed:
        raise unusable(f"has a {name} that is not canonical base64url", f"jwk_{name}_not_base64url") from None


def _unsigned(jwk: Mapping[str, Any], name: str) -> int:
    """Read a Base64urlUInt of RFC 7518.

    One zero octet too many in front is let pass: Java's signed integers leave it there (decision 7).
    """
    octets = _octets(jwk, name)
    if not octets or octets.startswith(b"\0\0"):
        raise unusable(f"has a {name} that is not written as a number", f"jwk_{name}_malformed")
    return int.from_bytes(octets, "big")


def _rsa(jwk: Mapping[str, Any]) -> KeyMaterial:
    if (key := _from_certificate(jwk, "n", "e")) is None:
        return _judge_rsa(_unsigned(jwk, "n"), _unsigned(jwk, "e"))
    if not isinstance(key, rsa.RSAPublicKey):
        raise _another_kind()
    numbers = key.public_numbers()
    return _judge_rsa(numbers.n, numbers.e)


def _judge_rsa(n: int, e: int) -> KeyMaterial:
    bits = n.bit_length()
    if bits < MIN_RSA_BITS:
        raise unusable(f"is RSA of fewer than {MIN_RSA_BITS} bits", "jwk_rsa_too_small")
    if bits > _MAX_RSA_BITS:
        raise unusable(f"is RSA of more than {_MAX_RSA_BITS} bits", "jwk_rsa_too_large")
    if not n & 1:
        raise unusable("is RSA with an even modulus", "jwk_rsa_modulus_even")
    if not e & 1 or not _MIN_RSA_EXPONENT <= e <= _MAX_RSA_EXPONENT:
        raise unusable("is RSA with an unsafe exponent", "jwk_rsa_exponent")
    if _is_roca(n):
        raise unusable("is RSA made by a faulty chip (CVE-2017-15361)", "jwk_rsa_roca")
    return KeyMaterial(rsa.RSAPublicNumbers(e, n).public_key(), "", (bits + 7) // 8)


def _is_roca(n: int) -> bool:
    """Tell the moduli of one chip's library: modulo each small prime they are a power of 65537.

    Another modulus hardly ever passes the first few primes. Source: Nemec et al., The Return of Coppersmith's Attack.
    """
    return all(n % prime in {pow(65537, power, prime) for power in range(prime)} for prime in _ROCA_PRIMES)


def _ec(jwk: Mapping[str, Any]) -> KeyMaterial:
    crv = _text(jwk, "crv")
    if crv not in CURVES:
        raise unusable("is on a curve that we do not use", "jwk_crv_unsupported")
    curve = CURVES[crv]
    size = (curve.key_size + 7) // 8
    if (key := _from_certificate(jwk, "x", "y")) is None:
        point = b"\x04" + _coordinate(jwk, "x", size) + _coordinate(jwk, "y", size)
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
        except ValueError:
            raise unusable("is not a point of its curve", "jwk_point_not_on_curve") from None
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve.name:
        raise _another_kind()
    return KeyMaterial(key, crv, 2 * size)


def _coordinate(jwk: Mapping[str, Any], name: str, size: int) -> bytes:
    """Read a coordinate as the number that it is, also where zeros in front were left out (decision 7).

    One zero octet too many is let pass too, as in RSA's numbers. RFC 7518 section 6.2.1.2 wants ``size`` octets.
    """
    octets = _octets(jwk, name)
    if len(octets) == size + 1 and not octets[0]:
        octets = octets[1:]
    if not 0 < len(octets) <= size:
        raise unusable("has coordinates of the wrong length", "jwk_coordinate_length")
    return octets.rjust(size, b"\0")


def _okp(jwk: Mapping[str, Any]) -> KeyMaterial:
    crv = _text(jwk, "crv")
    if crv != "Ed25519":
        raise unusable("is on a curve that we do not use", "jwk_crv_unsupported")
    if (key := _from_certificate(jwk, "x")) is None:
        x = _octets(jwk, "x")
    elif isinstance(key, ed25519.Ed25519PublicKey):
        x = key.public_bytes_raw()
    else:
        raise _another_kind()
    _check_ed25519_point(x)
    return KeyMaterial(ed25519.Ed25519PublicKey.from_public_bytes(x), crv, 2 * _ED25519_BYTES)


def _check_ed25519_point(encoded: bytes) -> None:
    """Refuse what OpenSSL takes: with a key of small order, one constant signature fits every message.

    Source: RFC 8032 section 5.1.3. The eight points of small order share five values of y.
    """
    if len(encoded) != _ED25519_BYTES:
        raise unusable("has coordinates of the wrong length", "jwk_coordinate_length")
    y = int.from_bytes(encoded, "little") & (2**255 - 1)  # the last bit is the sign of x
    if y >= _ED25519_PRIME:
        raise unusable("is not a canonical point", "jwk_point_not_canonical")
    if y in _SMALL_ORDER_Y:
        raise unusable("is a point of small order", "jwk_point_small_order")
    # x² = (y² - 1) / (d y² + 1); the divisor is never zero, and a square has the same Legendre symbol as the product.
    if pow((y * y - 1) * (_ED25519_D * y * y + 1), (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise unusable("is not a point of its curve", "jwk_point_not_on_curve")


def _from_certificate(jwk: Mapping[str, Any], *numbers: str) -> object:
    """Return the public key of the first certificate (``x5c``); None where the JWK has any of the numbers itself.

    The issuer vouches for the key by publishing it, so neither chain, names, dates nor usages of the certificate are
    looked at. Source: RFC 7517 section 4.7.
    """
    chain = jwk.get("x5c")
    if chain is None or any(jwk.get(name) is not None for name in numbers):
        return None
    first = chain[0] if isinstance(chain, list) and chain else None
    if not isinstance(first, str) or len(first) > _MAX_CERTIFICATE_CHARACTERS:
        raise unusable("has no readable certificate (x5c)", "jwk_x5c_malformed")
    from cryptography import x509  # noqa: PLC0415 - heavy, and hardly any issuer needs it

    try:
        return x509.load_der_x509_certificate(binascii.a2b_base64(first, strict_mode=True)).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise unusable("has no readable certificate (x5c)", "jwk_x5c_malformed") from None


def _another_kind() -> UnknownKey:
    return unusable("has a certificate (x5c) of another kind than it says", "jwk_x5c_mismatch")


READERS: Mapping[str, Callable[[Mapping[str, Any]], KeyMaterial]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}
