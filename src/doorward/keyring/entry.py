"""What is kept in a keyring: how it is found there, and what to do where there is no keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry"]


class Entry(NamedTuple):
    """One text in a keyring.

    Attributes:
        service, user: Its name on macOS and Windows.
        attributes: What the Secret Service finds it by.
        label: What people read in the keyring's own program.
        instead: A sentence for those whose keyring does not serve.
        written: Attributes that it gets besides, when it is kept.
    """

    service: str
    user: str
    attributes: Mapping[str, str]
    label: str
    instead: str
    written: Mapping[str, str] = {}
