"""JSON read as strictly as a token deserves: what two parsers could read differently is refused. Nothing else.

``msgspec`` decodes, and refuses a byte order mark, invalid UTF-8, lone surrogates, NaN, Infinity and floats that
overflow. What it lets pass is refused here: repeated names, deep nesting, integers beyond 64 bits, and a top level that
is no object.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from doorward.errors import ConfigurationError, Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["dumps_object", "loads_object"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# Nearly every token: at most three levels, small integers, compact. The decoder itself holds a text to this type, and
# goes no deeper; what is otherwise takes the slow way.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Scalar = None | bool | _Integer | float | str
_Inner = _Scalar | list[_Scalar] | dict[str, _Scalar]
_decode_shallow = msgspec.json.Decoder(dict[str, _Scalar | list[_Inner] | dict[str, _Inner]]).decode
_SHALLOW = 3

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_FEW_BRACKETS = 64  # nested, they would still fit any stack
_ALL_BUT_OPENING = bytes(set(range(256)) - set(b"[{"))
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def loads_object(data: bytes, what: str, *, max_depth: int = 16) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        data: the whole text, in UTF-8.
        what: names the text in the error message, such as "The token's header".
        max_depth: how many objects and arrays may stand inside each other, the outermost included.

    Returns:
        The object; integers fit 64 bits, floats are finite, strings are Unicode without surrogates.

    Raises:
        Malformed: anything else. Never another exception, whatever the bytes.

    Source: RFC 8259, RFC 7493 (I-JSON), RFC 7515 section 4 on unique names.
    """
    try:
        value = _decode_shallow(data)
        # Written again it is the very text: so nothing of it was dropped, and no name was repeated.
        if _encode(value) == data and max_depth >= _SHALLOW:
            return value
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # the slow way knows whether it is bad, or only unusual
    return _loads_unusual(data, what, max_depth)


def _loads_unusual(data: bytes, what: str, max_depth: int) -> dict[str, Any]:
    if len(data.translate(None, _ALL_BUT_OPENING)) > _FEW_BRACKETS and _deepest(data) > max_depth:
        raise _too_deep(what)  # before decoding, which recurses
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed(
            f"{what} is not valid JSON in UTF-8; its sender must correct it.", reason="json_syntax"
        ) from None
    if type(value) is not dict:
        raise Malformed(f"{what} is not a JSON object; its sender must correct it.", reason="json_not_object")
    # Each string of the text, name or value, has two quotes. When the strings that were decoded account for all quotes,
    # nothing was dropped, so no name was repeated. An escaped quote makes the sum differ: then the slow way decides.
    if 2 * _count_strings(value, max_depth, what) != data.count(b'"'):
        _refuse_repeated_names(data, what)
    return value


def dumps_object(value: Mapping[str, Any], *, field: str) -> bytes:
    """Write one JSON object, compact and in ASCII.

    Raises:
        ConfigurationError: JSON can't hold it (NaN, bytes, a cycle); ``field`` names the argument it came from.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(
            f"{field} can't be written as JSON; use strings, numbers, lists and objects.",
            field=field,
            reason="not_json",
        ) from None


def _count_strings(value: Any, levels: int, what: str) -> int:
    """Count names and string values at every level, refusing what is too deep or too large on the way."""
    if not levels:
        raise _too_deep(what)
    count = 0
    items = value
    if type(value) is dict:
        count = len(value)
        items = value.values()
    for item in items:
        kind = type(item)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _count_strings(item, levels - 1, what)
        elif kind is int and not _SMALLEST_INTEGER <= item <= _LARGEST_INTEGER:
            raise Malformed(
                f"{what} holds an integer of more than 64 bits; its sender must correct it.",
                reason="json_integer_range",
            )
    return count


def _refuse_repeated_names(data: bytes, what: str) -> None:
    def check(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Malformed(
                f"{what} holds the same member name twice; its sender must correct it.", reason="json_repeated_name"
            )

    json.loads(data, object_pairs_hook=check, parse_int=len, parse_float=len)


def _deepest(data: bytes) -> int:
    """Measure the nesting without recursion: rightly at least as far as the decoder would get before an error."""
    depth = deepest = 0
    for bracket in _STRING.sub(b"", data).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _too_deep(what: str) -> Malformed:
    return Malformed(f"{what} is nested too deeply; its sender must simplify it.", reason="json_too_deep")
