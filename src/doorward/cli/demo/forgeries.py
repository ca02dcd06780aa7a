"""The demo's six forged tokens, each of a kind that has let people in somewhere, with the error it must meet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import AlgorithmNotAllowed, BadSignature, Expired, WrongAudience
from doorward.model import Secret
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from doorward.errors import InvalidCredential

__all__ = ["Forgery", "forge"]


@dataclass(frozen=True, slots=True)
class Forgery:
    """A token that must be refused: what it is, the trick in a few words, and the error that names it."""

    name: str
    trick: str
    token: Secret
    refused_as: type[InvalidCredential]


def forge(issuer: DevIssuer, *, subject: str, audience: str, good: str) -> list[Forgery]:
    """Make the six, from an issuer that lies when told to, and from a ``good`` token."""

    def lie(name: str) -> Secret:
        with issuer.misbehave(f"access_token_{name}"):
            return Secret(issuer.issue_access_token(subject, audience=audience))

    with DevIssuer() as stranger:
        strange = Secret(stranger.issue_access_token(subject, audience=audience, iss=issuer.url))
    return [
        Forgery("alg none", "nobody signed it", lie("alg_none"), AlgorithmNotAllowed),
        Forgery("HS256", "the public key as a secret", lie("alg_hs256_public_key"), AlgorithmNotAllowed),
        Forgery("a stranger's key", "another issuer, our name", strange, BadSignature),
        Forgery("expired", "an hour too late", lie("expired"), Expired),
        Forgery("wrong audience", "meant for another API", lie("wrong_audience"), WrongAudience),
        Forgery("tampered payload", f"{subject} turned into admin", _tampered(good), BadSignature),
    ]


def _tampered(token: str) -> Secret:
    """Change who a good token is about, and leave its signature as it is."""
    header, payload, signature = token.split(".")
    claims = json.loads(decode_base64url(payload, what="The payload"))
    changed = encode_base64url(json.dumps({**claims, "sub": "admin"}).encode())
    return Secret(f"{header}.{changed}.{signature}")
