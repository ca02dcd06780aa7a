"""What a hostile token is, and what it is made from: a valid token taken apart, and signatures over anything."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import ConfigurationError, InvalidCredential
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.claims import parse_jwt
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.protocol.jwk import SigningKey

__all__ = ["Content", "HostileToken", "Sample", "hmac_sign", "join", "sign", "take_apart", "write"]

Content: TypeAlias = "Mapping[str, Any] | bytes"
"""A header or payload: members to write as JSON, or the bytes themselves."""


@dataclass(frozen=True, slots=True)
class HostileToken:
    """One token that every guard must refuse.

    Attributes:
        name: a stable slug, for the names of tests.
        token: what to send; it does not show itself.
        why: what is wrong with it, or who has fallen for it.
        refused_as: the ``code`` of Doorward's error; any one of these is right.
    """

    name: str
    token: str = field(repr=False)
    why: str
    refused_as: frozenset[str]

    @property
    def sendable(self) -> bool:
        """Whether an HTTP header can hold these characters: clients refuse to send the others."""
        return self.token.isascii() and self.token.isprintable() and self.token == self.token.strip()


@dataclass(frozen=True, slots=True)
class Sample:
    """A valid token, taken apart. ``parts`` are its three texts."""

    token: str = field(repr=False)
    parts: tuple[str, str, str] = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def alg(self) -> str:
        """The algorithm it was signed with."""
        return str(self.header["alg"])


def take_apart(token: str) -> Sample:
    """Take a valid token apart.

    Raises:
        ConfigurationError: it is not a signed JWT, so no variant of it would show anything.
    """
    try:
        jwt = parse_jwt(token)
    except InvalidCredential as error:
        raise ConfigurationError(
            f"Hostile variants are made from a valid signed token, and this is none: {error.message}",
            field="token",
            reason=error.reason,
        ) from None
    header, payload, signature = token.split(".")
    what = "The token's header"
    members = loads_object(decode_base64url(header, what=what), what=what)
    return Sample(token, (header, payload, signature), members, jwt.claims, jwt.jws.payload, jwt.jws.signature)


def write(content: Content) -> str:
    """Encode a header or payload. JSON here holds whatever Python's writes, NaN too."""
    return encode_base64url(content if isinstance(content, bytes) else json.dumps(content).encode())


def join(header: Content, payload: Content, signature: bytes) -> str:
    """Write a token with a signature of one's choosing."""
    return f"{write(header)}.{write(payload)}.{encode_base64url(signature)}"


def sign(header: Content, payload: Content, key: SigningKey, *, alg: str = "") -> str:
    """Sign anything, without the questions that the product's own signer asks; ``alg`` for another than the key's."""
    signing_input = f"{write(header)}.{write(payload)}"
    signature = ALGORITHMS[alg or key.alg].sign(key.private_key, signing_input.encode())
    return f"{signing_input}.{encode_base64url(signature)}"


def hmac_sign(header: Content, payload: Content, secret: bytes, *, digest: str = "sha256") -> str:
    """Sign with a shared secret."""
    signing_input = f"{write(header)}.{write(payload)}"
    return f"{signing_input}.{encode_base64url(hmac.digest(secret, signing_input.encode(), getattr(hashlib, digest)))}"
