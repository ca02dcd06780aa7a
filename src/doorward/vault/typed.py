"""The types of the vault that only type checkers ask for: at run time nobody imports this, nor ``typing`` for it."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

__all__ = ["ClientAuthenticationMethod", "Entry", "LockPurpose"]

ClientAuthenticationMethod = Literal[
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]

LockPurpose = Literal["refresh", "sign_in", "set_aside"]


class Entry(Protocol):
    """What a shelf keeps."""

    def to_json(self) -> dict[str, Any]: ...
    def masked(self) -> dict[str, Any]: ...


_E = TypeVar("_E", bound=Entry)  # noqa: PYI018 - shelf uses it
