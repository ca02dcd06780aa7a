"""The command ``doorward``, run as a person or a script runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["DEADLINE_S", "DOORWARD", "doorward_cli"]

DOORWARD = Path(sys.executable).with_name("doorward")
DEADLINE_S = 60.0


def doorward_cli(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. Nobody sits at a terminal; ``typed`` is all of its standard input."""
    return subprocess.run(
        [DOORWARD, *arguments],
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
