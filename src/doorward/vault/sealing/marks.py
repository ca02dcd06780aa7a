"""By what a sealed vault and a sealed entry are known. Alone here, since every look into a vault asks for it."""

from __future__ import annotations

__all__ = ["SEALED", "SEAL_FILE"]

SEAL_FILE = "seal.json"
"""It says under which keys the entries of its folder are sealed. A folder without it is a plain vault."""

SEALED = b'{"version":2,"key":'
"""How the file of a sealed entry begins. Doorward 0.1 takes it for one of a newer Doorward, and leaves it alone."""
