"""Papers: ask for one at its address, with an institution's session or without, and keep it if it is a PDF.

The names load when first used, so that a program that only looks at a session imports nothing for downloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.papers.library import Library
    from doorward.papers.outcomes import Outcome
    from doorward.papers.session import DownloadSession
    from doorward.papers.settings import DownloadSettings

__all__ = ["DownloadSession", "DownloadSettings", "Library", "Outcome"]

__getattr__ = late_names(
    __name__,
    {"DownloadSession": "session", "DownloadSettings": "settings", "Library": "library", "Outcome": "outcomes"},
)
