"""The two front doors for a person are one: the same arguments, the same checks."""

from __future__ import annotations

import inspect

import pytest

from doorward.errors import ConfigurationError
from doorward.signin import sign_in as module
from doorward.signin.sign_in import asign_in, sign_in


def test_the_twins_have_one_signature():
    assert inspect.signature(asign_in) == inspect.signature(sign_in)
    assert inspect.iscoroutinefunction(asign_in)
    assert not inspect.iscoroutinefunction(sign_in)


def test_what_a_door_takes_is_what_is_checked():
    given = {name: each.annotation for name, each in inspect.signature(sign_in).parameters.items()}
    checked = inspect.signature(module._signing_in).parameters.values()  # noqa: SLF001 - what both doors call
    completed = {"issuer": "str", "client_id": "str"}  # a named profile gives them
    assert {**given, **completed} == {each.name: each.annotation for each in checked}


def test_each_argument_is_described_and_can_be_left_out():
    first, second, *others = inspect.signature(sign_in).parameters.values()
    assert (first.name, second.name) == ("issuer", "client_id")
    described = inspect.getdoc(sign_in).partition("Args:")[2].partition("Returns:")[0]
    assert [each.name for each in others if f"\n    {each.name}: " not in described] == []
    assert [each.name for each in others if each.kind is not each.KEYWORD_ONLY or each.default is each.empty] == []


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"prompt": 5}, "prompt", "not_a_prompt"),
        ({"prompt": ["login"]}, "prompt", "not_a_prompt"),
        ({"max_age_s": -1}, "max_age_s", "bad_max_age"),
        ({"max_age_s": "60"}, "max_age_s", "bad_max_age"),
        ({"max_age_s": True}, "max_age_s", "bad_max_age"),
        ({"provider": "gitlub"}, "provider", "unknown_provider"),
        ({"provider": 7}, "provider", "unknown_provider"),
        ({"parameters": {"state": "x"}}, "parameters", "reserved_parameter"),
        ({"prompt": "none select_account"}, "prompt", "prompt_none_not_alone"),
    ],
)
def test_what_can_not_be_asked_is_refused_before_any_request(given, field, reason):
    with pytest.raises(ConfigurationError) as caught:
        sign_in("https://id.example.org", "cli", **given)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize("ports", [8080, "8080", ["8080"], [True]])
def test_ports_are_a_list_of_numbers(ports):
    with pytest.raises(ConfigurationError) as caught:
        sign_in("https://id.example.org", "cli", ports=ports)
    assert caught.value.field == "ports"
