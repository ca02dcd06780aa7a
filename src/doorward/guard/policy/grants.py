"""Grants: who may read and who may mint, for each audience, as JSON. Who somebody is comes from ``policy``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from doorward.errors import ConfigurationError, Malformed, printable
from doorward.guard.policy.emails import fold_email, is_email
from doorward.protocol.reading.strict_json import loads_object

if TYPE_CHECKING:
    from doorward.model import Principal

__all__ = ["PUBLIC", "Action", "Grants"]

Action: TypeAlias = Literal["read", "mint"]

PUBLIC: Final = "public"
"""The audience that every principal may read, whether it is listed or not, and whatever is listed for it."""

_ACTIONS: Final = ("read", "mint")
_AUDIENCE = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True, slots=True)
class _Selectors:
    """Who was named for one action on one audience."""

    everybody: bool
    emails: frozenset[str]
    subjects: frozenset[str]
    groups: frozenset[str]

    def match(self, principal: Principal) -> bool:
        return (
            self.everybody
            or principal.subject in self.subjects
            or not self.groups.isdisjoint(principal.groups)
            or (principal.email_verified and principal.email is not None and fold_email(principal.email) in self.emails)
        )


class Grants:
    """Who may read and mint what. Made by ``parse``; never changes."""

    __slots__ = ("_actions",)

    def __init__(self, actions: Mapping[str, Mapping[str, _Selectors]]) -> None:
        self._actions = actions

    @classmethod
    def parse(cls, source: str | bytes | Mapping[str, Any], *, field: str = "grants") -> Grants:
        """Read grants such as ``{"team": ["group:eng", "user:a@example.org"], "lab": {"read": ["*"], "mint": […]}}``.

        A list alone means read. Neither action implies the other. A selector is one of:

        - ``*``: every principal.
        - ``user:name@domain``: a principal with this e-mail address, verified by an issuer that is trusted for e-mail.
          What has an @ is always an address, so a subject that has one can't be named.
        - ``user:subject``: a principal with exactly this subject, at any issuer of the guard; of an API key its name.
        - ``group:name``: a member of exactly this group, at any issuer of the guard.

        With several issuers, subjects and groups are as good as the least careful of them: name e-mail addresses, and
        trust one issuer for those.

        Args:
            source: the JSON text, or the object that was read from it.
            field: the setting it comes from, for messages.

        Raises:
            ConfigurationError: not of this shape, or a name twice; ``field`` says where (``grants.lab.mint[1]``).
        """
        actions: dict[str, dict[str, _Selectors]] = {action: {} for action in _ACTIONS}
        for audience, named in _object(source, field).items():
            if not isinstance(audience, str) or not _AUDIENCE.fullmatch(audience):
                name = printable(str(audience))
                message = f"{field} names the audience {name!r}: use 1 to 255 letters, digits, - and _ of ASCII."
                raise ConfigurationError(message, field=field, reason="audience_malformed")
            place = f"{field}.{audience}"
            if isinstance(named, list):
                actions["read"][audience] = _selectors(named, place)
                continue
            if not isinstance(named, dict) or not named.keys() <= set(_ACTIONS):
                message = f"{place} is neither a list of selectors nor an object with read, mint or both."
                raise ConfigurationError(message, field=place, reason="grant_malformed")
            for action, selectors in named.items():
                actions[action][audience] = _selectors(selectors, f"{place}.{action}")
        return cls(actions)

    def may(self, principal: Principal, action: Action, audience: str) -> bool:
        """Say whether ``principal`` may do this with what belongs to ``audience``. An audience not listed is nobody's.

        Raises:
            ConfigurationError: no such action.
        """
        selectors = self._of(action).get(audience)
        return (action == "read" and audience == PUBLIC) or (selectors is not None and selectors.match(principal))

    def audiences(self, principal: Principal, action: Action) -> tuple[str, ...]:
        """Return the audiences with which ``principal`` may do this: ``public``, then in the order of the grants."""
        named = [audience for audience, selectors in self._of(action).items() if selectors.match(principal)]
        if action == "read":
            return PUBLIC, *(audience for audience in named if audience != PUBLIC)
        return tuple(named)

    def _of(self, action: str) -> Mapping[str, _Selectors]:
        try:
            return self._actions[action]
        except KeyError:
            message = f"There is no action {printable(str(action))!r}: ask for read or mint."
            raise ConfigurationError(message, field="action", reason="action_unknown") from None

    def __repr__(self) -> str:
        return f"Grants({sorted(set().union(*self._actions.values()))})"


def _object(source: object, field: str) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, str | bytes):
        message = f"{field} is no JSON object of audiences: write one, such as {{}}."
        raise ConfigurationError(message, field=field, reason="grants_malformed")
    try:
        return loads_object(source if isinstance(source, bytes) else source.encode(errors="surrogatepass"), what=field)
    except Malformed as error:
        raise ConfigurationError(error.message, field=field, reason=error.reason) from None


def _selectors(named: object, place: str) -> _Selectors:
    if not isinstance(named, list):
        raise ConfigurationError(f"{place} is not a list of selectors.", field=place, reason="grant_malformed")
    found: dict[str, set[str]] = {"*": set(), "email": set(), "subject": set(), "group": set()}
    for number, selector in enumerate(named):
        kind, value = _selector(selector, f"{place}[{number}]")
        found[kind].add(value)
    return _Selectors(
        bool(found["*"]), frozenset(found["email"]), frozenset(found["subject"]), frozenset(found["group"])
    )


def _selector(selector: object, place: str) -> tuple[str, str]:
    if selector == "*":
        return "*", "*"
    kind, _, value = selector.partition(":") if isinstance(selector, str) else ("", "", "")
    if kind in ("user", "group") and value and value == value.strip() and value.isprintable():
        if kind == "group":
            return "group", value
        if "@" not in value:
            return "subject", value
        if is_email(value):
            return "email", fold_email(value)
    message = f"{place} is {printable(repr(selector))}: write *, user:EMAIL, user:SUBJECT or group:NAME."
    raise ConfigurationError(message, field=place, reason="selector_unknown")
