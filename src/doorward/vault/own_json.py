"""The JSON of the vault's files. Reading what we wrote takes the standard library alone; it is on the path of a start.

``protocol.strict_json`` decides about every other text. It is as strict about tokens, and heavy to import.
"""

from __future__ import annotations

from json import JSONDecoder, JSONEncoder

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from typing import Any

__all__ = ["loads_own", "written"]

_MAX_DEPTH = 20
"""Claims lie one level down, and no token is accepted whose claims are deeper than 16."""
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1  # as ``strict_json`` has it


def written(document: dict[str, Any]) -> bytes:
    """Return the one text of a JSON object that we write: compact, in ASCII.

    Raises:
        TypeError, ValueError, RecursionError: JSON can't hold it.
    """
    return _encode(document).encode()


def loads_own(data: bytes) -> dict[str, Any]:
    """Read a JSON object from a text that may be anything.

    Raises:
        Malformed: ``strict_json.loads_object`` refuses it.
    """
    try:
        value = _decode(data.decode())
        # Written again it is the very text: so it is JSON of one spelling, and no name was repeated.
        if type(value) is dict and _is_within(value, _MAX_DEPTH) and written(value) == data:
            if b"\\ud" in data:
                _encode_whole(value).encode()  # half a surrogate pair is no character
            return value
    except (ValueError, RecursionError):
        pass  # the slow way knows whether it is bad, or only unusual
    from doorward.protocol.reading.strict_json import loads_object  # noqa: PLC0415 - heavy, and what we wrote needs it not

    return loads_object(data, what="The file", max_depth=_MAX_DEPTH)


def _integer(text: str) -> int:
    value = int(text)
    if not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
        raise ValueError
    return value


def _is_within(value: object, levels: int) -> bool:
    """Say whether no more than that many objects and arrays stand inside each other."""
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or (levels > 0 and all(_is_within(item, levels - 1) for item in value))


_decode = JSONDecoder(parse_int=_integer).decode
_encode = JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_encode_whole = JSONEncoder(ensure_ascii=False).encode
