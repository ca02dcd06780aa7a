"""Keys as JSON: an issuer's JWK Set becomes verification keys, and our own key signs.

Every key is judged when it is loaded. One that could be used wrongly is left out with its reason, so that no signature
check has to ask again. No fetching, no caching, no tokens here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from doorward.errors import ConfigurationError, InvalidResponse, Malformed, UnknownKey
from doorward.model import Secret
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jwa import ALGORITHMS, OTHER_NAMES, Algorithm, PrivateKey, PublicKey
from doorward.protocol.key_material import CURVES, MIN_RSA_BITS, READERS, is_name, optional_text, unusable
from doorward.protocol.reading.strict_json import loads_object

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

_FITTING = {
    kind: frozenset(name for name, algorithm in ALGORITHMS.items() if (algorithm.kty, algorithm.crv) == kind)
    for kind in {(algorithm.kty, algorithm.crv) for algorithm in ALGORITHMS.values()}
}
_JUST = {name: frozenset({name}) for name in ALGORITHMS}  # shared, since a service may hold thousands of keys
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FOR_SIGNATURES = frozenset({None, "sig", "jwt-svid"})  # the last is SPIFFE's word: Trust Domain and Bundle 4.2.2
_MOST_UNNAMED = 4
"""How many keys are tried for a token that names none: a rotation overlaps, and each one tried costs a verification."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key that passed every check, with the algorithms it may verify."""

    kid: str | None
    kty: str
    algorithms: frozenset[str]
    signature_bytes: int
    public_key: PublicKey = field(repr=False)
    issuer: str | None = field(default=None, repr=False)
    """Whose tokens it is for, where its set says so, as Entra's does for its tenants."""


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The usable keys of one issuer, and why the others were left out (``rejected``: kid to reason slug)."""

    keys: tuple[VerificationKey, ...]
    rejected: Mapping[str | None, str] = field(default_factory=dict)
    _by_kid: Mapping[str | None, tuple[VerificationKey, ...]] = field(init=False, repr=False, compare=False)
    _selected: dict[tuple[str | None, str], tuple[VerificationKey, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_kid: dict[str | None, tuple[VerificationKey, ...]] = {}
        for key in self.keys:
            by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        object.__setattr__(self, "_by_kid", by_kid)
        object.__setattr__(self, "_selected", {})

    def select(self, kid: str | None, alg: str) -> tuple[VerificationKey, ...]:
        """Return the keys that a token's header may mean: one, and up to four where it names none.

        Args:
            kid: the header's ``kid``. Without one, all keys of the set that fit are meant.
            alg: the header's ``alg``.

        Raises:
            UnknownKey: no such key, or too many. ``reason`` is ``unknown_kid``, ``key_algorithm_mismatch``,
                ``ambiguous_kid``, ``no_kid``, or why the issuer's key was left out.

        Source: RFC 7515 sections 4.1.4 and 6.
        """
        keys = self._selected.get((kid, alg))
        if keys is None:  # only what was found is remembered: no more than there are names and algorithms
            keys = self._selected[kid, alg] = self._find(kid, alg)
        return keys

    def _find(self, kid: str | None, alg: str) -> tuple[VerificationKey, ...]:
        named = self.keys if kid is None else self._by_kid.get(kid)
        if named is None:
            raise self._not_here(kid)
        fitting: list[VerificationKey] = []
        for key in named:  # the same key may stand there twice
            if alg in key.algorithms and all(key.public_key != other.public_key for other in fitting):
                fitting.append(key)
            if len(fitting) > _MOST_UNNAMED:  # compared with no more of them: strangers can ask for it
                break
        if not fitting:
            raise UnknownKey(
                "No key of the issuer fits the token's algorithm; get a new token.", reason="key_algorithm_mismatch"
            )
        if kid is not None and len(fitting) > 1:
            raise UnknownKey(
                "The issuer gave two different keys the name that the token says; it must rename one.",
                reason="ambiguous_kid",
            )
        if len(fitting) > _MOST_UNNAMED:
            raise UnknownKey(
                f"The token names no key, and more than {_MOST_UNNAMED} of its issuer fit; the issuer must name it.",
                reason="no_kid",
            )
        return tuple(fitting)

    def _not_here(self, kid: str | None) -> UnknownKey:
        if kid in self.rejected:
            return unusable("for this token must not be used", self.rejected[kid])
        return UnknownKey(
            "The issuer has no key of the name that the token says; get a new token.", reason="unknown_kid"
        )


def parse_jwk_set(data: bytes, *, max_keys: int = 100) -> JwkSet:
    """Read a JWK Set document. A bad key is left out with its reason; a bad set is refused.

    Args:
        data: the document, as the issuer sent it.
        max_keys: how many keys the set may hold, good or bad.

    Raises:
        InvalidResponse: not a JWK Set, or one of too many keys.

    Source: RFC 7517 section 5.
    """
    try:
        members = loads_object(data, what="The issuer's JWK Set").get("keys")
    except Malformed as error:
        raise InvalidResponse(error.message, reason=error.reason) from None
    if not isinstance(members, list):
        raise InvalidResponse(
            "The issuer's JWK Set has no list of keys; the issuer must correct it.", reason="jwk_set_without_keys"
        )
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
            kid = member.get("kid") if isinstance(member, Mapping) else None
            rejected[kid if isinstance(kid, str) else None] = error.reason
    return JwkSet(tuple(keys), MappingProxyType(rejected))


def parse_jwk(jwk: Mapping[str, Any]) -> VerificationKey:
    """Read one public key and check everything that can be wrong with it.

    Raises:
        UnknownKey: the key must not be used; ``reason`` says why.

    Source: RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2, RFC 8725 section 3.
    """
    if not isinstance(jwk, Mapping):
        raise unusable("is not a JSON object", "jwk_not_object")
    jwk = {name: value for name, value in jwk.items() if value is not None}  # some write null for what is not there
    kty = optional_text(jwk, "kty")
    if kty == "oct":
        raise unusable("is symmetric, so that whoever checks tokens could make them", "jwk_symmetric")
    if kty is None or kty not in READERS:
        raise unusable("is of a type that we do not know", "jwk_kty_unsupported")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise unusable("was published with its private part", "jwk_private")
    kid = optional_text(jwk, "kid")
    if kid is not None and not is_name(kid):
        raise unusable("has a name (kid) that no token could say", "jwk_kid_malformed")
    _check_purpose(jwk)
    material = READERS[kty](jwk)
    algorithms = _FITTING[kty, material.crv]
    alg = optional_text(jwk, "alg")
    if alg is not None:
        alg = OTHER_NAMES.get(alg, alg)
        if alg not in algorithms:
            raise unusable("is of another kind than its alg says", "jwk_alg_mismatch")
        algorithms = _JUST[alg]
    issuer = jwk.get("issuer")
    for_issuer = issuer if isinstance(issuer, str) else None
    return VerificationKey(kid, kty, algorithms, material.signature_bytes, material.public_key, for_issuer)


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    if optional_text(jwk, "use") not in _FOR_SIGNATURES:
        raise unusable("is not meant for signatures (use)", "jwk_use_mismatch")
    if "key_ops" not in jwk:
        return
    operations = jwk["key_ops"]
    if not isinstance(operations, list) or not all(isinstance(operation, str) for operation in operations):
        raise unusable("has key_ops that are no list of strings", "jwk_key_ops_malformed")
    if len(set(operations)) != len(operations):
        raise unusable("has key_ops that repeat themselves", "jwk_key_ops_repeated")
    if "verify" not in operations or not {"sign", "verify"}.issuperset(operations):
        raise unusable("is not meant for signatures alone (key_ops)", "jwk_key_ops_mismatch")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of our own, bound to one algorithm. It does not show itself and can't be pickled."""

    kid: str | None
    alg: str
    private_key: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        _algorithm(self.alg)
        try:
            parse_jwk(self.public_jwk())  # our key is held to the rules that a receiver has for it
        except UnknownKey as error:
            raise ConfigurationError(
                f"The signing key can't be used for {self.alg} ({error.reason}); use a key that fits.",
                field="signing_key",
                reason=error.reason,
            ) from None

    @classmethod
    def from_pem(cls, pem: bytes, *, alg: str, kid: str | None = None) -> SigningKey:
        """Read an unencrypted private key.

        Args:
            pem: the key in PEM, PKCS #8 or older.
            alg: the algorithm it signs with; the key must be of that kind.
            kid: the name under which the receiver knows its public half.

        Raises:
            ConfigurationError: not such a key.
        """
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - a guard reads no PEM, and starts sooner

        try:
            private_key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(
                "The signing key is not an unencrypted private key in PEM; convert it.",
                field="signing_key",
                reason="pem_malformed",
            ) from None
        if not isinstance(private_key, PrivateKey):
            raise ConfigurationError(
                "The signing key is of a kind that we do not use; make one of RSA, EC or Ed25519.",
                field="signing_key",
                reason="pem_kind_unsupported",
            )
        return cls(kid, alg, private_key)

    def to_pem(self) -> Secret:
        """Return the private key as ``from_pem`` reads it, to be kept."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as in ``from_pem``

        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return Secret(self.private_key.private_bytes(*form).decode())

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as it stands in a JWK Set."""
        name = {} if self.kid is None else {"kid": self.kid}
        return {**name, "use": "sig", "alg": self.alg, **_public_members(self.private_key)}

    def __reduce__(self) -> NoReturn:
        message = "A signing key is not pickled. Load it in the process that needs it."
        raise ConfigurationError(message, field="signing_key", reason="key_not_pickled")

    def __copy__(self) -> SigningKey:
        return self

    def __deepcopy__(self, memo: object) -> SigningKey:
        return self


def generate_signing_key(alg: str, *, kid: str | None = None) -> SigningKey:
    """Make a new key for ``alg``, RSA of 2048 bits: for tests, and to register a client.

    Raises:
        ConfigurationError: not an algorithm that we know, or an unusable ``kid``.
    """
    algorithm = _algorithm(alg)
    if algorithm.kty == "RSA":
        return SigningKey(kid, alg, rsa.generate_private_key(65537, MIN_RSA_BITS))
    if algorithm.kty == "OKP":
        return SigningKey(kid, alg, ed25519.Ed25519PrivateKey.generate())
    return SigningKey(kid, alg, ec.generate_private_key(CURVES[algorithm.crv]))


def _algorithm(alg: str) -> Algorithm:
    if alg not in ALGORITHMS:
        raise ConfigurationError(
            f"Signing needs one of {', '.join(sorted(ALGORITHMS))}.", field="alg", reason="alg_unsupported"
        )
    return ALGORITHMS[alg]


def _public_members(private_key: PrivateKey) -> dict[str, str]:
    public_key = private_key.public_key()
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(public_key.public_bytes_raw())}
    if isinstance(public_key, rsa.RSAPublicKey):
        rsa_numbers = public_key.public_numbers()
        return {"kty": "RSA", "n": _encode_unsigned(rsa_numbers.n), "e": _encode_unsigned(rsa_numbers.e)}
    size = (public_key.key_size + 7) // 8
    point = public_key.public_numbers()
    names = {curve.name: name for name, curve in CURVES.items()}
    return {
        "kty": "EC",
        "crv": names.get(public_key.curve.name, public_key.curve.name),
        "x": encode_base64url(point.x.to_bytes(size, "big")),
        "y": encode_base64url(point.y.to_bytes(size, "big")),
    }


def _encode_unsigned(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
