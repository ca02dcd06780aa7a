"""A guard's settings from the environment or a TOML file, checked, and the parts made from them.

docs/guard-settings.md is the reference. What single tables hold is read by ``sections``; here they come together. A
mistake stops the start and names its place. No secret stands in a file: it names the environment variable, or the file
of its own, that holds one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from doorward.errors import ConfigurationError, printable
from doorward.guard.addresses import Networks
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.audit.log import AuditLog
from doorward.guard.introspection.introspection import Introspection
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.issuers.tenants import is_issuer_of
from doorward.guard.policy.grants import Grants
from doorward.guard.revocation.revocations import Revocations
from doorward.guard.settings.reader import Place, Table, read_json, read_toml
from doorward.guard.settings.sections import (
    REFRESH_S,
    SIZE,
    TOKEN_BYTES,
    TTL_S,
    given,
    read_admins,
    read_audit,
    read_cache,
    read_introspection,
    read_issuer,
    read_jwks,
    read_keyring,
    read_revocations,
    read_throttle,
)
from doorward.guard.settings.variables import Variables
from doorward.guard.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from doorward.guard.policy.admins import Admin
    from doorward.model import Secret

__all__ = ["GuardSettings", "read_environment", "read_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What a guard is told, checked. None: this part is not wanted, or left to the guard.

    A mapping holds the arguments of the part it is named after; what is secret among them is a ``Secret``.
    """

    issuers: tuple[Issuer, ...] = ()
    admins: tuple[Admin, ...] = ()
    api_keys: Mapping[str, Any] | None = None
    introspection: Mapping[str, Any] | None = None
    throttle: Mapping[str, Any] | None = None
    revocations: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Sizes and times, by the names of ``Guard``'s arguments."""
    trusted_proxies: tuple[str, ...] = ()
    """For the middleware, which finds them in the guard."""
    grants: Grants | None = field(default=None, compare=False)
    """For the service, which finds them in the guard."""
    places: Mapping[str, Place] = field(default_factory=dict, repr=False, compare=False)
    """Where the parts' settings stand, for messages."""

    def only_reading(self) -> GuardSettings:
        """Return them for a guard that writes nothing: it keeps no record, and makes no database that is not there."""
        parts = (self.api_keys, self.revocations)
        keys, revoked = ({**part, "read_only": True} if part and part.get("db") else part for part in parts)
        return replace(self, audit=None, api_keys=keys, revocations=revoked)

    def arguments(self, previous: tuple[GuardSettings, Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """Return what to make a ``Guard`` of.

        Args:
            previous: the settings before these, and what they gave: a part whose settings are the same is taken over,
                with its connections, counters and files.

        Raises:
            ConfigurationError: a part finds fault with its settings; ``field`` names the place.
        """
        made: dict[str, Any] = {
            "issuers": self.issuers,
            "admins": self.admins,
            "trusted_proxies": self.trusted_proxies,
            "grants": self.grants,
            **self.options,
        }
        for name, make in _PARTS.items():
            arguments = getattr(self, name)
            if arguments is None:
                # What is left to the guard stays as it is when settings are read again. So what they asked for before,
                # and no longer do, is undone here; but what was revoked in memory stays revoked.
                before = None if previous is None else getattr(previous[0], name)
                if name == "throttle" and before is not None:
                    made[name] = Throttle()
                if name == "revocations" and before is not None and "db" in before:
                    made[name] = Revocations.memory()
                continue
            if previous is not None and name in previous[1] and getattr(previous[0], name) == arguments:
                made[name] = previous[1][name]
            else:
                made[name] = _blaming(self.places, name, make, arguments)
        return made


def read_environment(prefix: str = "DOORWARD", environment: Mapping[str, str] | None = None) -> GuardSettings:
    """Read settings from environment variables, each beginning with ``prefix`` and an underscore. An empty one is none.

    Raises:
        ConfigurationError: one is wrong, or none is set; ``field`` names the variable, and the place in its JSON.
    """
    if not (prefix.isascii() and prefix.isidentifier()):  # it stands in messages, too
        message = "The prefix can't begin a variable's name. Give letters, digits and _, such as DOORWARD."
        raise ConfigurationError(message, field="prefix", reason="prefix_malformed")
    variables = Variables(prefix, os.environ if environment is None else environment)
    secret, place = variables.secret, variables.place
    variables.need("AUDIT_LOG", for_the_sake_of="AUDIT_KEY")
    variables.need("INTROSPECTION", for_the_sake_of="INTROSPECTION_CLIENT_SECRET")
    draft = _Draft()
    config = variables.table("OIDC_CONFIG")
    if config is not None:
        draft.issuers(config.items("issuers") or [], config.place.member("issuers"))
        draft.options |= given(
            jwks_refresh_s=config.number("jwks_refresh_interval_secs", *REFRESH_S),
            token_cache_size=config.whole("token_cache_size", *SIZE),
            token_cache_ttl_s=config.number("token_cache_ttl_secs", *TTL_S),
            max_token_bytes=config.whole("max_token_bytes", *TOKEN_BYTES),
        )
        config.end()
    asked = variables.table("INTROSPECTION")
    if asked is not None:
        draft.part("introspection", read_introspection(asked, secret("INTROSPECTION_CLIENT_SECRET")), asked.place)
    entries = variables.json("API_KEYS")
    keyring = None if entries is None else read_keyring(entries, place("API_KEYS"))
    draft.api_keys(secret("API_KEYS_DB"), secret("API_KEY_PEPPER"), keyring, place("API_KEYS"))
    if (log := variables.text("AUDIT_LOG")) is not None:
        draft.part("audit", {"path": log, "key": secret("AUDIT_KEY")}, place("AUDIT_LOG"))
    if (db := secret("REVOCATIONS_DB")) is not None:
        draft.part("revocations", {"db": db}, place("REVOCATIONS_DB"))
    draft.places |= {
        "api_keys.url": place("API_KEYS_DB"),
        "api_keys.pepper": place("API_KEY_PEPPER"),
        "audit.key": place("AUDIT_KEY"),
        "introspection.client_secret": place("INTROSPECTION_CLIENT_SECRET"),
        "revocations.url": place("REVOCATIONS_DB"),
    }
    variables.warn_of_unknown()
    draft.proxies((variables.text("TRUSTED_PROXIES") or "").replace(",", " ").split(), place("TRUSTED_PROXIES"))
    if (grants := variables.text("GRANTS")) is not None:
        draft.grants = Grants.parse(grants, field=place("GRANTS").path)
    remedy = f"Set {prefix}_OIDC_CONFIG or {prefix}_API_KEYS"
    return draft.finish(variables.json("ADMINS"), place("ADMINS"), nobody=place("OIDC_CONFIG"), remedy=remedy)


def read_file(path: str | PathLike[str], environment: Mapping[str, str] | None = None) -> GuardSettings:
    """Read settings from a TOML file. Relative paths in it are taken from its folder.

    Args:
        path: the file.
        environment: where the variables are that it names.

    Raises:
        ConfigurationError: something in it is wrong; ``field`` names the place.
    """
    environment = os.environ if environment is None else environment
    file = Path(path).absolute()
    table = Table(read_toml(file), Place("", printable(file.name)), folder=file.parent)
    draft = _Draft(file.parent)
    draft.issuers(table.items("issuers") or [], table.place.member("issuers"))
    if (part := table.table("cache")) is not None:
        draft.options |= read_cache(part)
    if (part := table.table("jwks")) is not None:
        draft.options |= read_jwks(part)
    if (part := table.table("introspection")) is not None:
        secret = part.secret("client_secret", environment)
        draft.part("introspection", read_introspection(part, secret), part.place)
    if (part := table.table("api_keys")) is not None:
        place = part.place.member("keyring")
        keyring = part.secret("keyring", environment)
        entries = None if keyring is None else read_keyring(read_json(keyring.reveal(), place), place)
        db = part.database("db", environment)
        draft.api_keys(db, part.secret("pepper", environment), entries, part.place)
        part.end()
        if db is None and entries is None:
            raise part.place.wrong("has no keys: name a db, or a keyring_env or keyring_file.", "missing_setting")
    if (part := table.table("throttle")) is not None:
        draft.part("throttle", read_throttle(part), part.place)
    if (part := table.table("revocations")) is not None:
        draft.part("revocations", read_revocations(part, part.database("db", environment)), part.place)
    if (part := table.table("audit")) is not None:
        draft.part("audit", read_audit(part, part.secret("key", environment)), part.place)
    draft.proxies(table.texts("trusted_proxies") or (), table.place.member("trusted_proxies"))
    draft.options |= given(max_token_bytes=table.whole("max_token_bytes", *TOKEN_BYTES))
    grants, admins = table.mapping("grants"), table.items("admins")
    table.end()
    if grants is not None:
        draft.grants = Grants.parse(grants)
    remedy = "Add a table [[issuers]] or [api_keys]"
    return draft.finish(admins, table.place.member("admins"), nobody=table.place.member("issuers"), remedy=remedy)


class _Draft:
    """Settings while they are read."""

    def __init__(self, folder: Path | None = None) -> None:
        self.options: dict[str, Any] = {}
        self.places: dict[str, Place] = {}
        self.grants: Grants | None = None
        self._folder = folder
        self._parts: dict[str, dict[str, Any]] = {}
        self._issuers: list[tuple[dict[str, Any], Place]] = []
        self._proxies: tuple[str, ...] = ()

    def issuers(self, items: Sequence[Any], place: Place) -> None:
        """Read the issuers. One that is there again with another audience has both."""
        for index, item in enumerate(items):
            table = Table(item, place.item(index), folder=self._folder)
            issuer = read_issuer(table)
            again = next((other for other, _ in self._issuers if other["url"] == issuer["url"]), None)
            if again is None:
                self._issuers.append((issuer, table.place))
            elif again | {"audiences": ()} == issuer | {"audiences": ()}:
                again["audiences"] += issuer["audiences"]
            else:
                what = "is there before with other settings. Name all of its audiences in one place."
                raise table.place.member("issuer").wrong(what, "issuer_twice")

    def part(self, name: str, arguments: dict[str, Any], place: Place) -> None:
        self._parts[name] = arguments
        self.places |= {
            name: place,
            f"{name}.url": place.member("db"),
            f"{name}.audiences": place.member("audience"),
        }

    def api_keys(self, db: Secret | None, pepper: Secret | None, keyring: Any, place: Place) -> None:
        if db is not None or keyring is not None:
            self.part("api_keys", {"db": db, **given(pepper=pepper, keyring=keyring)}, place)

    def proxies(self, networks: Sequence[str], place: Place) -> None:
        Networks.parse(networks, field=place.path)
        self._proxies = tuple(networks)

    def finish(self, admins: Any, place: Place, *, nobody: Place, remedy: str) -> GuardSettings:
        asked = self._parts.get("introspection")
        if not self._issuers and asked is None and "api_keys" not in self._parts:
            what = f"is not there, nor any other way in: such a guard would let nobody in. {remedy}."
            raise nobody.wrong(what, "nobody_allowed")
        sources = list(self._issuers)
        if asked is not None:
            sources.append((asked, self.places["introspection"]))
        named = [] if admins is None else read_admins(admins, place, {_url(source) for source, _ in sources})
        _trust_email(sources, named)
        return GuardSettings(
            issuers=tuple(_make_issuer(issuer, where) for issuer, where in self._issuers),
            admins=tuple(admin for admin, _ in named),
            options=self.options,
            trusted_proxies=self._proxies,
            grants=self.grants,
            places=self.places,
            **self._parts,
        )


def _make_issuer(arguments: Mapping[str, Any], where: Place) -> Issuer:
    places = {"issuer": where, "issuer.url": where.member("issuer"), "issuer.audiences": where.member("audience")}
    issuer: Issuer = _blaming(places, "issuer", Issuer, arguments)
    return issuer


def _url(source: Mapping[str, Any]) -> str:
    return str(source["url"] if "url" in source else source["issuer"])


def _trust_email(sources: Sequence[tuple[dict[str, Any], Place]], admins: Sequence[tuple[Admin, Place]]) -> None:
    """Whoever names an e-mail address of the only issuer as an administrator's trusts that issuer for it."""
    only = len({_url(source) for source, _ in sources}) == 1
    for admin, where in admins:
        if admin.email is None:
            continue
        mine = [source for source, _ in sources if is_issuer_of(_url(source), admin.issuer)]
        for source in mine:
            if only:
                source.setdefault("trust_email", True)
        if not any(source.get("trust_email") for source in mine):
            what = "counts for nothing: its issuer is not trusted for e-mail. Set trust_email there, or name a subject."
            raise where.wrong(what, "admin_email_untrusted")


def _blaming(places: Mapping[str, Place], name: str, make: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Make a part. Where it finds fault with an argument, say where in the settings that stands."""
    try:
        return make(**arguments)
    except ConfigurationError as error:
        place = places.get(f"{name}.{error.field}") or places[name].member(error.field)
        raise ConfigurationError(f"{place}: {error.message}", field=place.path, reason=error.reason) from None


def _make_api_keys(*, db: Secret | None, **options: Any) -> ApiKeys:
    made: ApiKeys = ApiKeys(**options) if db is None else _kept(ApiKeys, db.reveal(), **options)
    return made


def _make_revocations(*, db: Secret | None = None, **options: Any) -> Revocations:
    made: Revocations = Revocations.memory(**options) if db is None else _kept(Revocations, db.reveal(), **options)
    return made


def _kept(kind: Any, where: str, *, read_only: bool = False, **options: Any) -> Any:
    path = where.removeprefix("sqlite:///")
    if read_only and "://" not in path and not Path(path).exists():
        return kind.memory(**{name: options[name] for name in ("pepper", "keyring") if name in options})
    make = kind.sql if "://" in where else kind.sqlite
    return make(where, read_only=read_only, **options)


_PARTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "api_keys": _make_api_keys,
        "introspection": Introspection,
        "throttle": Throttle,
        "revocations": _make_revocations,
        "audit": AuditLog,
    }
)
