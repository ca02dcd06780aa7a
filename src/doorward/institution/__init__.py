"""The near door by browser: sign in at an institution, keep the session, know whether it holds. These are its names.

Each is imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.institution.institution import Institution
    from doorward.institution.session import Cleared, InstitutionSession, Status
    from doorward.institution.settings import InstitutionSettings

__all__ = ["Cleared", "Institution", "InstitutionSession", "InstitutionSettings", "Status"]

_HOMES = {
    "Cleared": "session",
    "Institution": "institution",
    "InstitutionSession": "session",
    "InstitutionSettings": "settings",
    "Status": "session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
