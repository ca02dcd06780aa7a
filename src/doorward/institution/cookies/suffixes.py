"""Which domains are too wide for a cookie: those of the Public Suffix List, and a few that it lacks.

The list is part of the package ``publicsuffixlist``: nothing is fetched. It is read when it is first asked for.
"""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList

__all__ = ["is_public_suffix"]

_LACKING = frozenset({"idm.oclc.org", "wpengine.com"})
"""Where institutions have their proxies, and others their sites, side by side under one name."""


def is_public_suffix(domain: str) -> bool:
    """Say whether names under ``domain`` belong to different owners (RFC 6265 section 5.3)."""
    name = domain.rstrip(".").lower()
    return name in _LACKING or _the_list().is_public(name)


@cache
def _the_list() -> PublicSuffixList:
    return PublicSuffixList()
