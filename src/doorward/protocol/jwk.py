"""Keys as JSON: an issuer's JWK Set becomes verification keys, and our own key signs. Every key is judged when loaded.

A key that could be used wrongly is left out with its reason, so that a signature check never has to ask. No fetching, no
caching, no tokens here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from doorward.errors import ConfigurationError, InvalidResponse, Malformed, UnknownKey
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.jwa import ALGORITHMS, PrivateKey, PublicKey
from doorward.protocol.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ASYMMETRIC_ALGORITHMS",
    "JwkSet",
    "SigningKey",
    "VerificationKey",
    "generate_signing_key",
    "parse_jwk",
    "parse_jwk_set",
]

ASYMMETRIC_ALGORITHMS = frozenset(ALGORITHMS)

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Mapping[str, tuple[ec.EllipticCurve, int]] = {
    "P-256": (ec.SECP256R1(), 32),
    "P-384": (ec.SECP384R1(), 48),
    "P-521": (ec.SECP521R1(), 66),
}
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192
_MIN_RSA_EXPONENT, _MAX_RSA_EXPONENT = 65537, 2**32 - 1
_MAX_KID_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key that passed every check, with the algorithms it may verify."""

    kid: str | None
    kty: str
    algorithms: frozenset[str]
    signature_bytes: int
    public_key: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The usable keys of one issuer, and why the others were left out (``rejected``: kid to reason slug)."""

    keys: tuple[VerificationKey, ...]
    rejected: Mapping[str | None, str] = field(default_factory=dict)
    _by_kid: Mapping[str | None, tuple[VerificationKey, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_kid: dict[str | None, tuple[VerificationKey, ...]] = {}
        for key in self.keys:
            by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        object.__setattr__(self, "_by_kid", by_kid)

    def select(self, kid: str | None, alg: str) -> VerificationKey:
        """Return the one key for a token's header.

        Args:
            kid: the header's ``kid``. Without one, the whole set must hold exactly one key that fits.
            alg: the header's ``alg``.

        Raises:
            UnknownKey: no such key, or more than one. ``reason`` is ``unknown_kid`` (the one case where newer keys of
                the issuer may help), ``key_algorithm_mismatch``, ``ambiguous_kid``, ``no_kid``, or why the issuer's key
                was left out.

        Source: RFC 7515 sections 4.1.4 and 6.
        """
        named = self.keys if kid is None else self._by_kid.get(kid, ())
        fitting = [key for key in named if alg in key.algorithms]
        if not fitting:
            self._refuse(kid, any_named=bool(named))
        first = fitting[0]
        if len(fitting) > 1 and any(key.public_key != first.public_key for key in fitting):
            if kid is None:
                raise UnknownKey(
                    "The token names no key, and its issuer has several that fit; the issuer must name the key.",
                    reason="no_kid",
                )
            raise UnknownKey(
                "The issuer has two different keys of the name that the token gives; the issuer must rename one.",
                reason="ambiguous_kid",
            )
        return first

    def _refuse(self, kid: str | None, *, any_named: bool) -> NoReturn:
        if kid is not None and not any_named and kid in self.rejected:
            raise UnknownKey(
                f"The issuer's key for this token is not safe to use ({self.rejected[kid]}); the issuer must replace it.",
                reason=self.rejected[kid],
            )
        if kid is not None and not any_named:
            raise UnknownKey(
                "The issuer's keys do not include the one that the token names; get a new token.", reason="unknown_kid"
            )
        raise UnknownKey(
            "No key of the issuer fits the token's algorithm; get a new token.", reason="key_algorithm_mismatch"
        )


def parse_jwk_set(data: bytes, *, max_keys: int = 100) -> JwkSet:
    """Read a JWK Set document. A bad key is left out with its reason; a bad set is refused.

    Args:
        data: the document, as the issuer sent it.
        max_keys: how many keys the set may hold at most, good or bad.

    Raises:
        InvalidResponse: not a JWK Set, or one of too many keys.

    Source: RFC 7517 section 5.
    """
    try:
        document = loads_object(data, what="The issuer's JWK Set")
    except Malformed as error:
        raise InvalidResponse(error.message, reason=error.reason) from error
    members = document.get("keys")
    if not isinstance(members, list):
        raise InvalidResponse("The issuer's JWK Set has no list of keys.", reason="jwk_set_without_keys")
    if len(members) > max_keys:
        raise InvalidResponse(
            f"The issuer's JWK Set has more than {max_keys} keys; the issuer must remove old ones.",
            reason="jwk_set_too_many_keys",
        )
    keys: list[VerificationKey] = []
    rejected: dict[str | None, str] = {}
    for member in members:
        try:
            keys.append(parse_jwk(member))
        except UnknownKey as error:
            kid = member.get("kid") if isinstance(member, dict) else None
            rejected[kid if isinstance(kid, str) else None] = error.reason
    return JwkSet(tuple(keys), MappingProxyType(rejected))


def parse_jwk(jwk: Mapping[str, Any]) -> VerificationKey:
    """Read one public key, checking all that G3 asks.

    Raises:
        UnknownKey: a key that must not be used; ``reason`` says why.

    Source: RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2, RFC 8725 section 3.
    """
    if not isinstance(jwk, dict):
        raise _unusable("is not a JSON object", "jwk_not_object")
    kty = _text(jwk, "kty")
    if kty == "oct":
        raise _unusable("is symmetric: whoever checks tokens could make them", "jwk_symmetric")
    if kty not in _READERS:
        raise _unusable("has a key type that we do not know", "jwk_kty_unsupported")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _unusable("was published with its private part", "jwk_private")
    _check_purpose(jwk)
    kid = _optional_text(jwk, "kid")
    if kid is not None and not (kid and len(kid) <= _MAX_KID_CHARACTERS and kid.isprintable()):
        raise _unusable("has an unusable name (kid)", "jwk_kid_malformed")
    public_key, crv, signature_bytes = _READERS[kty](jwk)
    fitting = frozenset(name for name, algorithm in ALGORITHMS.items() if (algorithm.kty, algorithm.crv) == (kty, crv))
    alg = _optional_text(jwk, "alg")
    if alg is not None:
        if alg not in fitting:
            raise _unusable("is of another kind than its alg says", "jwk_alg_mismatch")
        fitting = frozenset({alg})
    return VerificationKey(kid, kty, fitting, signature_bytes, public_key)


def _unusable(what: str, reason: str) -> UnknownKey:
    return UnknownKey(f"The issuer's key {what}; the issuer must replace it.", reason=reason)


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = _optional_text(jwk, name)
    if value is None:
        raise _unusable(f"has no {name}", f"jwk_{name}_missing")
    return value


def _optional_text(jwk: Mapping[str, Any], name: str) -> str | None:
    value = jwk.get(name)
    if name in jwk and not isinstance(value, str):
        raise _unusable(f"has a {name} that is no string", f"jwk_{name}_malformed")
    return value


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    if _optional_text(jwk, "use") not in (None, "sig"):
        raise _unusable("is not meant for signatures (use)", "jwk_use_mismatch")
    if "key_ops" not in jwk:
        return
    operations = jwk["key_ops"]
    if not isinstance(operations, list) or not all(isinstance(operation, str) for operation in operations):
        raise _unusable("has key_ops that are no list of strings", "jwk_key_ops_malformed")
    if len(set(operations)) != len(operations):
        raise _unusable("has key_ops that repeat themselves", "jwk_key_ops_malformed")
    if "verify" not in operations or not {"sign", "verify"}.issuperset(operations):
        raise _unusable("is not meant to verify signatures alone (key_ops)", "jwk_key_ops_mismatch")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    try:
        return decode_base64url(_text(jwk, name), what=f"The member {name} of the issuer's key")
    except Malformed as error:
        raise _unusable(f"has a {name} that is not canonical base64url", f"jwk_{name}_{error.reason}") from error


def _rsa_key(jwk: Mapping[str, Any]) -> tuple[PublicKey, str | None, int]:
    n = int.from_bytes(_octets(jwk, "n"), "big")
    e = int.from_bytes(_octets(jwk, "e"), "big")
    if n.bit_length() < _MIN_RSA_BITS:
        raise _unusable(f"is RSA of fewer than {_MIN_RSA_BITS} bits", "jwk_rsa_too_small")
    if n.bit_length() > _MAX_RSA_BITS:
        raise _unusable(f"is RSA of more than {_MAX_RSA_BITS} bits", "jwk_rsa_too_large")
    if not n % 2:
        raise _unusable("is RSA with an even modulus", "jwk_rsa_modulus_even")
    if not e % 2 or not _MIN_RSA_EXPONENT <= e <= _MAX_RSA_EXPONENT:
        raise _unusable("is RSA with an unsafe exponent", "jwk_rsa_exponent")
    return rsa.RSAPublicNumbers(e, n).public_key(), None, (n.bit_length() + 7) // 8


def _ec_key(jwk: Mapping[str, Any]) -> tuple[PublicKey, str | None, int]:
    crv = _text(jwk, "crv")
    if crv not in _CURVES:
        raise _unusable("is on a curve that we do not use", "jwk_crv_unsupported")
    curve, size = _CURVES[crv]
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    if len(x) != size or len(y) != size:
        raise _unusable("has coordinates of the wrong length", "jwk_coordinate_length")
    try:
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)
    except ValueError as error:
        raise _unusable("is not a point of its curve", "jwk_point_not_on_curve") from error
    return public_key, crv, 2 * size


def _okp_key(jwk: Mapping[str, Any]) -> tuple[PublicKey, str | None, int]:
    crv = _text(jwk, "crv")
    if crv != "Ed25519":
        raise _unusable("is on a curve that we do not use", "jwk_crv_unsupported")
    x = _octets(jwk, "x")
    _check_ed25519_point(x)
    return ed25519.Ed25519PublicKey.from_public_bytes(x), crv, 64


_READERS = {"RSA": _rsa_key, "EC": _ec_key, "OKP": _okp_key}

_ED25519_PRIME = 2**255 - 19
_ED25519_D = -121665 * pow(121666, -1, _ED25519_PRIME) % _ED25519_PRIME
_ED25519_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
_ED25519_SMALL_ORDER_Y = frozenset(
    {0, 1, _ED25519_PRIME - 1, _ED25519_ORDER_8_Y, _ED25519_PRIME - _ED25519_ORDER_8_Y}
)


def _check_ed25519_point(encoded: bytes) -> None:
    """Refuse what OpenSSL lets pass: with a key of small order one constant signature fits every message.

    Source: RFC 8032 section 5.1.3; the eight points of small order have five values of y.
    """
    if len(encoded) != 32:  # noqa: PLR2004 - the size of an encoded point
        raise _unusable("has coordinates of the wrong length", "jwk_coordinate_length")
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME:
        raise _unusable("is not a canonical point", "jwk_point_not_canonical")
    if y in _ED25519_SMALL_ORDER_Y:
        raise _unusable("is a point of small order", "jwk_point_small_order")
    x_squared = (y * y - 1) * pow(_ED25519_D * y * y + 1, -1, _ED25519_PRIME)
    if pow(x_squared, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise _unusable("is not a point of its curve", "jwk_point_not_on_curve")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of our own, bound to one algorithm. It does not show itself and can't be pickled."""

    kid: str | None
    alg: str
    private_key: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if self.alg not in ALGORITHMS:
            raise ConfigurationError(
                f"Choose a signature algorithm out of {', '.join(sorted(ALGORITHMS))}.",
                field="alg",
                reason="alg_unsupported",
            )
        try:
            parse_jwk(self.public_jwk())
        except UnknownKey as error:
            raise ConfigurationError(
                f"The signing key can't be used for {self.alg} ({error.reason}); use a key of the right kind.",
                field="signing_key",
                reason=error.reason,
            ) from error

    @classmethod
    def from_pem(cls, pem: bytes, *, alg: str, kid: str | None = None) -> SigningKey:
        """Read an unencrypted private key.

        Args:
            pem: the key in PEM (PKCS #8 or the older forms).
            alg: the algorithm it signs with; the key must be of that kind.
            kid: the name under which the receiver knows its public half.

        Raises:
            ConfigurationError: not such a key.
        """
        try:
            private_key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(
                "The signing key is not an unencrypted private key in PEM.", field="signing_key", reason="pem_malformed"
            ) from error
        if not isinstance(private_key, PrivateKey):
            raise ConfigurationError(
                "The signing key is of a kind that we do not use; use RSA, EC or Ed25519.",
                field="signing_key",
                reason="pem_kind_unsupported",
            )
        return cls(kid, alg, private_key)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half, as it stands in a JWK Set."""
        jwk = {"alg": self.alg, "use": "sig", **_public_members(self.private_key)}
        return jwk if self.kid is None else {"kid": self.kid, **jwk}

    def __reduce__(self) -> NoReturn:
        message = "a SigningKey can't be pickled; load it again where it is needed"
        raise TypeError(message)


def _public_members(private_key: PrivateKey) -> dict[str, str]:
    if isinstance(private_key, rsa.RSAPrivateKey):
        numbers = private_key.public_key().public_numbers()
        return {"kty": "RSA", "n": _encode_integer(numbers.n), "e": _encode_integer(numbers.e)}
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(private_key.public_key().public_bytes_raw())}
    crv, size = next(
        ((name, size) for name, (curve, size) in _CURVES.items() if curve.name == private_key.curve.name), ("other", 0)
    )
    point = private_key.public_key().public_numbers()
    size = size or (private_key.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": crv,
        "x": encode_base64url(point.x.to_bytes(size, "big")),
        "y": encode_base64url(point.y.to_bytes(size, "big")),
    }


def _encode_integer(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def generate_signing_key(alg: str, *, kid: str | None = None) -> SigningKey:
    """Make a new key: RSA of 2048 bits, or on the curve of ``alg``. For tests and for registering a new client."""
    algorithm = ALGORITHMS.get(alg)
    if algorithm is not None and algorithm.crv in _CURVES:
        return SigningKey(kid, alg, ec.generate_private_key(_CURVES[algorithm.crv][0]))
    if algorithm is not None and algorithm.kty == "OKP":
        return SigningKey(kid, alg, ed25519.Ed25519PrivateKey.generate())
    return SigningKey(kid, alg, rsa.generate_private_key(65537, _MIN_RSA_BITS))
