"""Driving a real browser: found, started, watched, closed. ``visit.BrowserVisit`` is one visit to a login.

What an observation proves is decided in ``institution.evidence``, not here.
"""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)
