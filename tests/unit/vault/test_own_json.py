"""The vault's own JSON: read with the standard library, to the same end as by the strict reader."""

import json
import subprocess
import sys

import pytest

from doorward.errors import Malformed
from doorward.protocol.reading.strict_json import loads_object
from doorward.vault.own_json import loads_own, written


def nested(levels):
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


TEXTS = [
    '{"a":1,"b":[true,null,1.5,"x"],"c":{"d":-0.0,"e":1e+22}}',
    '{"a": 1}',
    '{"a":"\\u00e9\\ud83d\\ude00"}',
    '{"a":"\u00e9"}',
    '{"a":"\\ud83d"}',
    '{"\\ude00":1}',
    '{"a":"\\\\ud83d"}',
    '{"a":1,"a":1}',
    '{"a":{"b":1,"b":2}}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":1e999}',
    '{"a":-0}',
    '{"a":18446744073709551615,"b":-9223372036854775808}',
    '{"a":18446744073709551616}',
    '{"a":-9223372036854775809}',
    '{"a":' + "9" * 5000 + "}",
    nested(20),
    nested(21),
    nested(100_000),
    '{"a":[[[]],[[]],{"b":[]},[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]]]}',
    "[]",
    "1",
    '"a"',
    "null",
    "",
    "{",
    '\ufeff{"a":1}',
    '{"a":1}\n',
]


def read(reader, data):
    try:
        return repr(reader(data))
    except Malformed as error:
        return error.reason


@pytest.mark.parametrize(
    "data", [*(text.encode() for text in TEXTS), b"\xff", b'{"a":"\xff"}', '{"a":1}'.encode("utf-16")]
)
def test_it_gives_what_the_strict_reader_gives(data):
    assert read(loads_own, data) == read(lambda each: loads_object(each, what="The file", max_depth=20), data)


def test_what_we_wrote_is_read_without_the_strict_reader():
    value = {"a": ["\u00e9\U0001f600", 1, 1.5, None, True], "b": {"c": {}}}
    code = f"""
import sys
from doorward.vault.own_json import loads_own
print(loads_own({written(value)!r}) == {value!r}, 'msgspec' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": b""}])
def test_what_json_can_not_hold_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        written(value)


def test_it_is_compact_and_ascii():
    assert written({"a": "\u00e9", "b": [1]}) == b'{"a":"\\u00e9","b":[1]}'
    assert json.loads(written({"a": "\u00e9"})) == {"a": "\u00e9"}
