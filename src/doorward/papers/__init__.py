"""Papers: ask for one at its address, with an institution's session or without, and keep it if it is a PDF.

The names load when first used, so that a program that only looks at a session imports nothing for downloads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.papers.library import Library
    from doorward.papers.outcomes import Outcome
    from doorward.papers.session import DownloadSession
    from doorward.papers.settings import DownloadSettings

__all__ = ["DownloadSession", "DownloadSettings", "Library", "Outcome"]

_HOMES = {"DownloadSession": "session", "DownloadSettings": "settings", "Library": "library", "Outcome": "outcomes"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
