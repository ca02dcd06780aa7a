"""The near door by browser: sign in at an institution, keep the session, know whether it holds. These are its names.

Each is imported when first used.
"""

from typing import TYPE_CHECKING

from doorward.late import late_names

if TYPE_CHECKING:
    from doorward.institution.institution import Institution
    from doorward.institution.session import Cleared, InstitutionSession, Status
    from doorward.institution.settings import InstitutionSettings

__all__ = ["Cleared", "Institution", "InstitutionSession", "InstitutionSettings", "Status"]

__getattr__ = late_names(
    __name__,
    {
        "Cleared": "session",
        "Institution": "institution",
        "InstitutionSession": "session",
        "InstitutionSettings": "settings",
        "Status": "session",
    },
)
