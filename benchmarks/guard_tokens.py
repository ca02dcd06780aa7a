"""What it costs to check a signed token: the guard beside the bare signature check and beside other libraries.

Cold: every token is a new one, and the guard remembers no more than the last. It parses the header and the token, finds
issuer and key, verifies, checks types and times, looks at throttle and revocations, makes a principal and remembers it.
Hot: one token again and again. The raw check is given the signature and what it covers, ready to verify. Every case is
first tried with bad tokens; what it lets pass stands beside it.

Peers are optional: pip install --constraint constraints.txt '.[bench]'
"""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.protocol.jws import parse_jws
from measuring import Case, Report, each, measure, options, same
from token_peers import ALGORITHMS, Corpus, Verify, lets_pass, peers_for

if TYPE_CHECKING:
    from collections.abc import Callable

_GUARD = "Doorward's guard"
_CLIENT = "192.0.2.7"
_COLD_GOALS = {"RS256": 1.6, "PS256": 1.65, "ES256": 1.25, "EdDSA": 0.7}  # EdDSA with PyNaCl


def main() -> None:
    chosen = options(__doc__)
    warnings.showwarning = lambda *_, **__: None  # Authlib's about its own future, which resets every filter
    report, corpus, missing = Report(), Corpus(), set[str]()
    for alg in ALGORITHMS:
        _show_cold(report, corpus, alg, missing, quick=chosen.quick)
    _show_hot(report, corpus, quick=chosen.quick)
    for name in sorted(missing):
        print(f"not installed: {name}")
    report.save(chosen.json)


def _guard(corpus: Corpus, *, cache_size: int) -> Guard:
    issuer = Issuer(corpus.issuer, [corpus.audience], jwks=corpus.jwks)
    return Guard([issuer], token_cache_size=cache_size)


def _show_cold(report: Report, corpus: Corpus, alg: str, missing: set[str], *, quick: bool) -> None:
    tokens = corpus.tokens(alg, 40 if quick else 600)
    guard = _guard(corpus, cache_size=1)

    def check(authorization: str) -> object:
        return guard.authenticate(authorization, client_ip=_CLIENT)

    signed = [(jws.signature, jws.signing_input) for jws in map(parse_jws, tokens)]
    cases = [
        Case("raw signature check", each(_raw(corpus.public_key(alg), alg), signed), most=len(tokens)),
        Case(
            _GUARD,
            each(check, [f"Bearer {token}" for token in tokens]),
            _passed(lambda token: check(f"Bearer {token}"), corpus, alg),
            len(tokens),
        ),
    ]
    for name, verify in peers_for(corpus, alg, missing):
        cases.append(Case(name, each(verify, tokens), _passed(verify, corpus, alg), len(tokens)))
    rows = {row.name: row for row in measure(cases, quick=quick)}
    report.table(f"Cold, {alg}", list(rows.values()), reference="to raw")
    if alg in _COLD_GOALS:
        report.goal(f"cold {alg}, times raw", rows[_GUARD].ratio, most=_COLD_GOALS[alg])
    python = [row.ratio for name, row in rows.items() if name not in {cases[0].name, _GUARD} and "Rust" not in name]
    rust = [row.ratio for name, row in rows.items() if "Rust" in name]
    if alg == "RS256" and rust:
        report.goal("cold RS256, to oxyjwt with expiry required", rows[_GUARD].ratio / rust[0], most=1)
    if python:
        report.goal(f"cold {alg}, to the fastest Python peer", rows[_GUARD].ratio / min(python), most=1)


def _passed(verify: Verify, corpus: Corpus, alg: str) -> str:
    passed = lets_pass(verify, corpus, alg)
    return f"lets pass: {passed}" if passed else ""


def _raw(key: Any, alg: str) -> Callable[[tuple[bytes, bytes]], None]:
    sha256, verify, prehashed = hashlib.sha256, key.verify, Prehashed(hashes.SHA256())
    if alg == "EdDSA":
        return lambda signed: verify(*signed)
    if alg == "ES256":
        scheme, number = ec.ECDSA(prehashed), int.from_bytes

        def verify_ecdsa(signed: tuple[bytes, bytes]) -> None:
            signature, text = signed
            numbers = encode_dss_signature(number(signature[:32], "big"), number(signature[32:], "big"))
            verify(numbers, sha256(text).digest(), scheme)

        return verify_ecdsa
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    filling = pss if alg == "PS256" else padding.PKCS1v15()
    return lambda signed: verify(signed[0], sha256(signed[1]).digest(), filling, prehashed)


def _show_hot(report: Report, corpus: Corpus, *, quick: bool) -> None:
    guard, token = _guard(corpus, cache_size=1000), corpus.token("RS256")
    authorization = f"Bearer {token}"
    guard.authenticate(authorization)
    remembered = {hashlib.sha256(token.encode()).digest(): guard.known(authorization)}

    def look_up() -> object:
        return remembered[hashlib.sha256(token.encode()).digest()]

    def authenticate() -> object:
        return guard.authenticate(authorization, client_ip=_CLIENT)

    def known() -> object:
        return guard.known(authorization, client_ip=_CLIENT)

    cases = [
        Case("a dictionary of SHA-256 digests", same(look_up), "no expiry, no revocation"),
        Case("Guard.known", same(known)),
        Case("Guard.authenticate", same(authenticate)),
    ]
    peers = dict(peers_for(corpus, "RS256", set()))
    pyjwt = "PyJWT, one key"
    if pyjwt in peers:
        cases.append(Case(f"{pyjwt}, which remembers nothing", same(peers[pyjwt], token)))
    rows = measure(cases, quick=quick)
    report.table("Hot, RS256: the same token again", rows, reference="to dictionary")
    report.goal("hot, µs", rows[2].us, most=1.8)
    if pyjwt in peers:
        report.goal("hot, times as fast as PyJWT", rows[3].ratio / rows[2].ratio, least=40)


if __name__ == "__main__":
    main()
