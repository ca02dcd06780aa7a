"""Doorward signs people and services in, keeps what they get safe, and checks it at the other end.

The names below load on first use: ``import doorward`` alone imports neither a network nor a cryptography library.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing `typing` for it would cost half of what `import doorward` may
if TYPE_CHECKING:
    from typing import Any

    from doorward.errors import DoorwardError
    from doorward.model import Principal, Secret
    from doorward.ports import TokenSource
    from doorward.signin.interactive import SignInOptions, asign_in, sign_in
    from doorward.signin.service import ClientCredentials
    from doorward.signin.session import Session, open_session

__all__ = [
    "ClientCredentials",
    "DoorwardError",
    "Principal",
    "Secret",
    "Session",
    "SignInOptions",
    "TokenSource",
    "__version__",
    "asign_in",
    "open_session",
    "sign_in",
]

__version__ = "0.1.0"

_HOMES = {
    "ClientCredentials": "doorward.signin.service",
    "DoorwardError": "doorward.errors",
    "Principal": "doorward.model",
    "Secret": "doorward.model",
    "Session": "doorward.signin.session",
    "SignInOptions": "doorward.signin.interactive",
    "TokenSource": "doorward.ports",
    "asign_in": "doorward.signin.interactive",
    "open_session": "doorward.signin.session",
    "sign_in": "doorward.signin.interactive",
}
_ROOMS = ("errors", "guard", "institution", "integrations", "papers", "testing")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"doorward.{name}")
    message = f"module 'doorward' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
