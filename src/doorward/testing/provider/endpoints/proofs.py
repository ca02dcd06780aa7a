"""Proofs of a key, from the receiver's side: RFC 9449 sections 4.3, 5, 7, 8 and 9."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from doorward.errors import DoorwardError
from doorward.protocol.base64url import decode_base64url, encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import parse_jwk
from doorward.testing.provider.store import digest
from doorward.testing.provider.web import Refusal

if TYPE_CHECKING:
    from doorward.testing.provider.core import Core, EndpointName
    from doorward.testing.provider.web import Request

__all__ = ["PROOF_ALGORITHMS", "check_proof", "next_nonce"]

PROOF_ALGORITHMS = ("ES256", "EdDSA", "PS256")
_WINDOW_S = 60
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


def check_proof(
    core: Core, request: Request, endpoint: EndpointName, *, token: str | None = None, status: int = 400
) -> str | None:
    """Return the thumbprint of the key that a request proves to have; None if it has no proof.

    Args:
        core: The issuer.
        request: The request.
        endpoint: Where it came in.
        token: The access token that goes along.
        status: Of a refusal.

    Raises:
        Refusal: ``invalid_dpop_proof`` or ``use_dpop_nonce``.
    """
    proof = request.headers.get("dpop")
    if proof is None or core.rules.dpop == "not_offered":
        return None
    header, claims = _verified(proof, status)
    said = claims.get("htm"), claims.get("htu"), header.get("typ")
    if said != (request.method, core.endpoint(endpoint), "dpop+jwt"):
        raise _invalid("it is for another request", status)
    if claims.get("ath") != (None if token is None else _sha256(token)):
        raise _invalid("it is for another token", status)
    if core.rules.dpop_nonces:
        if claims.get("nonce") not in core.store.proof_nonces:
            raise Refusal("use_dpop_nonce", "a nonce is wanted", status=status, headers=_new_nonce(core))
    elif abs(core.clock.now() - claims.get("iat", 0)) > _WINDOW_S:
        raise _invalid("its iat is too far off", status)
    used = digest(f"proof {claims.get('jti')}")
    if core.store.assertions.get(used) is not None:
        raise _invalid("it was used before", status)
    core.store.assertions.put(used, core.clock.now())
    jwk = header["jwk"]
    return _sha256(json.dumps({name: jwk[name] for name in _MEMBERS[jwk["kty"]]}, separators=(",", ":")))


def next_nonce(core: Core, request: Request) -> dict[str, str]:
    """Return the header that gives the nonce for the next proof, to whoever has just sent one."""
    if "dpop" not in request.headers or not core.rules.dpop_nonces:
        return {}
    return _new_nonce(core)


def _new_nonce(core: Core) -> dict[str, str]:
    nonce = core.random()
    core.store.proof_nonces.append(nonce)
    headers: dict[str, str] = core.bend("proof_nonce", {"DPoP-Nonce": nonce})
    return headers


def _verified(proof: str, status: int) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        encoded, payload, signature = proof.split(".")
        header = json.loads(decode_base64url(encoded, what="header"))
        claims = json.loads(decode_base64url(payload, what="payload"))
        key = parse_jwk(header["jwk"])
        if header["alg"] not in PROOF_ALGORITHMS or header["alg"] not in key.algorithms:
            raise _invalid("it is signed in a way that is not offered", status)
        signed = f"{encoded}.{payload}".encode()
        ALGORITHMS[header["alg"]].verify(key.public_key, decode_base64url(signature, what="signature"), signed)
    except (DoorwardError, ValueError, KeyError, TypeError):
        raise _invalid("it is none", status) from None
    return header, claims


def _invalid(why: str, status: int) -> Refusal:
    challenge = {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'} if status != 400 else {}  # noqa: PLR2004 - HTTP
    return Refusal("invalid_dpop_proof", f"the proof is refused: {why}", status=status, headers=challenge)


def _sha256(text: str) -> str:
    return encode_base64url(hashlib.sha256(text.encode()).digest())
