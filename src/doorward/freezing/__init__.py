"""How Doorward goes into a frozen program: PyInstaller asks here, and finds the hook beside this file.

Nothing else of the package comes here, and this imports nothing of it.
"""

from pathlib import Path

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """Return the folders with our hooks. PyInstaller calls it by the entry point ``hook-dirs``."""
    return [str(Path(__file__).parent)]
