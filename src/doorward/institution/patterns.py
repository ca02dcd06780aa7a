"""What a cookie's name hints at: nothing yet, a session at the identity provider, or one at the service. Pure.

Hints only: Shibboleth itself calls its cookie names undocumented. They say when a probe is worth the while; the probe
decides. The patterns are data, in a small part of the syntax of regular expressions that takes time in proportion to
the name it is matched with.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias

from doorward.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DEFAULT_PATTERNS", "CookieMeaning", "CookiePatterns"]

CookieMeaning: TypeAlias = Literal["before", "idp", "service"]

DEFAULT_PATTERNS: Final[Mapping[CookieMeaning, tuple[str, ...]]] = MappingProxyType(
    {
        "before": (
            "_shibstate_.*", "_opensaml_req_.*", "_saml_idp", "_saml_sp",  # Shibboleth; a choice of discovery
            "SimpleSAML", "SimpleSAMLSessionID",
            "mod_auth_openidc_state_.*",
            "oasamlreqid.*", "oaselorg", "oa2fastate_.*",  # OpenAthens
            "AUTH_SESSION_ID", "AUTH_SESSION_ID_LEGACY", "KC_RESTART",  # Keycloak
        ),
        "idp": (
            "shib_idp_session", "shib_idp_session_ss",
            "SimpleSAMLAuthToken",
            "TGC", "CASTGC",  # CAS
            "ESTSAUTH", "ESTSAUTHPERSISTENT", "MSISAuth.*",  # Entra ID, AD FS
            "KEYCLOAK_IDENTITY", "KEYCLOAK_IDENTITY_LEGACY",
        ),
        "service": (
            "_shibsession_.*",
            "mod_auth_openidc_session.*",
            "mellon-.*",  # there before the login too, with another value: what counts is that it changed
            "ezproxy", "ezproxyl", "ezproxyn",
        ),
    }
)  # fmt: skip
"""Names as they are in the field, by what a cookie of that name means."""

_MAX_PATTERNS = 100
_MAX_LENGTH = 100
_FEWEST_LITERALS = 3
_LONGEST_NAME = 4096

_LITERAL = r"[A-Za-z0-9_!#%&'~-]"
_ESCAPED = r"\\[.$*+^|`!#%&'~_-]"
_CLASS = r"\[(?:[A-Za-z0-9_](?:-[A-Za-z0-9_])?)+-?\]"
_PIECE = re.compile(rf"(?P<literal>{_LITERAL}|{_ESCAPED})|(?:\.|{_CLASS})(?P<repeated>[*+])?")


class CookiePatterns:
    """Patterns of cookie names, matched against the whole name, in whatever case.

    A pattern is made of literal characters, ``.``, classes such as ``[0-9a-f]``, and one ``*`` or ``+`` after one of
    those: ``institution_auth_.*``. Special characters stand behind a backslash.

    Args:
        texts: A person's own, for a session at the service. They count before the default ones.

    Raises:
        ConfigurationError: field ``cookie_patterns``; reason ``pattern_not_a_string``, ``pattern_too_long``,
            ``pattern_syntax``, ``pattern_repeats`` (more than once), ``pattern_too_wide`` (under three literal
            letters or digits), ``too_many_patterns``.
    """

    __slots__ = ("_patterns",)

    def __init__(self, texts: Iterable[str] = ()) -> None:
        if isinstance(texts, str):
            _refuse("pattern_not_a_string", "The cookie patterns are one string. Give a list of strings.")
        own = list(texts)
        if len(own) > _MAX_PATTERNS:
            _refuse("too_many_patterns", f"There are {len(own)} cookie patterns. Give {_MAX_PATTERNS} at most.")
        groups: list[tuple[CookieMeaning, Iterable[str]]] = [("service", own), *DEFAULT_PATTERNS.items()]
        self._patterns = tuple((meaning, _compile(text)) for meaning, group in groups for text in group)

    def matches(self, name: str) -> CookieMeaning | None:
        """Return what a cookie of that name means; None if no pattern knows it."""
        if len(name) > _LONGEST_NAME:
            return None
        return next((meaning for meaning, pattern in self._patterns if pattern.fullmatch(name)), None)


def _compile(text: str) -> re.Pattern[str]:
    if not isinstance(text, str):
        _refuse("pattern_not_a_string", "A cookie pattern is not a string. Give a list of strings.")
    if len(text) > _MAX_LENGTH:
        _refuse("pattern_too_long", f"A cookie pattern has {len(text)} characters. {_MAX_LENGTH} are the most.")
    shown = printable(text)
    at = literals = repeats = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            _refuse(
                "pattern_syntax",
                f"The cookie pattern {shown!r} has something at character {at + 1} that is not known here. Use "
                f"letters, digits, _ and -, classes such as [0-9a-f], one .* and a backslash before other characters.",
            )
        literals += (piece["literal"] or "")[-1:].isalnum()
        repeats += piece["repeated"] is not None
        at = piece.end()
    if repeats > 1:
        _refuse("pattern_repeats", f"The cookie pattern {shown!r} repeats twice. Use one .* (or [0-9]+) only.")
    if literals < _FEWEST_LITERALS:
        _refuse(
            "pattern_too_wide",
            f"The cookie pattern {shown!r} would match almost anything. Give {_FEWEST_LITERALS} letters or digits "
            f"of the name at least.",
        )
    try:
        return re.compile(text, re.IGNORECASE | re.ASCII | re.DOTALL)
    except re.error:
        _refuse("pattern_syntax", f"The cookie pattern {shown!r} has a class that runs backwards. Write it as [a-z].")


def _refuse(reason: str, message: str) -> NoReturn:
    raise ConfigurationError(message, field="cookie_patterns", reason=reason)
