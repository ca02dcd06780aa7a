r"""Which paths need no credential. Literally: none that somebody could read as another, whatever it is spelled like.

Servers decode a path before an application sees it, and applications, proxies and file systems read ``%2e``, ``..``,
``//``, ``;`` and ``\`` each in their own way. So no path with one of them is public.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PublicPaths"]

_SUBTREE = "/*"
# RFC 3986's pchar without percent-encoding and ";"; no segment is empty but the last, and none is made of dots alone.
_PLAIN = re.compile(r"(?:/(?!\.+(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?")


class PublicPaths:
    """``/health`` is that path alone; ``/static/*`` is whatever lies below ``/static/``.

    Args:
        paths: each from the root of the server, whatever the application is mounted at.

        field: what the setting is called.

    Raises:
        ConfigurationError: one of the paths; names the field.
    """

    def __init__(self, paths: Iterable[str], *, field: str = "public_paths") -> None:
        if isinstance(paths, str):
            message = f"{field} is one text: give a list of paths."
            raise ConfigurationError(message, field=field, reason="not_a_list")
        given = list(paths)
        for path in given:
            plain = path.removesuffix("*") if path.endswith(_SUBTREE) else path
            if not plain or "*" in plain or not _PLAIN.fullmatch(plain):
                message = (
                    f"{field} has a path that can't be public. Write plain paths such as /health, or /static/* for "
                    "all below one: no other wildcard, no percent-encoding, no dot segments, no query."
                )
                raise ConfigurationError(message, field=field, reason="not_a_plain_path")
        self._exact = frozenset(path for path in given if not path.endswith(_SUBTREE))
        self._below = tuple(path.removesuffix("*") for path in given if path.endswith(_SUBTREE))

    def includes(self, path: str, raw_path: bytes | None) -> bool:
        """Tell whether a request for ``path`` needs no credential.

        Args:
            path: as decoded by the server, the mount points of applications included.
            raw_path: as sent; None from a server that does not say.
        """
        if path not in self._exact and not (self._below and path.startswith(self._below)):
            return False
        if not _PLAIN.fullmatch(path):
            return False
        return raw_path is None or raw_path.partition(b"?")[0] == path.encode()
