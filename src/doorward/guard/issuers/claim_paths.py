r"""Where a claim stands in a token, as settings name it: ``permissions``, or ``resource_access.api.roles``.

A claim of exactly the given name comes first, so that ``https://example.org/roles`` is one name. Else the dots lead
from object to object; a dot that is part of a name is written ``\.``. All is worked out when the setting is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ABSENT", "ClaimPath"]

ABSENT: Final = object()
"""What is found where there is nothing; a claim may be null."""

_DOT: Final = re.compile(r"(?<!\\)\.")


class ClaimPath:
    """One such place.

    Args:
        text: the setting.
    """

    __slots__ = ("_inner", "_outer", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._outer, *self._inner = (name.replace("\\.", ".") for name in _DOT.split(text))

    @property
    def claims(self) -> frozenset[str]:
        """The names at the top of a token that this may be about."""
        return frozenset({self.text, self._outer})

    def find(self, claims: Mapping[str, Any]) -> Any:
        """Return what stands there, or ``ABSENT``."""
        found = claims.get(self.text, ABSENT)
        if found is ABSENT:
            found = claims.get(self._outer, ABSENT)
            for name in self._inner:
                found = found.get(name, ABSENT) if type(found) is dict else ABSENT
        return found
