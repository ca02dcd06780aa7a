"""The guard: one ``Authorization`` value in, a ``Principal`` out, or the error that says why not.

What was decided lately and still holds is answered at once, by ``known``. Everything else runs through ``_decide``, one
``Work`` for threads and tasks: throttle, check, scopes, and a record of the outcome. Failures that may be guesses count
against the address they came from; outages never do, and never let anybody in.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from doorward.errors import (
    AlgorithmNotAllowed,
    BadSignature,
    ConfigurationError,
    DoorwardError,
    Expired,
    Forbidden,
    Malformed,
    MissingClaim,
    Revoked,
    StoreError,
    UnknownApiKey,
    UnknownIssuer,
    UnknownKey,
    WrongAudience,
    WrongType,
    printable,
)
from doorward.guard.api_keys.format import key_id_of
from doorward.guard.configuration import assemble
from doorward.guard.credentials import read_credential, signed_part
from doorward.guard.decide import check_other, check_signed, confirm, refuse_revoked
from doorward.guard.decisions import Accepted, Rejected, digester
from doorward.guard.record import Request, accepted_decision, refused_decision
from doorward.guard.revocation.revocations import fingerprint
from doorward.guard.work import afinish, finish
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from doorward.guard.addresses import Networks
    from doorward.guard.api_keys.api_keys import ApiKeys
    from doorward.guard.configuration import Parts
    from doorward.guard.explain import Explanation
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.options import GuardOptions
    from doorward.guard.policy.grants import Grants
    from doorward.guard.revocation.revocations import Revocations
    from doorward.guard.settings.settings import GuardSettings
    from doorward.guard.work import Work
    from doorward.model import Principal
    from doorward.ports import Clock

__all__ = ["Guard"]

_log = logging.getLogger("doorward.guard")

# What may be a guess. Someone whose token has expired, or is meant for another service, did not guess it.
_GUESSES = (Malformed, BadSignature, UnknownKey, UnknownIssuer, AlgorithmNotAllowed, UnknownApiKey)
# What the same signed token meets again and again: no fetch, store or clock turns it into something else. A bad
# signature is none of these: some issuers give a new key the name of the old one. What an issuer or a store said of
# another credential may be different next time.
_FINAL = (Malformed, UnknownIssuer, AlgorithmNotAllowed, WrongType, WrongAudience, MissingClaim, Expired)
_REJECTED_TTL_S = 60.0


class Guard:
    """Decides who is calling. One for a service; threads and tasks share it.

    Args:
        issuers: whose tokens are accepted.
        api_keys: the service's own keys.
        clock: for tests.
        options: see ``GuardOptions``.

    Nothing is opened, fetched or started before the first credential, or ``warm_up``.

    Raises:
        ConfigurationError: a setting is wrong; ``field`` names it.
    """

    def __init__(
        self,
        issuers: Iterable[Issuer] = (),
        api_keys: ApiKeys | None = None,
        *,
        clock: Clock | None = None,
        **options: Unpack[GuardOptions],
    ) -> None:
        self._clock = clock or SystemClock()
        self._now = self._clock.now
        self._digest = digester()
        self._read: Callable[[], GuardSettings] | None = None
        self._settings: tuple[GuardSettings, Mapping[str, Any]] | None = None
        self._reloading = threading.Lock()
        self._parts = assemble(issuers, api_keys, options, clock=self._clock)

    @classmethod
    def from_env(
        cls, prefix: str = "DOORWARD", environment: Mapping[str, str] | None = None, *, clock: Clock | None = None
    ) -> Self:
        """Make a guard from environment variables, such as ``DOORWARD_OIDC_CONFIG``; docs/guard-settings.md lists them.

        Raises:
            ConfigurationError: one of them is wrong; ``field`` names it.
        """
        from doorward.guard.settings.settings import read_environment  # noqa: PLC0415 - only needed here

        return cls._from(lambda: read_environment(prefix, environment), clock)

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, clock: Clock | None = None) -> Self:
        """Make a guard from a TOML file; docs/guard-settings.md says what it may hold.

        Raises:
            ConfigurationError: the file is wrong; ``field`` names the place.
        """
        from doorward.guard.settings.settings import read_file  # noqa: PLC0415 - only needed here

        return cls._from(lambda: read_file(path), clock)

    @classmethod
    def _from(cls, read: Callable[[], GuardSettings], clock: Clock | None) -> Self:
        settings = read()
        arguments = settings.arguments()
        guard = cls(**arguments, clock=clock)
        guard._read, guard._settings = read, (settings, arguments)
        return guard

    def reload(self) -> None:
        """Read the settings again. Requests under way end by the old ones; what did not change stays as it is.

        What is not used any more is closed, which may take some seconds where a disk stalls: from asyncio, call it in a
        thread. An old audit log that can't be written any more is told of in Python's log.

        Raises:
            ConfigurationError: they are wrong, and the old ones stay in force; or this guard was made by code.
        """
        if self._read is None:
            message = "This guard was made by code: there are no settings to read again. Use from_file or from_env."
            raise ConfigurationError(message, field="guard", reason="nothing_to_reload")
        with self._reloading:  # one at a time, so that the last to read is the last to count
            settings = self._read()
            arguments = dict(settings.arguments(previous=self._settings))
            options = dict(arguments)
            issuers, api_keys = options.pop("issuers", ()), options.pop("api_keys", None)
            before = self._parts
            self._parts = assemble(issuers, api_keys, cast("GuardOptions", options), clock=self._clock, previous=before)
            self._settings = (settings, arguments)
            try:
                before.close(but=self._parts)
            except StoreError as error:  # the new settings are in force all the same
                _log.warning("%s", error.message)

    def authenticate(
        self,
        authorization: str | None,
        *,
        client_ip: str | None = None,
        scopes: Sequence[str] = (),
        resource: str | None = None,
    ) -> Principal:
        """Return who is calling.

        Args:
            authorization: the value of the request's one ``Authorization`` header; None if there is none.
            client_ip: the address the request came from, once proxies were accounted for (``addresses``).
            scopes: all of these are needed.
            resource: what is asked for, such as ``GET /orders``: for the audit alone.

        Raises:
            InvalidCredential: no credential, or not a good one (401).
            Forbidden: a good one that lacks scopes (403).
            Throttled: too many failed attempts from this address (429).
            UnavailableError: nobody can say now (503).
        """
        request = Request(authorization, client_ip, scopes and _names(scopes), resource, self._digest(authorization))
        known = self._recall(request)
        return finish(self._decide(request)) if known is None else known

    async def aauthenticate(
        self,
        authorization: str | None,
        *,
        client_ip: str | None = None,
        scopes: Sequence[str] = (),
        resource: str | None = None,
    ) -> Principal:
        """Return who is calling: ``authenticate`` for asyncio, which waits without holding up its loop."""
        request = Request(authorization, client_ip, scopes and _names(scopes), resource, self._digest(authorization))
        known = self._recall(request)
        return await afinish(self._decide(request)) if known is None else known

    def known(
        self,
        authorization: str | None,
        *,
        client_ip: str | None = None,
        scopes: Sequence[str] = (),
        resource: str | None = None,
    ) -> Principal | None:
        """Return who is calling if that was decided lately and still holds, or None: then ask ``authenticate``.

        It never waits. A throttled address is no hindrance here: who brings a good credential guesses nothing.

        Raises:
            StoreError: the audit can't record the decision.
        """
        return self._recall(
            Request(authorization, client_ip, scopes and _names(scopes), resource, self._digest(authorization))
        )

    def _recall(self, request: Request) -> Principal | None:
        parts = self._parts
        accepted = parts.accepted.get(request.digest)
        if accepted is None:
            return None
        now = self._now()
        ring, revocations, principal = accepted.ring, parts.revocations, accepted.principal
        stands = (
            accepted.version_of_api_keys == parts.version_of_api_keys
            if ring is None
            else accepted.keys is ring.keys and now < ring.fresh_until
        )
        if not (
            stands
            and accepted.since <= now < accepted.until
            and revocations.fresh_since <= now < revocations.fresh_until
        ):
            return None
        if accepted.version_of_revocations != revocations.version:
            try:
                if not refuse_revoked(parts, accepted):
                    return None
            except Revoked:
                return None
        if request.scopes and (_missing(request, principal) or _wants_confirmation(parts, request, principal)):
            return None
        if accepted.kid is not None and ring is None and parts.api_keys is not None:
            parts.api_keys.touch(accepted.kid, now)
        if parts.audit is not None:
            parts.audit.record(accepted_decision(request, accepted, now=now))
        return principal

    def _decide(self, request: Request) -> Work[Principal]:
        parts, now = self._parts, self._now()
        credential, signed, prefix, accepted, rejected = "", False, None, None, None
        try:
            credential, signed = read_credential(request.authorization)
            prefix = key_id_of(credential)  # nothing else has a part that names it and is no secret
            parts.throttle.check(request.client_ip, prefix, now=now)
            rejected = parts.rejected.get(request.digest)
            if rejected is not None and rejected.since <= now < rejected.until:
                raise rejected.again()
            rejected = None
            checked = (check_signed if signed else check_other)(parts, credential, now)
            accepted = checked if isinstance(checked, Accepted) else (yield from checked)
            ttl_s = parts.api_key_ttl_s if accepted.principal.kind == "api_key" else parts.token_ttl_s
            accepted.since, accepted.until = now, min(accepted.until, now + ttl_s)
            parts.accepted.put(request.digest, accepted)
            if request.scopes:
                yield from _require_scopes(parts, request, credential, accepted.principal, now)
        except DoorwardError as error:
            if accepted is None and isinstance(error, _GUESSES):
                parts.throttle.failed(request.client_ip, prefix, now=now)
            if signed and accepted is None and rejected is None and isinstance(error, _FINAL):
                until = now + _REJECTED_TTL_S
                parts.rejected.put(request.digest, Rejected(type(error), error.message, error.reason, now, until))
            if parts.audit is not None:
                parts.audit.record(refused_decision(request, error, credential, accepted, now=now))
            raise
        if parts.audit is not None:
            parts.audit.record(accepted_decision(request, accepted, now=now))
        return accepted.principal

    def explain(self, credential: str) -> Explanation:
        """Say step by step why a token or API key is accepted or refused. Nothing is throttled, cached or recorded.

        Args:
            credential: without ``Bearer``.
        """
        from doorward.guard.explain import explain  # noqa: PLC0415 - for people, now and then

        return finish(explain(self._parts, credential, now=self._now()))

    @property
    def revocations(self) -> Revocations:
        """What is no longer good: ``guard.revocations.revoke(…)`` counts from the next request on."""
        return self._parts.revocations

    @property
    def trusted_proxies(self) -> Networks:
        """Whose ``X-Forwarded-For`` is believed, for whoever finds out the client's address."""
        return self._parts.trusted_proxies

    @property
    def keeps_records(self) -> bool:
        """Whether every decision is recorded, so that it matters where a request came from and what it is for."""
        return self._parts.audit is not None

    @property
    def grants(self) -> Grants | None:
        """Who may read and mint what, where the settings say."""
        return self._parts.grants

    def invalidate(
        self,
        *,
        token: str | None = None,
        issuer: str | None = None,
        subject: str | None = None,
        jti: str | None = None,
    ) -> int:
        """Drop what is remembered about credentials, so that they are checked anew. It revokes nothing.

        Args:
            token: this one. It is enough by itself.
            issuer: those of this issuer, and, with ``subject`` or ``jti``, only those that fit these as well.
            subject: those of this subject.
            jti: the token of this ID.

        Returns:
            How many accepted credentials were dropped; with no argument, all of them.
        """
        parts = self._parts
        if token is not None and parts.introspection is not None:
            parts.introspection.forget(token)
        signed = None if token is None else signed_part(token)
        known = None if signed is None else (signed, fingerprint(signed))

        def fits(accepted: Accepted) -> bool:
            principal = accepted.principal
            return (
                (known is None or accepted.signed in known)
                and issuer in {None, principal.issuer}
                and subject in {None, principal.subject}
                and jti in {None, accepted.jti}
            )

        return parts.accepted.drop_where(fits)

    def warm_up(self) -> None:
        """Start to fetch the issuers' keys and to load what was revoked, and wait for neither: call it at the start.

        Raises:
            ConfigurationError, StoreError: the audit can't be written where it should be.
        """
        self._parts.rings.warm_up()
        self._parts.revocations.warm_up()
        check = getattr(self._parts.audit, "check", None)
        if check is not None:
            check()

    def close(self) -> None:
        """Write what is still to be written, and let threads and connections end. The guard can be used again."""
        self._parts.close()

    def __repr__(self) -> str:
        return f"Guard(issuers={[ring.issuer.url for ring in self._parts.rings.values()]!r})"


def _names(scopes: Sequence[str]) -> tuple[str, ...]:
    """Hold on to what may be an iterator: scopes are read more than once."""
    if isinstance(scopes, str):
        message = f"scopes must be a list: write [{printable(scopes)!r}]."
        raise ConfigurationError(message, field="scopes", reason="not_a_list")
    return tuple(scopes)


def _missing(request: Request, principal: Principal) -> tuple[str, ...]:
    held = principal.scopes
    return tuple(scope for scope in request.scopes if scope not in held)


def _require_scopes(parts: Parts, request: Request, credential: str, principal: Principal, now: float) -> Work[None]:
    missing = _missing(request, principal)
    if missing:
        message = "The credential lacks a scope that is needed here: ask for one that has it."
        raise Forbidden(message, missing_scopes=missing)
    if parts.introspection is not None and _wants_confirmation(parts, request, principal):
        yield from confirm(parts.introspection, credential, principal, now=now)


def _wants_confirmation(parts: Parts, request: Request, principal: Principal) -> bool:
    introspection = parts.introspection
    return introspection is not None and principal.kind == "jwt" and introspection.wanted_for(request.scopes)
