from __future__ import annotations

import json
import time

import pytest

from doorward.errors import ConfigurationError, Malformed
from doorward.protocol.reading.strict_json import dumps_object, loads_object


def nested(levels: int, opening: str, closing: str, core: str) -> bytes:
    return f"{opening * levels}{core}{closing * levels}".encode()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        ' {"a": 1} \r\n\t',
        '{"a" : 1 , "b" :[1,2 , {"a":null}]}',
        '{"a":true,"b":false,"c":null,"d":1.5e3,"e":-0.0,"f":[],"g":{}}',
        '{"":"", "a":"a", "A":"a"}',
        r'{"quote":"say \"no\"", "colon":"a\": b", "slash":"\/\\", "unicode":"\u00e9\ud83d\ude00"}',
        '{"\u00e9":"\U0001f600", "e\u0301":"combining"}',
        '{"a":{"b":1},"c":{"b":1}}',
        '{"largest":18446744073709551615,"smallest":-9223372036854775808}',
        '{"name":": { [ } ] ","x":"[[[[{{{{"}',
    ],
)
def test_reads_what_every_parser_reads_alike(text):
    assert loads_object(text.encode(), what="The text") == json.loads(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1} {"b":2}',
        b'{"a":1,}',
        b'{"a":1 "b":2}',
        b"{'a':1}",
        b"{a:1}",
        b"{1:1}",
        b'{"a":01}',
        b'{"a":1.}',
        b'{"a":.5}',
        b'{"a":+1}',
        b'{"a":0x10}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":True}',
        b'{"a":/*no*/1}',
        b'{"a":"\n"}',
        b'{"a":"\x00"}',
        b'{"a":"\\x41"}',
        b'{"a":"\\u12"}',
        b'{"a":"open}',
        b'\x0b{"a":1}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"\xff":1}',
        rb'{"a":"\ud800"}',
        rb'{"a":"\ud800 and some more text"}',
        rb'{"a":"\ude00\ud83d"}',
        rb'{"\udc00":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32-le"),
    ],
)
def test_refuses_what_is_not_json_in_utf_8(data):
    with pytest.raises(Malformed) as caught:
        loads_object(data, what="The text")
    assert caught.value.reason == "json_syntax"
    assert caught.value.__cause__ is None  # the decoder's error would hold the whole text


@pytest.mark.parametrize("data", [b"[]", b'[{"a":1}]', b'"a"', b"1", b"null", b"true"])
def test_refuses_a_top_level_that_is_no_object(data):
    with pytest.raises(Malformed) as caught:
        loads_object(data, what="The text")
    assert caught.value.reason == "json_not_object"


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a":1,"b":2,"a":3}',
        '{"a" :1, "a" :2}',
        '{"a"\n:\n1,"a"\t:2}',
        r'{"a":1,"\u0061":2}',
        r'{"\"":1,"\u0022":2}',
        '{"a":"x","a":1}',
        '{"a":1,"a":"x"}',
        r'{"a":1,"a":"\""}',
        '{"":1,"":2}',
        '{"a":{"b":1,"b":2}}',
        '{"a":[0,[{"b":1,"b":2}]]}',
        '{"a":{"b":1,"b":2},"a":3}',
        '{"a":{"b":"c"},"a":{"b":"c"}}',
        '{"a":[],"a":{}}',
    ],
)
def test_refuses_a_repeated_name_at_every_level(text):
    with pytest.raises(Malformed) as caught:
        loads_object(text.encode(), what="The text")
    assert caught.value.reason == "json_repeated_name"


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" + "0" * 400, "9" * 5000])
@pytest.mark.parametrize("shape", ['{"a":%s}', '{"a":[%s]}', '{"a":{"b":[1,%s]}}'])
def test_refuses_an_integer_of_more_than_64_bits(shape, number):
    with pytest.raises(Malformed) as caught:
        loads_object((shape % number).encode(), what="The text")
    assert caught.value.reason in {"json_integer_range", "json_syntax"}  # the decoder itself refuses the longest


def test_an_integer_just_too_large_has_its_own_reason():
    with pytest.raises(Malformed) as caught:
        loads_object(b'{"a":18446744073709551616}', what="The text")
    assert caught.value.reason == "json_integer_range"


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (nested(16, '{"a":', "}", "1"), 16),
        (b'{"a":' + nested(15, "[", "]", "1") + b"}", 16),
        (b'{"a":1}', 1),
        (b'{"a":[]}', 2),
    ],
)
def test_nesting_up_to_the_limit(data, depth):
    assert loads_object(data, what="The text", max_depth=depth)
    with pytest.raises(Malformed) as caught:
        loads_object(data, what="The text", max_depth=depth - 1)
    assert caught.value.reason == "json_too_deep"


@pytest.mark.parametrize(
    "data",
    [
        nested(17, '{"a":', "}", "1"),
        nested(100_000, '{"a":', "}", "1"),
        nested(100_000, '{"a":[', "]}", "1"),
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 1_000_000,
        b'{"a":"\\"' + b'",[' * 100,
    ],
)
def test_deep_nesting_is_refused_before_anything_recurses(data):
    with pytest.raises(Malformed) as caught:
        loads_object(data, what="The text")
    assert caught.value.reason == "json_too_deep"


def test_many_brackets_side_by_side_or_in_text_are_no_depth():
    value = {"a": [[], {}] * 200, "b": '[{"' * 200}
    assert loads_object(json.dumps(value).encode(), what="The text") == value


@pytest.mark.parametrize("filling", ['"', '\\"', '"\\', "{", '{"', ' "[":', '"a":1,', "\\"])
def test_a_megabyte_of_nonsense_takes_no_time(filling):
    data = ('{"a":' + "[" * 65 + filling * (1_000_000 // len(filling))).encode()
    started = time.monotonic()
    with pytest.raises(Malformed):
        loads_object(data, what="The text")
    assert time.monotonic() - started < 20


def test_the_message_names_the_text_and_shows_nothing_of_it():
    with pytest.raises(Malformed) as caught:
        loads_object(b'{"token":"s3cr3t', what="The answer")
    assert caught.value.message.startswith("The answer ")
    assert "s3cr3t" not in caught.value.message


def test_writes_compact_ascii():
    assert dumps_object({"a": [1, None], "b": "\u00e9"}, field="claims") == b'{"a":[1,null],"b":"\\u00e9"}'


def cycle() -> dict[str, object]:
    value: dict[str, object] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": float("inf")}, {"a": b"bytes"}, {"a": {1}}, cycle()])
def test_does_not_write_what_json_cannot_hold(value):
    with pytest.raises(ConfigurationError) as caught:
        dumps_object(value, field="claims")
    assert (caught.value.field, caught.value.reason) == ("claims", "not_json")
