"""Keys that stand in the configuration: what is taken, what is refused, and that no message repeats a key."""

from __future__ import annotations

import json

import pytest

from doorward.errors import ConfigurationError, Expired, UnknownApiKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.format import Pepper, make_key
from doorward.guard.work import finish
from doorward.model import Secret
from doorward.system import SystemEntropy

NOW = 1_800_000_000.0
PLANTED = "planted-key-0123456789"


def entry(**members):
    return {"name": "bot", "key": PLANTED, **members}


def test_micromegas_shape_is_taken_as_it_is():
    keys = ApiKeys.keyring(json.dumps([entry(), entry(name="other", key="12345678")]))
    found = finish(keys.check(PLANTED, now=NOW))
    assert (found.name, found.scopes, found.groups, found.may_delegate, found.expires_at) == (
        "bot",
        (),
        (),
        False,
        None,
    )
    assert keys.recognizes("12345678")
    assert not keys.recognizes("12345679")
    assert [key.name for key in keys.list()] == ["bot", "other"]
    assert PLANTED not in repr(keys)


def test_an_entry_may_say_more():
    more = entry(scopes=["read"], groups=["eng"], may_delegate=True, expires_at="2027-01-15T08:00:01+00:00")
    keys = ApiKeys.keyring([more])
    found = finish(keys.check(PLANTED, now=NOW))
    assert (found.scopes, found.groups, found.may_delegate, found.expires_at) == (("read",), ("eng",), True, NOW + 1)
    with pytest.raises(Expired):
        finish(keys.check(PLANTED, now=NOW + 1))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"key": ""}, "keyring_key_length"),
        ({"key": "1234567"}, "keyring_key_length"),
        ({"key": "x" * 513}, "keyring_key_length"),
        ({"key": None}, "keyring_key_length"),
        ({"key": 12345678901}, "keyring_key_length"),
        ({"key": PLANTED + " "}, "keyring_key_unsendable"),
        ({"key": PLANTED + "\n"}, "keyring_key_unsendable"),
        ({"key": PLANTED + "é"}, "keyring_key_unsendable"),
        ({"key": "eyJ" + PLANTED + ".e30.c2ln"}, "keyring_key_jwt"),
        ({"name": ""}, "key_name"),
        ({"name": "a b"}, "key_name"),
        ({"name": "x" * 256}, "key_name"),
        ({"name": None}, "key_name"),
        ({"role": "admin"}, "keyring_member"),
        ({"scopes": "read"}, "not_a_list"),
        ({"scopes": {"read": 1}}, "not_a_list"),
        ({"scopes": ["a b"]}, "bad_text"),
        ({"scopes": [1]}, "bad_text"),
        ({"scopes": ["s"] * 101}, "too_many"),
        ({"groups": [""]}, "bad_text"),
        ({"groups": ["a\nb"]}, "bad_text"),
        ({"may_delegate": "yes"}, "keyring_may_delegate"),
        ({"may_delegate": 1}, "keyring_may_delegate"),
        ({"expires_at": "soon"}, "keyring_expires_at"),
        ({"expires_at": "2027-01-15T08:00:00"}, "keyring_expires_at"),
        ({"expires_at": True}, "keyring_expires_at"),
        ({"expires_at": float("inf")}, "keyring_expires_at"),
        ({"expires_at": 10**400}, "keyring_expires_at"),
        ({"expires_at": []}, "keyring_expires_at"),
    ],
)
def test_a_mistake_is_named_by_its_place(wrong, reason):
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys.keyring([{"name": "first", "key": "another-key-of-it"}, entry(**wrong)])
    assert caught.value.reason == reason
    assert caught.value.field.startswith("api_keys[1]")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("twice", ["name", "key"])
def test_names_and_keys_stand_once(twice):
    second = {"name": "second", "key": "another-key-of-it", twice: entry()[twice]}
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys.keyring([entry(), second])
    assert (caught.value.reason, caught.value.field) == (f"keyring_{twice}_twice", "api_keys[1]")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "keyring_json"),
        ("{", "keyring_json"),
        (f'[{{"name":"a","key":"{PLANTED}","key":"{PLANTED}"}}]', "keyring_json"),
        (b"\xff", "keyring_json"),
        ("[" * 100_000, "keyring_json"),
        ("\ud800", "keyring_json"),
        ("{}", "keyring_shape"),
        (f'[],"x":"{PLANTED}"', "keyring_shape"),
        (f'["{PLANTED}"]', "keyring_shape"),
        ("null", "keyring_shape"),
    ],
)
def test_other_json_is_refused_without_repeating_it(text, reason):
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys.keyring(text)
    assert caught.value.reason == reason
    error = caught.value
    while error is not None:
        assert PLANTED not in str(error)
        error = error.__cause__


def test_a_keyring_is_bounded():
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys.keyring([entry(name=f"n{number}", key=f"{PLANTED}{number}") for number in range(10_001)])
    assert caught.value.reason == "keyring_size"


def test_a_secret_may_be_wrapped():
    assert ApiKeys.keyring([entry(key=Secret(PLANTED))]).recognizes(PLANTED)


WELL_MADE = make_key(Pepper(Secret("p" * 32)), SystemEntropy())[0]  # by another service


@pytest.mark.parametrize(
    "sent",
    ["", "x", "dw_x", pytest.param(WELL_MADE, id="well made"), "\ud800", PLANTED.upper(), PLANTED + "x", PLANTED[:-1]],
)
def test_other_credentials_are_unknown(sent):
    with pytest.raises(UnknownApiKey):
        finish(ApiKeys.keyring([entry()]).check(sent, now=NOW))


def test_a_keyring_can_not_be_changed_from_here():
    keys = ApiKeys.keyring([entry()])
    for change in (lambda: keys.create("x"), lambda: keys.rotate("bot"), lambda: keys.revoke("bot")):
        with pytest.raises(ConfigurationError) as caught:
            change()
        assert caught.value.reason == "no_key_store"
