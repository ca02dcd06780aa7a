"""``python -m doorward``: the command for whom the folder of scripts is not on the path."""

from __future__ import annotations

import sys

from doorward.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
