"""A guard's settings in environment variables: their names, and one after the other read by type."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, Any

from doorward.errors import printable
from doorward.guard.settings.reader import Place, Table, read_json
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Variables"]

_log = logging.getLogger("doorward.guard.settings")

_VARIABLES = (
    "ADMINS",
    "API_KEYS",
    "API_KEYS_DB",
    "API_KEY_PEPPER",
    "AUDIT_KEY",
    "AUDIT_LOG",
    "GRANTS",
    "INTROSPECTION",
    "INTROSPECTION_CLIENT_SECRET",
    "OIDC_CONFIG",
    "REVOCATIONS_DB",
    "TRUSTED_PROXIES",
)
_NEARLY = 0.85
"""How alike, as ``difflib`` counts it, a variable's name must be to one of ours to be taken for a slip."""


class Variables:
    """Environment variables with one prefix."""

    def __init__(self, prefix: str, environment: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment

    def place(self, name: str) -> Place:
        return Place(f"{self._prefix}_{name}")

    def need(self, name: str, *, for_the_sake_of: str) -> None:
        """Refuse one that means nothing without another: that one is likely misspelt."""
        if self.text(for_the_sake_of) is not None and self.text(name) is None:
            what = f"is set, but {self.place(name)} is not, without which it means nothing: set both or neither."
            raise self.place(for_the_sake_of).wrong(what, "missing_setting")

    def warn_of_unknown(self) -> None:
        """Tell of names that are nearly ours. Others with our prefix may be for the service itself."""
        for name in self._environment:
            own = name.removeprefix(f"{self._prefix}_")
            near = difflib.get_close_matches(own, _VARIABLES, 1, _NEARLY) if own != name else []
            if near and own not in _VARIABLES:
                _log.warning("%s is no setting; did you mean %s?", printable(name), self.place(near[0]))

    def text(self, name: str) -> str | None:
        return self._environment.get(f"{self._prefix}_{name}") or None

    def secret(self, name: str) -> Secret | None:
        value = self.text(name)
        return None if value is None else Secret(value)

    def json(self, name: str) -> Any:
        value = self.text(name)
        return None if value is None else read_json(value, self.place(name))

    def table(self, name: str) -> Table | None:
        return None if self.text(name) is None else Table(self.json(name), self.place(name))
