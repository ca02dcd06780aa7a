"""JSON Web Signature, compact form: parsed strictly, verified against one issuer's keys, signed with our own.

Everything that can be refused without a key is refused before any cryptography. Claims are not looked at here. What is
made anew for each token is a msgspec struct: frozen as a dataclass is, for a fifth of its price. Why this is our own
code and no library's: decision 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from doorward.errors import AlgorithmNotAllowed, BadSignature, ConfigurationError, Malformed, printable
from doorward.protocol.base64url import check_alphabet, decode_part, encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.key_material import is_name
from doorward.protocol.reading.strict_json import dumps_object, loads_object
from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorward.protocol.jwk import JwkSet, SigningKey

__all__ = ["JoseHeader", "UnverifiedJws", "VerifiedJws", "check_signature", "parse_jws", "sign_jws", "verify_jws"]

_JWE_DOTS = 4

# Each of these changes what is verified, or brings or points at a key of the sender's choosing (decision 7 for x5c).
_REFUSED_MEMBERS = frozenset({"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"})

_headers: dict[bytes, JoseHeader] = {}  # the tokens of one key share their header; only good ones are remembered
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 4096, 512


class JoseHeader(msgspec.Struct, frozen=True):
    """What counts of a header: the algorithm, the key's name, the token's type."""

    alg: str
    kid: str | None = None
    typ: str | None = None


class UnverifiedJws(msgspec.Struct, frozen=True):
    """A token of the right shape, and nothing more."""

    header: JoseHeader
    payload: bytes
    signing_input: bytes
    signature: bytes

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"UnverifiedJws(header={self.header!r})"


class VerifiedJws(msgspec.Struct, frozen=True):
    """A payload that a key of the given set signed."""

    header: JoseHeader
    payload: bytes

    __rich_repr__ = shows_nothing

    def __repr__(self) -> str:
        return f"VerifiedJws(header={self.header!r})"


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
        raise Malformed(
            f"The token is longer than {max_bytes} bytes; ask the issuer for a shorter one.", reason="token_too_long"
        )
    if isinstance(token, str):
        token = token.encode("ascii", "replace")
    head, _, rest = check_alphabet(token, "The token").partition(b".")
    payload, dot, signature = rest.rpartition(b".")
    if not dot or b"." in payload:
        if token.count(b".") == _JWE_DOTS:
            raise Malformed("The token is encrypted (JWE); ask the issuer for signed ones.", reason="jwe")
        raise Malformed("The token does not have three parts; check that it was copied whole.", reason="token_parts")
    header = _headers.get(head) or _parse_header(head)
    if not signature:
        raise Malformed("The token has no signature; check that it was copied whole.", reason="signature_missing")
    return UnverifiedJws(
        header,
        decode_part(payload, "The token's payload"),
        token[: -1 - len(signature)],
        decode_part(signature, "The token's signature"),
    )


def _parse_header(part: bytes) -> JoseHeader:
    members = loads_object(decode_part(part, what="The token's header"), what="The token's header")
    if not _REFUSED_MEMBERS.isdisjoint(members):
        name = min(_REFUSED_MEMBERS.intersection(members))
        raise Malformed(
            f"The token's header has {name}, which is never accepted; get a plain token.", reason=f"header_{name}"
        )
    alg = members.get("alg")
    if not isinstance(alg, str):
        raise Malformed("The token's header names no algorithm; get a new token.", reason="header_alg")
    if alg not in ALGORITHMS:
        raise _unknown_algorithm(alg)
    for name in ("kid", "typ"):
        if name in members and not is_name(members[name]):
            raise Malformed(f"The token's header has an unusable {name}; get a new token.", reason=f"header_{name}")
    header = JoseHeader(alg, members.get("kid"), members.get("typ"))
    if len(part) <= _LONGEST_REMEMBERED:
        if len(_headers) >= _MOST_REMEMBERED:
            _headers.clear()
        _headers[part] = header
    return header


def _unknown_algorithm(alg: str) -> AlgorithmNotAllowed:
    if alg.lower() == "none":
        return AlgorithmNotAllowed("The token is not signed; ask the issuer for signed ones.", reason="alg_none")
    if alg.upper().startswith("HS"):
        return AlgorithmNotAllowed(
            "The token is signed with a shared secret; let the issuer sign with a key pair.", reason="alg_symmetric"
        )
    return AlgorithmNotAllowed(
        f"The token is signed with {printable(alg)[:20]}, which we do not use; let the issuer choose another.",
        reason="alg_unsupported",
    )


def verify_jws(jws: UnverifiedJws, keys: JwkSet, *, algorithms: Collection[str]) -> VerifiedJws:
    """Check the signature and return what it covers. Arguments and errors as ``check_signature``."""
    check_signature(jws, keys, algorithms=algorithms)
    return VerifiedJws(jws.header, jws.payload)


def check_signature(jws: UnverifiedJws, keys: JwkSet, *, algorithms: Collection[str]) -> None:
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
    header, signature = jws.header, jws.signature
    alg = header.alg
    if type(algorithms) is not frozenset and isinstance(algorithms, str):  # "in" would look for a piece of text
        raise ConfigurationError("algorithms must be a set or list of names, not one string.", field="algorithms")
    if alg not in algorithms:
        message = f"The token is signed with {alg}, which is not among the algorithms that are allowed for its issuer."
        raise AlgorithmNotAllowed(message, reason="alg_not_allowed")
    key = keys.select(header.kid, alg)
    if len(signature) != key.signature_bytes:
        raise BadSignature("The signature does not have its key's length; get a new token.", reason="signature_length")
    ALGORITHMS[alg].verify(key.public_key, signature, jws.signing_input)


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
    signing_input = f"{encode_base64url(dumps_object(header, field='extra_header'))}.{encode_base64url(payload)}"
    signature = ALGORITHMS[key.alg].sign(key.private_key, signing_input.encode("ascii"))
    return f"{signing_input}.{encode_base64url(signature)}"
