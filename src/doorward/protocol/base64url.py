"""Base64url without padding (RFC 7515 section 2), decoded strictly: one text for one value. Nothing else lives here."""

from __future__ import annotations

from binascii import b2a_base64

import msgspec

from doorward.errors import Malformed

__all__ = ["check_alphabet", "decode_base64url", "decode_part", "encode_base64url"]

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = dict(zip(_LETTERS + b"-_.", _LETTERS + b"+/.", strict=True))
_TO_STANDARD = bytes(_STANDARD.get(byte, 0xFF) for byte in range(256))  # what is no letter of ours is no ASCII then

_decode = msgspec.json.Decoder(bytes).decode  # base64 in quotes, for half of binascii's price
_END = (b'"', b"", b'=="', b'="')  # by length modulo 4: padding
_LAST = (_LETTERS + b"+/", b"", b"AQgw", b"AEIMQUYcgkosw048")  # likewise: unused bits are zero


def encode_base64url(data: bytes) -> str:
    """Encode without padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL_SAFE).decode("ascii")


def decode_base64url(text: str, *, what: str) -> bytes:
    """Decode canonical base64url without padding.

    Args:
        text: the encoded value; empty text is the empty value.
        what: names the value in the error message, such as "The RSA modulus".

    Raises:
        Malformed: characters outside the alphabet, padding, an impossible length, or unused bits that are not zero.

    Source: RFC 7515 section 2, RFC 4648 section 3.5.
    """
    part = check_alphabet(text.encode("ascii", "replace"), what=what)
    if b"." in part:
        raise _foreign(what)
    return decode_part(part, what=what)


def check_alphabet(data: bytes, what: str) -> bytes:
    """Return dotted base64url with its letters exchanged for those that ``decode_part`` takes. Raises Malformed."""
    standard = data.translate(_TO_STANDARD)
    if not standard.isascii():
        raise _foreign(what)
    return standard


def decode_part(part: bytes, what: str) -> bytes:
    """Decode one part of what ``check_alphabet`` returned.

    Raises:
        Malformed: an impossible length, or unused bits that are not zero.
    """
    if not part:
        return b""
    spare = len(part) & 3
    if part[-1] not in _LAST[spare]:
        reason = "base64_length" if spare == 1 else "base64_not_canonical"
        raise Malformed(f"{what} is not canonical base64url; check that it is complete.", reason=reason)
    return _decode(b'"' + part + _END[spare])


def _foreign(what: str) -> Malformed:
    return Malformed(f"{what} is not base64url without padding; check that it is complete.", reason="base64_alphabet")
