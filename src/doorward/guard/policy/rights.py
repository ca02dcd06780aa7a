"""Groups and scopes: which claims of an issuer hold them, and how they are written.

Nothing found means none, and that may be a mistake in a setting, or a list that its issuer left out for its length.
``left_out`` puts it into words: ``Rights`` logs them once for each issuer, and ``explain`` shows them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from doorward.errors import Malformed, printable
from doorward.guard.issuers.claim_paths import ABSENT, ClaimPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.guard.issuers.issuer import Issuer

__all__ = ["Rights", "left_out"]

_log = logging.getLogger("doorward.guard")

_ONLY_TEXT: Final = frozenset({str})
_MOST_GROUPS: Final = 1000
_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 512
_IF_NEVER: Final = "If none of its tokens ever has, correct"


class Rights:
    """Reads groups and scopes out of one issuer's tokens."""

    __slots__ = ("_found", "_groups", "_issuer", "_scopes", "_told")

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._groups = None if issuer.groups_claim is None else ClaimPath(issuer.groups_claim)
        self._scopes = None if issuer.scope_claims is None else tuple(map(ClaimPath, issuer.scope_claims))
        self._found: set[str] = set()  # settings that led to something; so no more than there are, as below
        self._told: set[str] = set()

    def groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the groups. One that stands alone, as AD FS and Apereo CAS write it, is a list of one.

        Raises:
            Malformed: ``groups_malformed``, ``groups_too_many``.
        """
        found = claims.get("groups") if self._groups is None else self._groups.find(claims)
        if found is None or found is ABSENT:
            if "_claim_names" in claims or "hasgroups" in claims:
                self._tell("groups", claims)
            elif self._groups is not None:
                self._tell("groups_claim", claims)
            return ()
        if self._groups is not None:
            self._found.add("groups_claim")
        return _groups(found)

    def scopes(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the scopes: of ``scope``, or else ``scp``; or of all claims that the settings name.

        Raises:
            Malformed: ``scope_malformed``.

        Source: RFC 8693 section 4.2.
        """
        if self._scopes is None:
            found = claims.get("scope")
            if found is None:
                found = claims.get("scp")
            return () if found is None else _scopes(found)
        there = [found for found in (path.find(claims) for path in self._scopes) if found is not ABSENT]
        if there:
            self._found.add("scope_claims")
        else:
            self._tell("scope_claims", claims)
        return tuple(dict.fromkeys(scope for found in there if found is not None for scope in _scopes(found)))

    def _tell(self, setting: str, claims: Mapping[str, Any]) -> None:
        if setting in self._told or setting in self._found:
            return
        words = left_out(self._issuer, claims).get(setting)
        if words is not None:
            self._told.add(setting)
            _log.warning("A token of %s: %s", printable(self._issuer.url), words)


def left_out(issuer: Issuer, claims: Mapping[str, Any]) -> dict[str, str]:
    """Say which groups and scopes one would look for in a token in vain: words, by the setting they are about."""
    words = {}
    names = claims.get("_claim_names")
    if claims.get("hasgroups") in (True, "true") or (type(names) is dict and "groups" in names):
        words["groups"] = (
            "its person is in so many groups that its issuer left them out, and here they count as none. Have the "
            "issuer send only the groups that are assigned to this service, or app roles."
        )
    elif issuer.groups_claim is not None and ClaimPath(issuer.groups_claim).find(claims) is ABSENT:
        words["groups_claim"] = f"it has no {printable(issuer.groups_claim)}, so no groups. {_IF_NEVER} groups_claim."
    paths = issuer.scope_claims
    if paths is not None and all(ClaimPath(path).find(claims) is ABSENT for path in paths):
        words["scope_claims"] = f"it has no {printable(', '.join(paths))}, so no scopes. {_IF_NEVER} scope_claims."
    return words


def _groups(value: object) -> tuple[str, ...]:
    if type(value) is str:
        return (value,) if value else ()
    if type(value) is not list or not _ONLY_TEXT.issuperset(map(type, value)):
        message = "The groups are neither names nor a list of them: set groups_claim to the claim that lists them."
        raise Malformed(message, reason="groups_malformed")
    if len(value) > _MOST_GROUPS:
        message = f"The token names more than {_MOST_GROUPS} groups: have its issuer send those that matter here."
        raise Malformed(message, reason="groups_too_many")
    return tuple(value)


_parsed_scopes: Final[dict[str, tuple[str, ...]]] = {}  # the tokens of one client ask for the same


def _scopes(value: object) -> tuple[str, ...]:
    """Read scopes, separated by spaces or in a list as Okta (``scp``) and others write them."""
    if type(value) is str:
        return _parsed_scopes.get(value) or _parse_scopes(value)
    if type(value) is list and all(type(scope) is str and scope and " " not in scope for scope in value):
        return tuple(value)
    raise Malformed(
        "The scopes are neither a string nor a list of names; their issuer must correct them.", reason="scope_malformed"
    )


def _parse_scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(filter(None, text.split(" ")))  # by spaces alone: other blanks may be part of one
    if len(text) <= _LONGEST_REMEMBERED:
        if len(_parsed_scopes) >= _MOST_REMEMBERED:
            _parsed_scopes.clear()
        _parsed_scopes[text] = scopes
    return scopes
