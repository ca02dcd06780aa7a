"""The device flow, driven by hand: what it asks, and how long it waits in between."""

from __future__ import annotations

import json
from collections import ChainMap
from urllib.parse import parse_qsl

import pytest

from doorward.errors import ConfigurationError, ProviderUnavailable, SignInTimeout
from doorward.model import HttpResponse, Pause
from doorward.protocol.authorization import challenge_of
from doorward.protocol.client_auth import Client
from doorward.protocol.metadata import ProviderMetadata
from doorward.secret import Secret
from doorward.signin.device import obtain_tokens_by_device
from doorward.signin.prompt import TerminalPrompt
from doorward.signin.registration import Registration
from doorward.signin.stronger.proofs import Binding
from doorward.system import SystemClock, SystemEntropy

ISSUER = "https://id.example.org"
METADATA = ProviderMetadata(ISSUER, ISSUER, f"{ISSUER}/t", ISSUER, device_authorization_endpoint=f"{ISSUER}/d")
DEVICE = {"device_code": "dc", "user_code": "A", "verification_uri": ISSUER, "expires_in": 600, "interval": 1}


class PausedClock(SystemClock):
    """Goes on by pauses alone."""

    passed_s = 0.0

    def monotonic(self):
        return self.passed_s


def drive(*answers, timeout_s=500, max_age_s=None, **parameters):
    """Run the flow on these answers, the last for good; return the forms that it sent and the pauses that it made."""
    forms, pauses, rest, clock = [], [], list(answers), PausedClock()
    flow = obtain_tokens_by_device(
        Registration(ISSUER, "cli"),
        METADATA,
        Client("cli"),
        Binding("auto", clock=clock, entropy=SystemEntropy()),
        max_age_s=max_age_s,
        parameters=parameters,
        prompt=TerminalPrompt(),
        timeout_s=timeout_s,
        clock=clock,
        entropy=SystemEntropy(),
    )
    step = next(flow)
    try:
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                clock.passed_s += step.seconds
                step = flow.send(None)
            else:
                forms.append(dict(parse_qsl(step.body.decode())))
                answer = rest.pop(0) if len(rest) > 1 else rest[0]
                status, body, *more = answer() if callable(answer) else answer
                headers = dict(ChainMap({"content-type": "application/json"}, *more))
                step = flow.send(HttpResponse(status, headers, json.dumps(body).encode()))
    except StopIteration:
        return forms, pauses


def test_pkce_goes_along():
    (asked, polled), _ = drive((200, DEVICE), (200, {"access_token": "at"}))
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == challenge_of(Secret(polled["code_verifier"]))


def test_the_verifier_is_new_each_time():
    (one, _), _ = drive((200, DEVICE), (200, {"access_token": "at"}))
    (two, _), _ = drive((200, DEVICE), (200, {"access_token": "at"}))
    assert one["code_challenge"] != two["code_challenge"]


def test_an_outage_doubles_each_later_wait_or_more_where_the_provider_says_so():
    outage, pending = (503, {}), (400, {"error": "authorization_pending"})
    _, pauses = drive((200, DEVICE), outage, pending, outage, pending, (200, {"access_token": "at"}))
    assert pauses == [1, 2, 2, 4, 4]
    _, pauses = drive((200, DEVICE), (503, {}, {"retry-after": "60"}), (200, {"access_token": "at"}))
    assert pauses == [1, 60]


@pytest.mark.parametrize(("life_s", "timeout_s", "asked"), [(10, 500, 9), (600, 10, 9)])
def test_nobody_is_waited_for_longer_than_the_code_lives_or_the_caller_wants(life_s, timeout_s, asked):
    asking = []

    def pending():
        asking.append(1)
        return 400, {"error": "authorization_pending"}

    with pytest.raises(SignInTimeout):
        drive((200, {**DEVICE, "expires_in": life_s}), pending, timeout_s=timeout_s)
    assert len(asking) == asked


def test_what_is_asked_with_a_browser_is_asked_here_too():
    asked_for = {"prompt": "login", "login_hint": "alice", "acr_values": "gold", "kc_idp_hint": "github"}
    (asked, _), _ = drive((200, DEVICE), (200, {"access_token": "at"}), max_age_s=60, **asked_for)
    assert {**asked_for, "max_age": "60"}.items() <= asked.items()


def test_a_code_can_not_be_entered_in_silence():
    with pytest.raises(ConfigurationError) as caught:
        drive((200, DEVICE), prompt="none")
    assert (caught.value.field, caught.value.reason) == ("prompt", "prompt_none_by_device")


def test_slow_down_lengthens_each_later_wait():
    slower, pending = (400, {"error": "slow_down"}), (400, {"error": "authorization_pending"})
    longer = (400, {"error": "slow_down", "interval": 30})
    _, pauses = drive((200, DEVICE), pending, slower, pending, slower, longer, (200, {"access_token": "at"}))
    assert pauses == [1, 1, 6, 6, 11, 30]


@pytest.mark.parametrize(
    ("last", "error"),
    [((503, {}), ProviderUnavailable), ((400, {"error": "authorization_pending"}), SignInTimeout)],
    ids=["an outage", "nobody"],
)
def test_an_outage_at_the_end_is_told_for_the_person_may_have_answered(last, error):
    with pytest.raises(error):
        drive((200, DEVICE), (503, {}), last)
