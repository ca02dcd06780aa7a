"""BMLibrarian's session at an institution: the cookies of a browser, and where it signed in. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from doorward.vault.imports.reading import loaded

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KeptSession", "read_bmlibrarian"]


class KeptSession(NamedTuple):
    """A session as BMLibrarian kept it; its cookies are Playwright's, and unchecked.

    ``created_at`` has no zone: it is the local time of the computer that wrote it.
    """

    institution_url: str
    user_agent: str
    created_at: datetime
    cookies: Sequence[dict[str, Any]]

    def __repr__(self) -> str:
        return f"KeptSession({self.institution_url!r}, cookies={len(self.cookies)})"


def read_bmlibrarian(data: bytes) -> KeptSession:
    """Read ``~/.bmlibrarian/openathens_session.json``.

    Raises:
        ConfigurationError: It is none; ``import_pickle`` if it is the pickle of an earlier release.

    Source: hherb/bmlibrarian, ``src/bmlibrarian/utils/openathens_auth.py``.
    """
    document = loaded(data, "BMLibrarian")
    cookies = document.records("cookies")
    try:
        created_at = datetime.fromisoformat(document.text("created_at"))
    except ValueError:
        document.wrong("created_at", "is no time")
    return KeptSession(document.text("institution_url"), document.text_or_none("user_agent") or "", created_at, cookies)
