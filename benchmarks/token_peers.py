"""Other Python libraries that check signed tokens, each set up once and called as its documentation says.

All are told issuer, audience and algorithm, and to insist on ``exp``. What one lets pass all the same is found by
trying (``lets_pass``), not claimed. Nothing here measures or prints.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

__all__ = ["ALGORITHMS", "PEERS", "Corpus", "Verify", "lets_pass", "peers_for"]

Verify: TypeAlias = Callable[[str], object]

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


class Corpus:
    """One issuer with a key for each algorithm, and tokens of it as they are in the wild: 400 bytes of claims."""

    issuer = "https://login.example.com/tenant-7f3a/"
    audience = "https://api.example.com/orders"

    def __init__(self) -> None:
        self.keys = {alg: generate_signing_key(alg, kid=f"{alg.lower()}-2026-11-{uuid.uuid4()}") for alg in ALGORITHMS}
        self.jwks = {"keys": [key.public_jwk() for key in self.keys.values()]}

    def token(self, alg: str, **changes: object) -> str:
        """Sign a token. A claim that is changed to None is left out."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": f"auth0|{uuid.uuid4().hex[:24]}",
            "aud": [self.audience, f"{self.issuer}userinfo"],
            "exp": now + 7200,
            "iat": now - 5,
            "nbf": now - 5,
            "jti": str(uuid.uuid4()),
            "azp": "web-7Hc2kQ9",
            "scope": "openid profile orders:read orders:write",
            "roles": ["buyer", "reports"],
            "tid": "acme-eu",
            "email": "alice.nguyen@example.com",
        }
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return sign_claims(claims, self.keys[alg], typ="JWT")

    def tokens(self, alg: str, count: int) -> list[str]:
        return [self.token(alg) for _ in range(count)]

    def jwk(self, alg: str) -> dict[str, Any]:
        return self.keys[alg].public_jwk()

    def public_key(self, alg: str) -> Any:
        return self.keys[alg].private_key.public_key()

    def pem(self, alg: str) -> bytes:
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - for two peers alone

        return bytes(self.public_key(alg).public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))


def lets_pass(verify: Verify, corpus: Corpus, alg: str) -> str:
    """Name what is wrong with tokens that ``verify`` accepts; with none, return an empty text."""
    verify(corpus.token(alg))
    now = int(time.time())
    head, claims, signature = corpus.token(alg).split(".")
    wrong = {
        "changed signature": f"{head}.{claims}.{'BA'[signature[0] == 'B']}{signature[1:]}",
        "expired": corpus.token(alg, exp=now - 9999),
        "no exp": corpus.token(alg, exp=None),
        "nbf ahead": corpus.token(alg, nbf=now + 9999),
        "iat ahead": corpus.token(alg, iat=now + 9999),
        "other aud": corpus.token(alg, aud="other"),
        "no aud": corpus.token(alg, aud=None),
        "other iss": corpus.token(alg, iss="https://other.example.com/"),
        "no iss": corpus.token(alg, iss=None),
        "padding": f"{head}.{claims}.{signature}==",
    }
    passed = []
    for name, token in wrong.items():
        with suppress(Exception):
            verify(token)
            passed.append(name)
    return ", ".join(passed)


def _pyjwt(corpus: Corpus, alg: str) -> Verify:
    import jwt  # noqa: PLC0415 - peers are optional

    key = corpus.public_key(alg)
    rules: dict[str, Any] = {"algorithms": [alg], "audience": corpus.audience, "issuer": corpus.issuer}
    return lambda token: jwt.decode(token, key, options={"require": ["exp"]}, **rules)


def _pyjwt_client(corpus: Corpus, alg: str) -> Verify:
    import jwt  # noqa: PLC0415 - peers are optional

    class Client(jwt.PyJWKClient):
        def fetch_data(self) -> Any:  # as the original does, without the network
            self.jwk_set_cache.put(corpus.jwks)
            return corpus.jwks

    client = Client(f"{corpus.issuer}jwks", lifespan=36_000)
    rules: dict[str, Any] = {"algorithms": [alg], "audience": corpus.audience, "issuer": corpus.issuer}
    return lambda token: jwt.decode(
        token, client.get_signing_key_from_jwt(token), options={"require": ["exp"]}, **rules
    )


def _joserfc(corpus: Corpus, alg: str) -> Verify:
    from joserfc import jwk, jwt  # noqa: PLC0415 - peers are optional

    keys = jwk.KeySet.import_key_set(corpus.jwks)  # type: ignore[arg-type] # it asks for a TypedDict of its own
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": corpus.issuer},
        aud={"essential": True, "value": corpus.audience},
        exp={"essential": True},
    )

    def verify(token: str) -> object:
        decoded = jwt.decode(token, keys, algorithms=[alg])
        registry.validate(decoded.claims)
        return decoded

    return verify


def _authlib(corpus: Corpus, alg: str) -> Verify:
    from authlib.jose import JsonWebKey, JsonWebToken  # noqa: PLC0415 - peers are optional

    keys, token_type = JsonWebKey.import_key_set(corpus.jwks), JsonWebToken([alg])
    rules = {
        "iss": {"essential": True, "value": corpus.issuer},
        "aud": {"essential": True, "value": corpus.audience},
        "exp": {"essential": True},
    }

    def verify(token: str) -> object:
        claims = token_type.decode(token, keys, claims_options=rules)
        claims.validate()
        return claims

    return verify


def _python_jose(corpus: Corpus, alg: str) -> Verify:
    from jose import jwk, jwt  # noqa: PLC0415 - peers are optional

    if alg in {"PS256", "EdDSA"}:
        raise NotImplementedError
    key = jwk.construct(corpus.pem(alg).decode(), alg)
    required = {"require_exp": True, "require_aud": True, "require_iss": True}
    rules: dict[str, Any] = {"algorithms": [alg], "audience": corpus.audience, "issuer": corpus.issuer}
    return lambda token: jwt.decode(token, key, options=required, **rules)


def _oxyjwt(corpus: Corpus, alg: str) -> Verify:
    import oxyjwt  # noqa: PLC0415 - peers are optional

    kind = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[alg]
    key = getattr(oxyjwt.DecodingKey, f"from_{kind}_pem")(corpus.pem(alg))
    rules: dict[str, Any] = {"algorithms": [alg], "audience": corpus.audience, "issuer": corpus.issuer}
    return lambda token: oxyjwt.decode(token, key, options={"require": ["exp"]}, **rules)


PEERS: dict[str, Callable[[Corpus, str], Verify]] = {
    "PyJWT, one key": _pyjwt,
    "PyJWT, PyJWKClient": _pyjwt_client,
    "joserfc, key set": _joserfc,
    "Authlib, key set": _authlib,
    "python-jose, one key": _python_jose,
    "oxyjwt (Rust), one key": _oxyjwt,
}


def peers_for(corpus: Corpus, alg: str, missing: set[str]) -> Iterator[tuple[str, Verify]]:
    """Yield the peers that know ``alg``, and add those that are not installed to ``missing``."""
    for name, make in PEERS.items():
        try:
            yield name, make(corpus, alg)
        except ImportError:
            missing.add(name)
        except NotImplementedError:
            pass
