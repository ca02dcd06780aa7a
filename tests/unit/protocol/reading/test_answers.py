"""Members of an answer: each by its type, absent ones where absence is allowed, and nothing guessed."""

from __future__ import annotations

import json

import pytest

from doorward.errors import InvalidResponse
from doorward.model import HttpRequest, HttpResponse, Secret
from doorward.protocol.reading.answers import Answer

READERS = {
    "text": lambda answer: answer.text("m"),
    "optional_text": lambda answer: answer.optional_text("m"),
    "token": lambda answer: answer.token("m"),
    "optional_token": lambda answer: answer.optional_token("m"),
    "texts": lambda answer: answer.texts("m"),
    "words": lambda answer: answer.words("m"),
    "flag": lambda answer: answer.flag("m"),
    "seconds": lambda answer: answer.seconds("m", most=100),
    "optional_seconds": lambda answer: answer.optional_seconds("m", most=100),
}


def of(value):
    return Answer("the endpoint", {"m": value})


@pytest.mark.parametrize(
    ("reader", "value", "read"),
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("optional_text", "x", "x"),
        ("token", "a~!\x7e", Secret("a~!~")),
        ("optional_token", "x", Secret("x")),
        ("optional_token", "", None),
        ("texts", ["a", ""], ("a", "")),
        ("texts", [], ()),
        ("flag", True, True),
        ("flag", False, False),
        ("seconds", 0, 0),
        ("seconds", 100, 100),
        ("seconds", 101, 100),
        ("seconds", 2**63, 100),
        ("seconds", "42", 42),
        ("seconds", "007", 7),
        ("seconds", 59.9, 59),
        ("seconds", "59.0", 59),
        ("seconds", 1e300, 100),
        ("words", "a  b", ("a", "b")),
        ("words", ["a", "b"], ("a", "b")),
        ("optional_seconds", 5, 5),
    ],
)
def test_reads(reader, value, read):
    found = READERS[reader](of(value))
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("reader", "absent"),
    [("optional_text", None), ("optional_token", None), ("texts", None), ("flag", False), ("optional_seconds", None)],
)
def test_absent_or_null(reader, absent):
    assert READERS[reader](of(None)) is absent
    assert READERS[reader](Answer("the endpoint", {})) is absent


@pytest.mark.parametrize("reader", ["text", "token", "seconds"])
def test_what_must_be_there(reader):
    with pytest.raises(InvalidResponse, match="The endpoint gave no m") as caught:
        READERS[reader](of(None))
    assert caught.value.reason == "missing_member"


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        *[("optional_text", value) for value in (1, True, ["x"], {})],
        *[("token", value) for value in ("", "a b", "a\tb", "a\n", "é", "\x7f", 1)],
        *[("optional_token", value) for value in (" ", "a\r\nb", 0, False, [])],
        *[("texts", value) for value in ("a", {"a": 1}, ["a", 1], [None], 0)],
        *[("flag", value) for value in ("true", 1, 0, [])],
        *[("words", value) for value in (1, {}, ["a", 1])],
        *[("seconds", value) for value in (True, "", " 60", "1.", ".5", "nan", "6e1", "0x10", "٣", "9" * 19, [60], {})],
    ],
)
def test_wrong_types(reader, value):
    with pytest.raises(InvalidResponse, match="wrong form") as caught:
        READERS[reader](of(value))
    assert caught.value.reason == "wrong_member_type"


@pytest.mark.parametrize("value", [-1, "-1", -(2**63)])
def test_negative_durations(value):
    with pytest.raises(InvalidResponse, match="negative m") as caught:
        of(value).seconds("m", most=100)
    assert caught.value.reason == "negative_duration"


def test_a_body_does_not_show_itself():
    request = HttpRequest("POST", "https://id.example.org/token", "the token endpoint")
    response = HttpResponse(200, {"content-type": "application/json"}, json.dumps({"access_token": "planted"}).encode())
    answer = Answer.read(response, request=request, now=0)
    assert answer.text("access_token") == "planted"
    assert "planted" not in repr(answer)
