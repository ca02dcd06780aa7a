"""Adapters: each puts a token source or a guard where a library wants it. No rule of either lives here.

A module is imported when it is first named, for each imports the library it adapts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.integrations import asgi, fastapi, httpx

__all__ = ["asgi", "fastapi", "httpx"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return import_module(f"{__name__}.{name}")
