"""Undoes the content codings of bodies (RFC 9110 section 8.4) as they come in, a bounded piece at a time. Pure.

gzip and deflate are undone. Nothing is gathered here: whoever takes the pieces holds their sum to a limit, and stops.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BrokenCodingError", "Decoder", "coding_of", "decoder_for"]

_PIECE = 65536
_GZIP_BEGIN = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's numbers for what is around the deflated data


class BrokenCodingError(ValueError):
    """A body is not in the coding that its headers name. Never leaves this room."""


class Decoder(Protocol):
    """Undoes one body."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of what was given."""
        ...

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what ``data`` becomes, in pieces, some of them empty.

        Raises:
            BrokenCodingError: it can't be.
        """
        ...


def coding_of(header: str | None) -> str:
    """Return what ``Content-Encoding`` names, in lower case; empty where the body is as it is."""
    codings = (coding.strip().lower() for coding in (header or "").split(","))
    return ", ".join(coding for coding in codings if coding not in {"", "identity"})


def decoder_for(coding: str) -> Decoder | None:
    """Return what undoes a coding, or the lack of one; None for what can't be undone here."""
    if not coding:
        return _Plain()
    return _Inflater(coding) if coding in {"gzip", "x-gzip", "deflate"} else None


class _Plain:
    is_whole = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        yield data


class _Inflater:
    """gzip, of one member or several; and deflate in both spellings: within zlib's format, and bare as some send it."""

    def __init__(self, coding: str) -> None:
        self._is_gzip = coding != "deflate"
        self._held = b""
        self._inflating: zlib._Decompress | None = None
        self._has_ended = False

    @property
    def is_whole(self) -> bool:
        return self._inflating is None and (self._has_ended or not self._held)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Undo the next part. What follows the end is ignored, as browsers do."""
        data, self._held = self._held + data, b""
        is_full = False
        while data or is_full:
            if self._inflating is None:
                if len(data) < len(_GZIP_BEGIN):
                    self._held = data
                    return
                if self._has_ended and not (self._is_gzip and data.startswith(_GZIP_BEGIN)):
                    return
                self._inflating = zlib.decompressobj(_GZIP if self._is_gzip else _spelling(data))
            try:
                piece = self._inflating.decompress(data, _PIECE)
            except zlib.error:
                raise BrokenCodingError from None
            yield piece
            is_full = len(piece) == _PIECE
            data = self._inflating.unconsumed_tail
            if self._inflating.eof:
                data, is_full = self._inflating.unused_data, False
                self._inflating, self._has_ended = None, True


def _spelling(data: bytes) -> int:
    """Tell zlib's format by its header (RFC 1950 section 2.2) from bare deflated data."""
    return _ZLIB if data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0 else _RAW  # noqa: PLR2004 - the RFC's
