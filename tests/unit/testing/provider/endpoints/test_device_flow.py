"""The device flow without pages: polling, slow_down, deadlines, automatic decisions (RFC 8628)."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError


def test_the_answer_holds_all_a_device_needs(issuer, caller):
    started = caller.start_device()
    code = started["user_code"]
    assert started == {
        "device_code": started["device_code"],
        "user_code": code,
        "verification_uri": f"{issuer.url}/device",
        "verification_uri_complete": f"{issuer.url}/device?user_code={code}",
        "expires_in": 600,
        "interval": 5,
    }


def test_pending_then_slow_down_then_tokens(issuer, caller, clock):
    issuer.ask()
    code = caller.start_device()
    poll = lambda: caller.poll_device(code["device_code"])  # noqa: E731 - read in every line below
    assert poll().json == {"error": "authorization_pending"}
    clock.at += 4
    assert poll().json == {"error": "slow_down"}
    clock.at += 5
    assert poll().json == {"error": "slow_down"}, "the interval has grown to ten seconds"
    clock.at += 15
    assert poll().json == {"error": "authorization_pending"}
    issuer.decide_device(code["user_code"], user="alice")
    clock.at += 15
    tokens = poll().json
    assert {"access_token", "id_token"} <= set(tokens)
    assert "nonce" not in tokens


def test_in_automatic_mode_the_second_poll_succeeds(caller, clock):
    code = caller.start_device()["device_code"]
    assert caller.poll_device(code).json["error"] == "authorization_pending"
    clock.at += 5
    assert caller.poll_device(code).status == 200


def test_denied(issuer, caller, clock):
    issuer.deny()
    code = caller.start_device()["device_code"]
    caller.poll_device(code)
    clock.at += 5
    assert caller.poll_device(code).json["error"] == "access_denied"


def test_a_device_code_expires(caller, clock):
    code = caller.start_device()["device_code"]
    clock.at += 600
    assert caller.poll_device(code).json["error"] == "expired_token"


def test_a_device_code_is_bound_to_its_client(issuer, caller):
    issuer.add_client("other")
    code = caller.start_device()["device_code"]
    caller.client_id = "other"
    assert caller.poll_device(code).json["error"] == "invalid_grant"


def test_who_may_start(issuer, caller):
    issuer.add_client("web", grant_types=["authorization_code"])
    assert caller.post("/device_authorization", client_id="web").json["error"] == "unauthorized_client"
    assert caller.post("/device_authorization", client_id="stranger").status == 401


@pytest.mark.parametrize("decision", [{"user_code": "XXXX-XXXX", "user": "alice"}, {"user_code": None, "user": "eve"}])
def test_only_devices_and_users_that_exist_are_decided(decision, issuer, caller):
    started = caller.start_device()
    with pytest.raises(ConfigurationError) as refused:
        issuer.decide_device(decision["user_code"] or started["user_code"], user=decision["user"])
    assert refused.value.reason == "no_such_device"
