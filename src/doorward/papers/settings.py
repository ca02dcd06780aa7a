"""How papers are asked for and kept, as one checked value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from doorward.errors import ConfigurationError
from doorward.papers.naming import DEFAULT_TEMPLATE, check_template

__all__ = ["DownloadSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadSettings:
    """What a download may take and how long it waits.

    Args:
        max_bytes: of one paper.
        head_timeout_s: for each address on the way, until its answer begins.
        idle_timeout_s: the longest silence in a body.
        total_timeout_s: for one paper, redirects and resumed parts included.
        resumes: how often a download that was cut off goes on by itself, if the server can.
        template: of file names, within the folder of the year; has ``{name}``, may have ``{host}`` and ``{year}``.
        insecure_loopback_http: allow http to this machine, for tests and development.

    Raises:
        ConfigurationError: the field says which; reason ``setting_out_of_range`` or ``template_malformed``.
    """

    max_bytes: int = 2 * 1024**3
    head_timeout_s: float = 60.0
    idle_timeout_s: float = 60.0
    total_timeout_s: float = 3600.0
    resumes: int = 3
    template: str = DEFAULT_TEMPLATE
    insecure_loopback_http: bool = False

    def __post_init__(self) -> None:
        check_template(self.template)
        for field in ("max_bytes", "head_timeout_s", "idle_timeout_s", "total_timeout_s"):
            if not 0 < getattr(self, field) < math.inf:
                message = f"{field} must be a number above 0, not {getattr(self, field)!r}."
                raise ConfigurationError(message, field=field, reason="setting_out_of_range")
        if not 0 <= self.resumes <= 100:  # noqa: PLR2004 - a bound, not a measure
            message = f"resumes must be from 0 to 100, not {self.resumes!r}."
            raise ConfigurationError(message, field="resumes", reason="setting_out_of_range")
