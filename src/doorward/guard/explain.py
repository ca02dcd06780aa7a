"""Why a credential is accepted or refused, step by step, in words for whoever has to mend it. Nothing is decided here.

Each step runs what the guard runs, in its order, and ends where the guard would. Of what stands in a token, the
registered claims are shown, where they help; never the token or key itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doorward.errors import (
    AlgorithmNotAllowed,
    DoorwardError,
    InvalidCredential,
    UnknownIssuer,
    UnknownKey,
    printable,
)
from doorward.guard.credentials import looks_signed
from doorward.guard.issuers.claim_paths import ABSENT, ClaimPath
from doorward.guard.issuers.claim_rules import CLAIMS
from doorward.guard.issuers.open_issuers import warning_for
from doorward.guard.issuers.routes import find_ring
from doorward.guard.issuers.tenants import TENANT
from doorward.guard.policy.rights import left_out
from doorward.guard.verdicts import Accepted
from doorward.guard.verify import newer_keys, verify_other, verify_signed
from doorward.protocol.bearer import parse_authorization_header
from doorward.protocol.claims import parse_jwt, verify_jwt
from doorward.vault.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.guard.configuration import Configuration
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.policy.policy import Policy
    from doorward.guard.work import Work
    from doorward.protocol.jwk import JwkSet
    from doorward.protocol.jws import JoseHeader

__all__ = ["Explanation", "Step", "explain", "explain_alone"]

_MINUTES_SHOWN = 10
_LOOKED_AT = frozenset(claim.name for claim in CLAIMS)
_NAMES = ("sub", "aud", "azp", "client_id", "scope")
_TIMES = {"iat": "issued", "nbf": "not before", "exp": "expires"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at, and what was found. A ``note`` is neither good nor bad."""

    name: str
    outcome: Literal["ok", "refused", "unavailable", "note"]
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict, None where nobody can say, its code and reason as the audit has them, and how it came about."""

    accepted: bool | None
    code: str
    reason: str
    steps: tuple[Step, ...]


class _Steps:
    """The steps so far, and what is being looked at now."""

    def __init__(self) -> None:
        self._taken: list[Step] = []
        self._name = ""

    def look_at(self, name: str) -> None:
        self._name = name

    def note(self, text: str) -> None:
        self._taken.append(Step(self._name, "note", text))

    def ok(self, text: str) -> None:
        self._taken.append(Step(self._name, "ok", text))

    def end(self, error: DoorwardError | None, *, sure: bool = True) -> Explanation:
        if error is None:
            return Explanation(True if sure else None, "", "", tuple(self._taken))
        refused = isinstance(error, InvalidCredential)
        last = Step(self._name, "refused" if refused else "unavailable", error.message)
        return Explanation(False if refused else None, error.code, error.reason, (*self._taken, last))


def explain(config: Configuration, credential: str, *, now: float) -> Work[Explanation]:
    """Look at a credential as the guard does. Keys are fetched and stores asked where it would.

    Args:
        config: the configuration in force.
        credential: a token or API key, without ``Bearer``.
        now: epoch seconds.
    """
    steps = _Steps()
    try:
        if looks_signed(credential):
            yield from _signed(config, credential, now, steps)
        else:
            steps.look_at("shape")
            parse_authorization_header(f"Bearer {credential}")  # what no header can hold is sent to no issuer either
            steps.ok("Not a signed token, so it must be an API key of this service, or a token to ask an issuer about.")
            steps.look_at("lookup")
            _principal(steps, (yield from verify_other(config, credential, now, is_use=False)), config.policy)
    except DoorwardError as error:
        return steps.end(error)
    return steps.end(None)


def explain_alone(token: str, *, now: float) -> Explanation:
    """Say what a token says of itself, where there is no configuration to hold it against. Nothing is verified."""
    steps = _Steps()
    try:
        steps.look_at("shape")
        if not looks_signed(token):
            steps.note("Not a signed token: an API key, or an opaque token. Only the guard's settings can say more.")
            return steps.end(None, sure=False)
        jwt = parse_jwt(token)
        steps.ok(_header(jwt.header))
        steps.look_at("issuer")
        steps.note(f"It says that it is from {_shown(jwt.claims.get('iss', 'nobody'))}.")
        steps.look_at("claims")
        steps.note(_claims(jwt.claims, now))
        steps.look_at("signature")
        steps.note("Not verified: without a guard's settings nobody knows whose keys to trust.")
    except DoorwardError as error:
        return steps.end(error)
    return steps.end(None, sure=False)


def _signed(config: Configuration, token: str, now: float, steps: _Steps) -> Work[None]:
    steps.look_at("shape")
    jwt = parse_jwt(token, max_bytes=config.max_token_bytes)
    steps.ok(_header(jwt.header))
    steps.look_at("issuer")
    try:
        ring = find_ring(config.rings, jwt.claims)
    except UnknownIssuer as error:
        trusted = ", ".join(each.issuer.url for each in config.rings.values()) or "none"
        raise UnknownIssuer(f"{error.message} Compare to the letter. Trusted: {trusted}.") from None
    issuer = ring.issuer
    steps.ok(f"{issuer.url}, which is trusted for tokens of type {issuer.token_type}.")
    if (warning := warning_for(issuer)) is not None:
        steps.note(warning)
    steps.look_at("keys")
    keys = ring.keys if ring.fresh_since <= now < ring.fresh_until else (yield from ring.current(now))
    steps.ok(_keys(keys, issuer))
    steps.look_at("signature")
    try:
        signed = verify_jwt(jwt, keys, algorithms=issuer.algorithms)
    except AlgorithmNotAllowed as error:
        remedy = f"Allowed: {', '.join(sorted(issuer.algorithms))} (the issuer's setting algorithms)."
        raise AlgorithmNotAllowed(f"{error.message} {remedy}", reason=error.reason) from None
    except UnknownKey as error:
        newer = yield from newer_keys(ring, keys, jwt.header.kid, error, now)
        steps.note("The key is not among them, so they were fetched again.")
        signed = verify_jwt(jwt, newer, algorithms=issuer.algorithms)
    steps.ok("Made with that issuer's key.")
    steps.look_at("claims")
    steps.note(_claims(signed.claims, now))
    steps.note(f"This service is {', '.join(sorted(issuer.audiences))} to that issuer.")
    for each in issuer.required_claims:
        found = each.path.find(signed.claims)
        said = "nothing" if found is ABSENT else _shown(found)
        steps.note(f"Of {printable(each.name)}, which is required, it says {said}.")
    ignored = sorted(signed.claims.keys() - _LOOKED_AT - _named_in(issuer))
    if ignored:
        steps.note(f"Nobody looks at: {printable(', '.join(ignored))}.")
    ring.claim_rules.validate(signed, now)
    steps.ok("Meant for this service, and good now.")
    steps.look_at("revocation")
    checked = verify_signed(config, token, now)
    accepted = checked if isinstance(checked, Accepted) else (yield from checked)
    steps.ok("Not revoked.")
    _principal(steps, accepted, config.policy)
    for words in left_out(issuer, signed.claims).values():
        steps.note(f"Beware: {words}")


def _named_in(issuer: Issuer) -> set[str]:
    """The claims that the settings make somebody look at."""
    named = (issuer.groups_claim, issuer.audience_claim, issuer.subject_claim, *(issuer.scope_claims or ()))
    paths = [ClaimPath(name) for name in named if name is not None] + [each.path for each in issuer.required_claims]
    return {name for path in paths for name in path.claims} | ({"tid"} if TENANT in issuer.url else set())


def _header(header: JoseHeader) -> str:
    kid = "no key named" if header.kid is None else f"key {printable(header.kid)}"
    typ = "no type" if header.typ is None else f"type {printable(header.typ)}"
    return f"A signed token, strictly read: {header.alg}, {kid}, {typ}."


def _keys(keys: JwkSet, issuer: Issuer) -> str:
    source = "given in the settings" if issuer.jwks is not None else "fetched from the issuer"
    named = ", ".join(f"{printable(key.kid or '(unnamed)')} ({key.kty})" for key in keys.keys) or "none"
    left_out = "".join(f" Left out: {printable(kid or '(unnamed)')}, {why}." for kid, why in keys.rejected.items())
    return f"{len(keys.keys)} usable, {source}: {named}. Allowed: {', '.join(sorted(issuer.algorithms))}.{left_out}"


def _claims(claims: Mapping[str, Any], now: float) -> str:
    said = [f"{name} {_shown(claims[name])}" for name in _NAMES if claims.get(name)]
    said += [f"{word} {_moment(claims[name], now)}" for name, word in _TIMES.items() if name in claims]
    return "It says: " + ("; ".join(said) or "nothing that counts") + "."


def _shown(value: object) -> str:
    return printable(value if isinstance(value, str) else repr(value))


def _moment(value: object, now: float) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return _shown(value)
    try:
        moment = format_instant(value).partition(".")[0] + "Z"
    except ValueError:
        return _shown(value)
    minutes = (value - now) / 60
    away = f"{value - now:+.0f} s" if abs(minutes) < _MINUTES_SHOWN else f"{minutes:+.0f} min"
    return f"{moment} ({away})"


def _principal(steps: _Steps, accepted: Accepted, policy: Policy) -> None:
    principal = accepted.principal
    steps.look_at("principal")
    said = [
        f"{printable(principal.subject)} at {printable(principal.issuer)}.",
        f"Scopes: {printable(' '.join(principal.scopes)) or 'none'}.",
        f"Groups: {printable(', '.join(principal.groups)) or 'none'}.",
    ]
    if principal.email is not None:
        trust = "counts" if principal.email_verified else "only to show: not verified, or its issuer not trusted for it"
        said.append(f"E-mail: {printable(principal.email)} ({trust}).")
    why = policy.why_no_admin(principal)
    said.append("An administrator." if principal.is_admin else f"No administrator{f': {why}' if why else ''}.")
    if principal.may_delegate:
        said.append("May act for others.")
    steps.ok(" ".join(said))
