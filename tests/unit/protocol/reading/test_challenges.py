"""What WWW-Authenticate may hold (RFC 9110 section 11.6.1), and what it may not."""

import pytest

from doorward.errors import InvalidResponse
from doorward.protocol.bearer import build_www_authenticate
from doorward.protocol.reading.challenges import Challenge, parse_challenges

GOOD = {
    "nothing": ("", []),
    "empty elements": (" , ,", []),
    "a scheme alone": ("Bearer", [("bearer", {})]),
    "in any letters": ('BEARER Error="Invalid"', [("bearer", {"error": "Invalid"})]),
    "values with and without quotes": ('Bearer a=1, b="2 , 3"', [("bearer", {"a": "1", "b": "2 , 3"})]),
    "a quoted pair": (r'Bearer a="say \"so\" \\"', [("bearer", {"a": r'say "so" \ '[:-1]})]),
    "an empty text": ('Bearer a=""', [("bearer", {"a": ""})]),
    "spaces around": ('  Bearer  a \t=  "1"  ,  b=2 '.strip(), [("bearer", {"a": "1", "b": "2"})]),
    "several": (
        'Negotiate abc==, Basic realm="x", DPoP algs="ES256", error="use_dpop_nonce"',
        [("negotiate", {}), ("basic", {"realm": "x"}), ("dpop", {"algs": "ES256", "error": "use_dpop_nonce"})],
    ),
    "the example of RFC 9110": (
        'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
        [("basic", {"realm": "simple"}), ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'})],
    ),
    "the example of RFC 9470": (
        'Bearer error="insufficient_user_authentication",error_description="A different level", acr_values="myACR"',
        [
            (
                "bearer",
                {
                    "error": "insufficient_user_authentication",
                    "error_description": "A different level",
                    "acr_values": "myACR",
                },
            )
        ],
    ),
}

BAD = {
    "a parameter of no scheme": "a=1",
    "a parameter twice": 'Bearer a=1, A="2"',
    "a text that does not end": 'Bearer a="1',
    "a value missing": "Bearer a=1, b=",
    "two words": "Bearer one two",
    "a control character": 'Bearer a="\x00"',
    "a line break": 'Bearer a="1\r\nX: y"',
    "quotes alone": '"Bearer"',
    "no comma": "Bearer a=1 b=2",
    "a character of no alphabet": 'Bearer a="\u20ac"',
}


@pytest.mark.parametrize("name", GOOD)
def test_what_it_says(name):
    value, challenges = GOOD[name]
    assert parse_challenges(value) == tuple(Challenge(*each) for each in challenges)


@pytest.mark.parametrize("name", BAD)
def test_what_it_cannot_say(name):
    with pytest.raises(InvalidResponse) as caught:
        parse_challenges(BAD[name])
    assert caught.value.reason == "bad_challenge"


def test_headers_follow_each_other():
    assert [each.scheme for each in parse_challenges("Bearer", 'Basic realm="x", DPoP')] == ["bearer", "basic", "dpop"]


def test_one_that_is_too_long():
    with pytest.raises(InvalidResponse) as caught:
        parse_challenges(f'Bearer a="{"x" * 16_384}"')
    assert caught.value.reason == "challenge_too_long"


@pytest.mark.parametrize("many", ["," * 16_000, "a " * 8_000, 'a="' + '\\"' * 8_000, "a=b," * 4_000])
def test_one_made_to_take_long_does_not(many):
    with pytest.raises(InvalidResponse):
        parse_challenges(many + "\x00")


def test_what_we_write_ourselves():
    given = build_www_authenticate(error="insufficient_scope", scopes=["a", "b"], realm="r")
    expected = {"realm": "r", "error": "insufficient_scope", "scope": "a b"}
    assert parse_challenges(given) == (Challenge("bearer", expected),)
