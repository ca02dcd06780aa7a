"""What PyInstaller can't see of Doorward: stubs that name late names, the modules of those, the list of suffixes.

The libraries that they import come along where they are installed: leave one out with ``--exclude-module``.
"""

# PyInstaller has no types of its own, and is there only where a program is frozen.
from PyInstaller.utils.hooks import collect_data_files, collect_submodules  # type: ignore[import-untyped]

datas = collect_data_files("doorward") + collect_data_files("publicsuffixlist", includes=["*.dat"])
hiddenimports = collect_submodules("doorward", filter=lambda name: name != "doorward.testing.pytest_plugin")
