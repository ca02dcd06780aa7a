"""JSON Web Signature, compact form: parsed strictly, verified against one issuer's keys, signed with our own.

Everything that does not need a key is refused before any cryptography. Claims are not looked at here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doorward.errors import AlgorithmNotAllowed, BadSignature, ConfigurationError, Malformed
from doorward.protocol.base64url import ALPHABET, decode_checked, encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.jwk import JwkSet, SigningKey

__all__ = ["JoseHeader", "UnverifiedJws", "VerifiedJws", "parse_jws", "sign_jws", "verify_jws"]

_MAX_NAME_CHARACTERS = 512

# Each of these changes what is verified, or brings or points at a key of the sender's choosing.
_REFUSED_MEMBERS = frozenset({"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"})


@dataclass(frozen=True, slots=True)
class JoseHeader:
    """What counts of a header: the algorithm, the key's name, the token's type."""

    alg: str
    kid: str | None = None
    typ: str | None = None


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A token of the right shape, and nothing more."""

    header: JoseHeader
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """A payload that a key of the given set signed."""

    header: JoseHeader
    payload: bytes = field(repr=False)


def parse_jws(token: str | bytes, *, max_bytes: int = 16_384) -> UnverifiedJws:
    """Take a compact JWS apart.

    Args:
        token: the token as it was received.
        max_bytes: a longer token is refused unread.

    Raises:
        Malformed: not exactly the one form in which a signer writes a token.
        AlgorithmNotAllowed: unsigned (``none``), symmetric (HMAC), or an algorithm that we do not know.

    Source: RFC 7515 sections 5.2 and 7.1, RFC 8725 section 3.
    """
    if len(token) > max_bytes:
        raise Malformed(f"The token is longer than {max_bytes} bytes.", reason="token_too_long")
    if isinstance(token, str):
        try:
            token = token.encode("ascii")
        except UnicodeEncodeError:
            raise Malformed("The token holds characters that no token has.", reason="token_alphabet") from None
    if (rest := token.translate(None, ALPHABET)) != b"..":
        raise _misshapen(rest)
    dot = token.rindex(b".")
    signing_input = token[:dot]
    encoded_header, encoded_payload = signing_input.split(b".")
    header = _parse_header(decode_checked(encoded_header, what="The token's header"))
    if dot + 1 == len(token):
        raise Malformed("The token has no signature.", reason="signature_missing")
    return UnverifiedJws(
        header,
        decode_checked(encoded_payload, what="The token's payload"),
        signing_input,
        decode_checked(token[dot + 1 :], what="The token's signature"),
    )


def _misshapen(rest: bytes) -> Malformed:
    if rest == b"....":
        return Malformed("The token is encrypted (JWE); ask the issuer for signed ones.", reason="jwe")
    if rest.strip(b"."):
        return Malformed("The token holds characters that no token has.", reason="token_alphabet")
    return Malformed("The token does not have three parts.", reason="token_segments")


def _parse_header(data: bytes) -> JoseHeader:
    members = loads_object(data, what="The token's header")
    if not _REFUSED_MEMBERS.isdisjoint(members):
        name = min(_REFUSED_MEMBERS.intersection(members))
        raise Malformed(f"The token's header has {name}, which is never accepted.", reason=f"header_{name}")
    alg = members.get("alg")
    if not isinstance(alg, str):
        raise Malformed("The token's header names no algorithm.", reason="header_alg")
    if alg not in ALGORITHMS:
        raise _unknown_algorithm(alg)
    kid, typ = members.get("kid"), members.get("typ")
    if kid is not None or "kid" in members:
        _check_name(kid, "kid")
    if typ is not None or "typ" in members:
        _check_name(typ, "typ")
    return JoseHeader(alg, kid, typ)


def _unknown_algorithm(alg: str) -> AlgorithmNotAllowed:
    if alg.lower() == "none":
        return AlgorithmNotAllowed("The token is not signed.", reason="alg_none")
    if alg.upper().startswith("HS"):
        return AlgorithmNotAllowed("The token is signed with a shared secret.", reason="alg_symmetric")
    return AlgorithmNotAllowed("The token is signed with an algorithm that we do not use.", reason="alg_unsupported")


def _check_name(value: Any, name: str) -> None:
    if not isinstance(value, str) or not value or len(value) > _MAX_NAME_CHARACTERS or not value.isprintable():
        raise Malformed(f"The token's header has an unusable {name}.", reason=f"header_{name}")


def verify_jws(jws: UnverifiedJws, keys: JwkSet, *, algorithms: Collection[str]) -> VerifiedJws:
    """Check the signature with the one fitting key of the issuer.

    Args:
        jws: what ``parse_jws`` returned.
        keys: the keys of the issuer whom the token must come from, and of nobody else.
        algorithms: what is allowed for this issuer.

    Raises:
        AlgorithmNotAllowed: signed with another algorithm.
        UnknownKey: no single key of the set fits.
        BadSignature: the signature is not by that key.

    Source: RFC 7515 section 5.2, RFC 8725 section 3.1.
    """
    alg = jws.header.alg
    if isinstance(algorithms, str) or alg not in algorithms:
        raise AlgorithmNotAllowed(
            "The token is signed with an algorithm that is not allowed for its issuer.", reason="alg_not_allowed"
        )
    key = keys.select(jws.header.kid, alg)
    if len(jws.signature) != key.signature_bytes:
        raise BadSignature("The signature has the wrong length for its key; get a new token.", reason="signature_length")
    ALGORITHMS[alg].verify(key.public_key, jws.signature, jws.signing_input)
    return VerifiedJws(jws.header, jws.payload)


def sign_jws(
    payload: bytes, key: SigningKey, *, typ: str | None = None, extra_header: Mapping[str, Any] | None = None
) -> str:
    """Sign a payload.

    Args:
        payload: the bytes to sign.
        key: our key; its ``alg`` and ``kid`` go into the header.
        typ: the token's type, such as ``JWT``.
        extra_header: further header members; they can't replace ``alg``, ``kid`` or ``typ``.

    Returns:
        The compact form.

    Source: RFC 7515 section 5.1.
    """
    header: dict[str, Any] = {"alg": key.alg}
    if key.kid is not None:
        header["kid"] = key.kid
    if typ is not None:
        header["typ"] = typ
    if extra_header is not None:
        if not {"alg", "kid", "typ"}.isdisjoint(extra_header):
            raise ConfigurationError(
                "extra_header can't hold alg, kid or typ: they come from the key and from typ.", field="extra_header"
            )
        header.update(extra_header)
    signing_input = f"{encode_base64url(dump_json(header, field='extra_header'))}.{encode_base64url(payload)}"
    signature = ALGORITHMS[key.alg].sign(key.private_key, signing_input.encode("ascii"))
    return f"{signing_input}.{encode_base64url(signature)}"


def dump_json(value: Mapping[str, Any], *, field: str) -> bytes:
    """Write compact JSON, or raise ConfigurationError for the named argument."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{field} can't be written as JSON.", field=field, reason="not_json") from error
