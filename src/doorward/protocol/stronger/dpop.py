"""DPoP (RFC 9449): proofs that whoever sends a request has the key that a token is bound to.

Time, ``jti`` and nonces come in; the key is made elsewhere. What a server says to a proof is read here too.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doorward.errors import Malformed
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jws import sign_jws
from doorward.protocol.reading.strict_json import dumps_object, loads_object

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.model import HttpResponse, Secret
    from doorward.protocol.jwk import SigningKey

__all__ = [
    "PROOF_ALGORITHMS",
    "build_proof",
    "choose_proof_algorithm",
    "demands_proof",
    "nonce_of",
    "proof_refusal",
    "thumbprint",
]

PROOF_ALGORITHMS = ("ES256", "EdDSA", "PS256", "ES384", "ES512", "RS256")
"""What we sign proofs with, the first that a server takes: small keys before large ones."""

_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")
_NOT_OF_THE_KEY = frozenset({"alg", "kid", "use"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REFUSED = frozenset({400, 401})
_ABOUT_PROOFS = frozenset({"invalid_dpop_proof", "use_dpop_nonce"})
_CHALLENGED = re.compile(r"""\bDPoP\b.*\berror="?(use_dpop_nonce|invalid_dpop_proof)\b""", re.IGNORECASE | re.DOTALL)


def choose_proof_algorithm(announced: Collection[str] | None) -> str | None:
    """Return what to sign with, given ``dpop_signing_alg_values_supported``; None if nothing of ours is announced."""
    return next((alg for alg in PROOF_ALGORITHMS if alg in (announced or ())), None)


def thumbprint(key: SigningKey) -> str:
    """Return what names a key (``dpop_jkt``, ``cnf.jkt``): the digest of its public members (RFC 7638 section 3)."""
    canonical = dumps_object(dict(sorted(_public(key).items())), field="jwk")
    return encode_base64url(hashlib.sha256(canonical).digest())


def build_proof(  # noqa: PLR0913 - all that a proof says, by keyword
    key: SigningKey,
    *,
    method: str,
    url: str,
    now: float,
    jti: str,
    nonce: str | None = None,
    access_token: Secret | None = None,
) -> str:
    """Sign that this key sends this request now.

    Args:
        key: The key, whose name stays with us.
        method: The request's method.
        url: Its URL. Query and fragment are left out of what is signed.
        now: Epoch seconds.
        jti: A fresh random value.
        nonce: The one that the server has given last.
        access_token: The token that goes along to a resource server, which the proof is bound to.

    Source: RFC 9449 section 4.2.
    """
    claims: dict[str, Any] = {"jti": jti, "htm": method, "htu": _without_query(url), "iat": int(now)}
    if access_token is not None:
        claims["ath"] = encode_base64url(hashlib.sha256(access_token.reveal().encode()).digest())
    if nonce is not None:
        claims["nonce"] = nonce
    return sign_jws(dumps_object(claims, field="proof"), key, typ="dpop+jwt", extra_header={"jwk": _public(key)})


def nonce_of(response: HttpResponse) -> str | None:
    """Return the nonce for the next proof; None if the server gives none, or one that no header could hold.

    Source: RFC 9449 sections 8 and 8.1.
    """
    nonce = response.headers.get("dpop-nonce", "")
    return nonce if _NONCE.fullmatch(nonce) else None


def proof_refusal(response: HttpResponse) -> str | None:
    """Return ``use_dpop_nonce`` or ``invalid_dpop_proof`` where that is why a server has refused; else None.

    Source: RFC 9449 sections 5, 7.1, 8 and 9.
    """
    if response.status not in _REFUSED:
        return None
    challenged = _CHALLENGED.search(response.headers.get("www-authenticate", ""))
    if challenged is not None:
        return challenged[1].lower()
    try:
        error = loads_object(response.body, what="The refusal").get("error")
    except Malformed:
        return None
    return error if isinstance(error, str) and error in _ABOUT_PROOFS else None


def demands_proof(error: str, description: str) -> bool:
    """Say whether a refusal of a request without a proof means that it needs one. Not all say so by a code."""
    return error in _ABOUT_PROOFS or "dpop" in description.lower()


def _public(key: SigningKey) -> dict[str, Any]:
    return {name: value for name, value in key.public_jwk().items() if name not in _NOT_OF_THE_KEY}


def _without_query(url: str) -> str:
    """Write a URL as its receiver will: scheme and host in lower case, no default port, a path (RFC 9449 4.3)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}"
