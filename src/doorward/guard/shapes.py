"""What a credential looks like from outside: which way in it takes, and what it is known by."""

from __future__ import annotations

__all__ = ["looks_signed", "signed_part"]

_JSON_STARTS = ("ey", "ew")  # base64url of an opening brace and what may follow it: every header begins so


def looks_signed(credential: str) -> bool:
    """Tell a JWT, or what pretends to be one, by its shape: two dots or more, and the beginning of a header."""
    return credential.startswith(_JSON_STARTS) and credential.find(".") != credential.rfind(".")


def signed_part(token: str) -> bytes:
    """Return what an accepted token is known by: what its signature covers, or all of it where there is none."""
    return (token.rpartition(".")[0] if looks_signed(token) else token).encode("utf-8", "surrogatepass")
