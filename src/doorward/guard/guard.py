"""The guard: one ``Authorization`` value in, a ``Principal`` out, or the error that says why not.

The face of this room. How one credential is decided on stands in ``decide``; what with, in ``configuration``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.guard.cache import digester
from doorward.guard.configuration import Options, configure
from doorward.guard.credentials import Request, signed_part
from doorward.guard.decide import decide, holds
from doorward.guard.record import accepted_decision, refused_decision
from doorward.guard.revocation.revocation_list import fingerprint
from doorward.guard.work import OwnLock, afinish, finish
from doorward.model import Principal
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from doorward.errors import Forbidden, InvalidCredential
    from doorward.guard.addresses import Networks
    from doorward.guard.api_keys.api_keys import ApiKeys
    from doorward.guard.configuration import Audit
    from doorward.guard.explain import Explanation
    from doorward.guard.introspection.introspection import Introspection
    from doorward.guard.issuers.issuer import Issuer
    from doorward.guard.policy.admins import Admin
    from doorward.guard.policy.grants import Grants
    from doorward.guard.revocation.revocations import Revocations
    from doorward.guard.settings.settings import GuardSettings
    from doorward.guard.throttle import Throttle
    from doorward.guard.verdicts import Accepted
    from doorward.guard.work import Work
    from doorward.ports import Clock

__all__ = ["Guard"]

_log = logging.getLogger("doorward.guard")


class Guard:
    """Decides who is calling. One for a service; threads and tasks share it.

    Nothing is opened, fetched or started before the first credential, or ``warm_up``.

    Args:
        issuers: Whose tokens are accepted.
        api_keys: The service's own keys.
        throttle: How failed attempts are limited; left out, ``Throttle()``.
        revocations: What is no longer good; left out, a list in memory (``guard.revocations``).
        introspection: Who is asked about opaque tokens.
        audit: Where every decision is recorded: an ``AuditLog``, or anything with its ``record``.
        admins: Who is an administrator: ``Admin`` values; with exactly one issuer, also its subjects and addresses.
        trusted_proxies: Networks whose ``X-Forwarded-For`` the middleware believes.
        grants: Who may read and mint what: kept for the service, which asks ``guard.grants``.
        token_cache_size: How many accepted credentials are remembered; 0 for none.
        token_cache_ttl_s: For how many seconds, and never past ``exp``.
        api_key_cache_ttl_s: For how many seconds an API key that was revoked elsewhere may still be accepted here.
        jwks_refresh_s: How old an issuer's keys may become while it answers, in seconds.
        jwks_max_stale_s: For how many seconds beyond that they are used while it does not answer.
        max_token_bytes: How long a signed token may be, up to 262,144; the web server must take such headers too.
        clock: For tests.

    Raises:
        ConfigurationError: A setting is wrong; ``field`` names it.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        issuers: Iterable[Issuer] = (),
        api_keys: ApiKeys | None = None,
        *,
        throttle: Throttle | None = None,
        revocations: Revocations | None = None,
        introspection: Introspection | None = None,
        audit: Audit | None = None,
        admins: Iterable[Admin | str] = (),
        trusted_proxies: Iterable[str] = (),
        grants: Grants | None = None,
        token_cache_size: int = 1000,
        token_cache_ttl_s: float = 300,
        api_key_cache_ttl_s: float = 60,
        jwks_refresh_s: float = 3600,
        jwks_max_stale_s: float = 3600,
        max_token_bytes: int = 16_384,
        clock: Clock | None = None,
    ) -> None:
        options = Options(
            issuers=issuers,
            api_keys=api_keys,
            throttle=throttle,
            revocations=revocations,
            introspection=introspection,
            audit=audit,
            admins=admins,
            trusted_proxies=trusted_proxies,
            grants=grants,
            token_cache_size=token_cache_size,
            token_cache_ttl_s=token_cache_ttl_s,
            api_key_cache_ttl_s=api_key_cache_ttl_s,
            jwks_refresh_s=jwks_refresh_s,
            jwks_max_stale_s=jwks_max_stale_s,
            max_token_bytes=max_token_bytes,
        )
        self._clock = clock or SystemClock()
        self._now = self._clock.now
        self._digest = digester()
        self._read: Callable[[], GuardSettings] | None = None
        self._settings: tuple[GuardSettings, Mapping[str, Any]] | None = None
        self._reloading = OwnLock()
        self._configuration = configure(options, clock=self._clock)

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
            arguments = settings.arguments(previous=self._settings)
            before = self._configuration
            self._configuration = configure(Options(**arguments), clock=self._clock, previous=before)
            self._settings = (settings, arguments)
            try:
                before.close(but=self._configuration)
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
        answer = self.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource)
        return answer if isinstance(answer, Principal) else finish(answer)

    async def aauthenticate(
        self,
        authorization: str | None,
        *,
        client_ip: str | None = None,
        scopes: Sequence[str] = (),
        resource: str | None = None,
    ) -> Principal:
        """Return who is calling: ``authenticate`` for asyncio, which waits without holding up its loop."""
        answer = self.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource)
        return answer if isinstance(answer, Principal) else await afinish(answer)

    def begin(
        self,
        authorization: str | None,
        *,
        client_ip: str | None = None,
        scopes: Sequence[str] = (),
        resource: str | None = None,
        recorded: bool = False,
    ) -> Principal | Work[Principal]:
        """Decide as far as it goes without waiting: for adapters, which wait in a way of their own.

        Returns:
            Who is calling; or, where something has to be waited for, the work that finds out (see ``work``). Work that
            is dropped lets nobody in. Arguments and errors are those of ``authenticate``; ``recorded``: this request
            was let in already, and is asked about again for more scopes, so that only a refusal is news to the audit.
        """
        config, now, digest = self._configuration, self._now(), self._digest(authorization)
        if scopes:
            scopes = _names(scopes)
        accepted = config.accepted.get(digest)
        if accepted is None or not holds(config, accepted, scopes, now):
            return decide(config, Request(authorization, client_ip, scopes, resource, digest, recorded), now)
        if config.audit is not None and not recorded:
            request = Request(authorization, client_ip, scopes, resource, digest)
            config.audit.record(accepted_decision(request, accepted, now=now))
        return accepted.principal

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
        config, now, digest = self._configuration, self._now(), self._digest(authorization)
        if scopes:
            scopes = _names(scopes)
        accepted = config.accepted.get(digest)
        if accepted is None or not holds(config, accepted, scopes, now):
            return None
        if config.audit is not None:
            request = Request(authorization, client_ip, scopes, resource, digest)
            config.audit.record(accepted_decision(request, accepted, now=now))
        return accepted.principal

    def record_refusal(
        self, error: InvalidCredential | Forbidden, *, client_ip: str | None = None, resource: str | None = None
    ) -> None:
        """Record that an adapter refused a request by itself, and so did not ask.

        Raises:
            StoreError: the audit can't record it.
        """
        config = self._configuration
        if config.folds is not None:
            request = Request(None, client_ip, (), resource, b"")
            decision = refused_decision(request, error, "", None, now=self._now())
            config.folds.record(decision, config.throttle.network(client_ip))

    def explain(self, credential: str) -> Explanation:
        """Say step by step why a token or API key is accepted or refused. Nothing is throttled, cached or recorded.

        Args:
            credential: without ``Bearer``.
        """
        from doorward.guard.explain import explain  # noqa: PLC0415 - for people, now and then

        return finish(explain(self._configuration, credential, now=self._now()))

    @property
    def revocations(self) -> Revocations:
        """What is no longer good: ``guard.revocations.revoke(…)`` counts from the next request on."""
        return self._configuration.revocations

    @property
    def issuers(self) -> tuple[str, ...]:
        """The URLs of the issuers whose signed tokens are trusted."""
        return tuple(ring.issuer.url for ring in self._configuration.rings.values())

    @property
    def trusted_proxies(self) -> Networks:
        """Whose ``X-Forwarded-For`` is believed, for whoever finds out the client's address."""
        return self._configuration.trusted_proxies

    @property
    def keeps_records(self) -> bool:
        """Whether every decision is recorded, so that it matters where a request came from and what it is for."""
        return self._configuration.audit is not None

    @property
    def grants(self) -> Grants | None:
        """Who may read and mint what, where the settings say."""
        return self._configuration.grants

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
        config = self._configuration
        if token is not None and config.introspection is not None:
            config.introspection.forget(token)
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

        return config.accepted.drop_where(fits)

    def warm_up(self) -> None:
        """Start to fetch the issuers' keys and to load what was revoked, and wait for neither: call it at the start.

        Raises:
            ConfigurationError, StoreError: the audit can't be written where it should be.
        """
        self._configuration.rings.warm_up()
        self._configuration.revocations.warm_up()
        check = getattr(self._configuration.audit, "check", None)
        if check is not None:
            check()

    def close(self) -> None:
        """Write what is still to be written, and let threads and connections end. The guard can be used again."""
        self._configuration.close()

    def __repr__(self) -> str:
        return f"Guard(issuers={[ring.issuer.url for ring in self._configuration.rings.values()]!r})"


def _names(scopes: Sequence[str]) -> tuple[str, ...]:
    """Hold on to what may be an iterator: scopes are read more than once."""
    if isinstance(scopes, str):
        message = f"scopes must be a list: write [{printable(scopes)!r}]."
        raise ConfigurationError(message, field="scopes", reason="not_a_list")
    return tuple(scopes)
