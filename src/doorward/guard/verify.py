"""How each kind of credential is verified: signed token, API key, opaque token. ``decide`` chooses by shape.

What comes out is not revoked, and says for how long and on what it stands. Throttling, scopes, the caches and the audit
are ``decide``'s.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from doorward.errors import AlgorithmNotAllowed, Malformed, ProviderUnavailable, UnknownKey, printable
from doorward.guard.credentials import signed_part
from doorward.guard.issuers.routes import find_ring
from doorward.guard.issuers.tenants import check_key_is_of_tenant
from doorward.guard.revocation.revocations import fingerprint
from doorward.guard.verdicts import Accepted
from doorward.protocol.claims import parse_jwt, verify_jwt

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.guard.configuration import Configuration
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.issuers.key_rings import KeyRing
    from doorward.guard.revocation.revocation_list import Marks
    from doorward.guard.work import Work
    from doorward.model import Principal
    from doorward.protocol.claims import UnverifiedJwt
    from doorward.protocol.jwk import JwkSet

_RETRY_AFTER_S = 5.0
_log = logging.getLogger("doorward.guard")

__all__ = ["confirm", "newer_keys", "refuse_revoked", "verify_other", "verify_signed"]


def verify_signed(config: Configuration, token: str, now: float) -> Accepted | Work[Accepted]:
    """Check a JWT by its signature and claims.

    Returns:
        The answer; or, where something has to be waited for, the work that gets it, which raises the same errors.

    Raises:
        InvalidCredential: it is not good; the class says why.
        UnavailableError: nobody can say now.
    """
    jwt = parse_jwt(token, max_bytes=config.max_token_bytes)
    named = jwt.claims.get("iss")
    ring = (config.rings.get(named) if type(named) is str else None) or find_ring(config.rings, jwt.claims)
    revocations = config.revocations
    if ring.fresh_since <= now < ring.fresh_until and revocations.fresh_since <= now < revocations.fresh_until:
        try:
            accepted = _accept_signed(config, jwt, ring, ring.keys, now)
        except UnknownKey as error:
            if error.reason != "unknown_kid":
                raise
        else:
            return accepted if refuse_revoked(config, accepted) else _ask_whether_revoked(config, accepted, now)
    return _wait_and_accept_signed(config, jwt, ring, now)


def _wait_and_accept_signed(config: Configuration, jwt: UnverifiedJwt, ring: KeyRing, now: float) -> Work[Accepted]:
    keys = ring.keys if ring.fresh_since <= now < ring.fresh_until else (yield from ring.current(now))
    if not config.revocations.fresh_since <= now < config.revocations.fresh_until:
        yield from config.revocations.current(now)
    try:
        accepted = _accept_signed(config, jwt, ring, keys, now)
    except UnknownKey as error:
        keys = yield from newer_keys(ring, keys, jwt.header.kid, error, now)
        accepted = _accept_signed(config, jwt, ring, keys, now)
    return accepted if refuse_revoked(config, accepted) else (yield from _ask_whether_revoked(config, accepted, now))


def _accept_signed(config: Configuration, jwt: UnverifiedJwt, ring: KeyRing, keys: JwkSet, now: float) -> Accepted:
    issuer, rules = ring.issuer, ring.claim_rules
    try:
        signed = verify_jwt(jwt, keys, algorithms=issuer.algorithms)
    except AlgorithmNotAllowed:
        _tell_of_algorithm(config, issuer, jwt.header.alg)
        raise
    facts = rules.validate(signed, now)
    if rules.template is not None:
        check_key_is_of_tenant(keys, signed.header.kid, signed.claims)
    principal = config.policy.principal(
        issuer, facts.issuer, facts.subject, facts.audience, facts.expires_at, signed.claims, "jwt"
    )
    until, age_s = facts.expires_at, issuer.max_token_age_s
    if age_s is not None and facts.issued_at is not None:
        until = min(until, facts.issued_at + age_s)
    return Accepted(principal, until, ring, keys, facts.jti, facts.issued_at, signed.header.kid, jwt.jws.signing_input)


def _tell_of_algorithm(config: Configuration, issuer: Issuer, alg: str) -> None:
    """Log it once: whoever changes an issuer's keys to another algorithm finds all of its tokens refused."""
    if (issuer.url, alg) not in config.algorithms_told:
        config.algorithms_told.add((issuer.url, alg))
        allowed = ", ".join(sorted(issuer.algorithms))
        words = (
            "A token that calls itself one of %s is signed with %s. Its setting algorithms has %s: add it if need be."
        )
        _log.warning(words, printable(issuer.url), alg, allowed)


def newer_keys(ring: KeyRing, seen: JwkSet, kid: str | None, error: UnknownKey, now: float) -> Work[JwkSet]:
    """Return newer keys of an issuer for a token whose key is not in ``seen``.

    Args:
        ring: the issuer's.
        seen: what was not enough.
        kid: what it lacks.
        error: how it showed.
        now: epoch seconds.

    Raises:
        UnknownKey: ``error``, where the issuer has no newer keys, or they would not help.
        ProviderUnavailable: nobody knows whether it has: ``keys_not_current``, or as ``KeyRing.newer``.
    """
    if error.reason != "unknown_kid":
        raise error
    newer = yield from ring.newer(seen, kid, now)
    if newer is None and ring.failure:
        message = f"The token names a key that may be new, and its issuer can't be asked. {ring.failure}"
        raise ProviderUnavailable(message, reason="keys_not_current", retry_after_s=_RETRY_AFTER_S) from error
    if newer is None:
        raise error
    return newer


def verify_other(  # noqa: PLR0913 - one step of the walk, with what each of its branches needs
    config: Configuration,
    credential: str,
    now: float,
    *,
    client_ip: str | None = None,
    scopes: Collection[str] = (),
    is_use: bool = True,
) -> Work[Accepted]:
    """Check an API key, or an opaque token. Errors are those of ``verify_signed``.

    Args:
        config: the configuration in force.
        credential: as it was received.
        now: epoch seconds.
        client_ip: where it came from.
        scopes: what is asked of it: some need an answer of the issuer's that is new.
        is_use: whether to note a key's use.
    """
    version_of_api_keys = config.version_of_api_keys
    accepted = None
    if config.api_keys is not None and (yield from config.api_keys.is_ours(credential, now=now)):
        key = yield from config.api_keys.check(credential, now=now, is_use=is_use)
        until = inf if key.expires_at is None else key.expires_at
        accepted = Accepted(config.policy.api_key_principal(key), until, kid=key.key_id)
    if accepted is None:
        accepted = yield from _check_opaque(config, credential, now, client_ip, scopes)
    accepted.version_of_api_keys = version_of_api_keys
    accepted.signed = fingerprint(signed_part(credential))
    if not config.revocations.fresh_since <= now < config.revocations.fresh_until:
        yield from config.revocations.current(now)
    return accepted if refuse_revoked(config, accepted) else (yield from _ask_whether_revoked(config, accepted, now))


def _check_opaque(
    config: Configuration, token: str, now: float, client_ip: str | None, scopes: Collection[str]
) -> Work[Accepted]:
    introspection = config.introspection
    if introspection is None:
        message = "The credential is neither a signed token nor an API key of this service: send one of those."
        raise Malformed(message, reason="unknown_shape")
    said = yield from introspection.ask(
        token, now=now, privileged=introspection.wanted_for(scopes), network=config.throttle.network(client_ip)
    )
    issuer = introspection.as_issuer
    principal = config.policy.principal(
        issuer, issuer.url, said.subject, said.audience, said.expires_at, said.claims, "opaque"
    )
    return Accepted(principal, said.good_until, jti=said.jti, issued_at=said.issued_at)


def confirm(
    introspection: Introspection, token: str, principal: Principal, *, now: float, network: bytes | None
) -> Work[None]:
    """Ask the issuer itself whether a signed token is still good, for what is too precious for a list of ours.

    Raises:
        Inactive: it is not.
        UnknownIssuer: it is of an issuer that nobody asks here.
        UnavailableError: the issuer does not answer.
    """
    yield from introspection.ask(token, now=now, issuer=principal.issuer, privileged=True, network=network)


def refuse_revoked(config: Configuration, accepted: Accepted) -> bool:
    """Look a decision up in what is known to be revoked, and note which state of it that was.

    Returns:
        Whether it stands. False: too little is known here; only the store of revocations can say.

    Raises:
        Revoked: it is not good any more.
    """
    revocations = config.revocations
    version = revocations.version
    if version and accepted.version_of_revocations != version:
        looked_at = accepted.version_of_revocations
        for marks in _marks(accepted):
            if not revocations.check(looked_at=looked_at, **marks):
                return False
    accepted.version_of_revocations = version
    return True


def _ask_whether_revoked(config: Configuration, accepted: Accepted, now: float) -> Work[Accepted]:
    version = config.revocations.version
    good = True
    for marks in _marks(accepted):
        good = (yield from config.revocations.ask(now, **marks)) and good
    if good:
        accepted.version_of_revocations = version
    return accepted


def _marks(accepted: Accepted) -> list[Marks]:
    """What a revocation may know it by. One of a template's many tenants is also known by the template's own name."""
    principal, ring = accepted.principal, accepted.ring
    marks: Marks = {
        "issuer": principal.issuer,
        "subject": principal.subject,
        "jti": accepted.jti,
        "issued_at": accepted.issued_at,
        "kid": accepted.kid,
        "fingerprint": accepted.signed if ring is None else fingerprint(accepted.signed),
    }
    if ring is None or ring.claim_rules.template is None:
        return [marks]
    return [marks, {**marks, "issuer": ring.issuer.url}]
