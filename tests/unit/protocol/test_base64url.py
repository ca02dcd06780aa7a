from __future__ import annotations

import pytest

from doorward.errors import Malformed
from doorward.protocol.base64url import decode_base64url, encode_base64url

# RFC 4648 section 10, without padding, and the two letters that make it URL-safe.
KNOWN = [
    (b"", ""),
    (b"f", "Zg"),
    (b"fo", "Zm8"),
    (b"foo", "Zm9v"),
    (b"foob", "Zm9vYg"),
    (b"fooba", "Zm9vYmE"),
    (b"foobar", "Zm9vYmFy"),
    (b"\xfb\xef\xbe\xff", "----_w"),
]


@pytest.mark.parametrize(("data", "text"), KNOWN)
def test_known_values_both_ways(data, text):
    assert encode_base64url(data) == text
    assert decode_base64url(text, what="The value") == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Zg==", "base64_alphabet"),
        ("Zm8=", "base64_alphabet"),
        ("+/+/", "base64_alphabet"),
        ("Zm9v\n", "base64_alphabet"),
        (" Zm9v", "base64_alphabet"),
        ("Zm9v.Zm9v", "base64_alphabet"),
        ("Zm9\N{LATIN SMALL LETTER V WITH TILDE}", "base64_alphabet"),
        ("Zm9\N{FULLWIDTH LATIN SMALL LETTER V}", "base64_alphabet"),
        ("Zm9\ud800", "base64_alphabet"),
        ("Zm9\0", "base64_alphabet"),
        ("Z", "base64_length"),
        ("Zm9vY", "base64_length"),
        ("Zh", "base64_not_canonical"),
        ("Z_", "base64_not_canonical"),
        ("Zm9", "base64_not_canonical"),
        ("Zm-", "base64_not_canonical"),
    ],
)
def test_anything_but_the_one_spelling_is_refused(text, reason):
    with pytest.raises(Malformed) as caught:
        decode_base64url(text, what="The value")
    assert caught.value.reason == reason
    assert caught.value.message.startswith("The value ")
