"""JSON read as strictly as a token deserves: what two parsers could read differently is refused. Nothing else lives here.

``msgspec`` decodes, and already refuses a byte order mark, invalid UTF-8, lone surrogates, NaN, Infinity and floats that
overflow. What it lets pass is refused here: repeated names, deep nesting, integers beyond 64 bits, and a top level that
is no object.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from doorward.errors import Malformed

__all__ = ["loads_object"]

_decode = msgspec.json.Decoder().decode

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_FEW_BRACKETS = 64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def loads_object(data: bytes, *, what: str, max_depth: int = 16) -> dict[str, Any]:
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
    if data.count(b"{") + data.count(b"[") > _FEW_BRACKETS and _deepest(data) > max_depth:
        raise _too_deep(what)  # before decoding, which recurses
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{what} is not valid JSON in UTF-8.", reason="json_syntax") from error
    if value.__class__ is not dict:
        raise Malformed(f"{what} is not a JSON object.", reason="json_not_object")
    members = _count_members(value, max_depth, what)
    if not _has_exactly(members, data):
        _refuse_repeated_names(data, what)
    return value


def _has_exactly(members: int, data: bytes) -> bool:
    """Whether the text surely writes no more members than were decoded; False sends it to the slow, certain check.

    With no whitespace before a colon, each member shows as ``":`` once. A string that holds this pair only makes the
    count larger, so an equal count proves that no name was repeated.
    """
    return (
        data.count(b'":') == members
        and b" :" not in data
        and b"\n:" not in data
        and b"\t:" not in data
        and b"\r:" not in data
    )


def _count_members(value: Any, levels: int, what: str) -> int:
    """Count object members at every level, refusing what is too deep or too large on the way."""
    if not levels:
        raise _too_deep(what)
    if value.__class__ is dict:
        count = len(value)
        items = value.values()
    else:
        count = 0
        items = value
    for item in items:
        kind = item.__class__
        if kind is dict or kind is list:
            count += _count_members(item, levels - 1, what)
        elif kind is int and not _SMALLEST_INTEGER <= item <= _LARGEST_INTEGER:
            raise Malformed(f"{what} holds an integer of more than 64 bits.", reason="json_integer_range")
    return count


def _refuse_repeated_names(data: bytes, what: str) -> None:
    def check(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Malformed(f"{what} holds the same member name twice.", reason="json_repeated_name")

    json.loads(data, object_pairs_hook=check, parse_int=len, parse_float=len)


def _deepest(data: bytes) -> int:
    """Measure the nesting without recursion."""
    depth = deepest = 0
    for bracket in _STRING.sub(b"", data).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _too_deep(what: str) -> Malformed:
    return Malformed(f"{what} is nested too deeply.", reason="json_too_deep")
