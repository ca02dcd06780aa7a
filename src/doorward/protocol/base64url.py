"""Base64url without padding (RFC 7515 section 2), decoded strictly: one text for one value. Nothing else lives here."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from doorward.errors import Malformed

__all__ = ["ALPHABET", "decode_base64url", "decode_checked", "encode_base64url"]

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"", b"==", b"=")
_CANONICAL_LAST = (ALPHABET, b"", b"AQgw", b"AEIMQUYcgkosw048")  # the unused bits of the last character are zero


def encode_base64url(data: bytes) -> str:
    """Encode without padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL_SAFE).decode("ascii")


def decode_base64url(text: str, *, what: str) -> bytes:
    """Decode canonical base64url without padding.

    Args:
        text: the encoded value; empty text is the empty value.
        what: names the value in the error message, such as "the RSA modulus".

    Raises:
        Malformed: characters outside the alphabet, padding, an impossible length, or unused bits that are not zero.

    Source: RFC 7515 section 2, RFC 4648 section 3.5.
    """
    data = text.encode("utf-8", "replace")
    if data.translate(None, ALPHABET):
        raise Malformed(f"{what} is not base64url without padding; it must be encoded anew.", reason="base64_alphabet")
    return decode_checked(data, what=what)


def decode_checked(data: bytes, *, what: str) -> bytes:
    """Decode bytes that are known to hold only characters of ``ALPHABET``. Raises as ``decode_base64url``."""
    if not data:
        return b""
    spare = len(data) & 3
    if data[-1] not in _CANONICAL_LAST[spare]:
        reason = "base64_length" if spare == 1 else "base64_not_canonical"
        raise Malformed(f"{what} is not canonical base64url; it must be encoded anew.", reason=reason)
    return a2b_base64(data.translate(_TO_STANDARD) + _PADDING[spare])
