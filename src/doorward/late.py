"""Names of a package that load when they are first used, so that importing the package costs nothing.

They stand once, in the package's ``__init__.pyi``, one import a line. Type checkers and editors read it, and so does
this module.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing `typing` for it would cost half of what `import doorward` may
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["late_names"]

_STUB = "__init__.pyi"


def late_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return what a package whose names load late is made of: its ``__getattr__``, ``__dir__`` and ``__all__``.

    Args:
        package: Its dotted name. Each line of its stub is ``from MODULE import NAME as NAME``; where the module is the
            package itself, the name is that of a module in it.

    Raises:
        ImportError: The stub is missing, or has another line.

    Source: PEP 562, and SPEC 1 of Scientific Python, "Lazy loading of submodules and functions".
    """
    homes = _read_stub(package)
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[package])
        value = _load(package, homes[name], name)
        setattr(sys.modules[package], name, value)  # so that nobody asks twice
        return value

    return get, names.copy, names


def _load(package: str, module: str, name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - a third of what `import doorward` takes

    try:
        if module == package:
            return import_module(f"{package}.{name}")
        return getattr(import_module(module), name)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        # A library is not installed. `help` and `hasattr` understand this error alone.
        raise AttributeError(str(error), name=name, obj=sys.modules[package]) from error


def _read_stub(package: str) -> dict[str, str]:
    """Return the module of each name. The package's loader reads the file, which may be in an archive."""
    spec = sys.modules[package].__spec__
    path = f"{spec.submodule_search_locations[0]}/{_STUB}"  # type: ignore[union-attr,index] # it is a package
    try:
        lines = spec.loader.get_data(path).decode().splitlines()  # type: ignore[union-attr] # all loaders of files have it
    except OSError as error:
        message = f"{path} is missing, which says where the names of {package} are: it has to be packed with the code."
        raise ImportError(message, name=package, path=path) from error
    homes = {}
    for line in lines:
        match line.split():
            case ["from", module, "import", name, "as", again] if name == again:
                homes[name] = module
            case []:
                pass
            case _:
                message = f"{path} has a line that is no import of one name as itself: {line}"
                raise ImportError(message, name=package, path=path)
    return homes
