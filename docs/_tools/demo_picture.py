"""Draws docs/demo.svg: what ``doorward demo --auto`` really printed, in the colours of a terminal.

    .venv/bin/python docs/_tools/demo_picture.py docs/demo.svg

A test holds the picture's text against what the demo prints, so draw it anew when the demo changes.
"""

from __future__ import annotations

import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 78
# Rich's own format names fonts on the web. The picture does without them: it has to show where no network is.
_RICHS_OWN = inspect.signature(Console.export_svg).parameters["code_format"].default
FORMAT = re.sub(r"\s*@font-face \{\{.*?\}\}", "", _RICHS_OWN, flags=re.DOTALL)


def run_demo() -> str:
    """Return what the demo prints, with the codes that colour it."""
    demo = [str(Path(sys.executable).with_name("doorward")), "demo", "--auto"]
    colours = {
        "FORCE_COLOR": "1",
        "COLUMNS": str(COLUMNS),
        "TERM": "xterm-256color",
    }
    environment = {**os.environ, **colours}
    return subprocess.run(
        demo,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def draw(output: str) -> str:
    """Return an SVG of a terminal that shows ``output``."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(Text.from_ansi(output))
    return console.export_svg(
        title="make demo AUTO=1", code_format=FORMAT, unique_id="demo"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(run_demo()))
