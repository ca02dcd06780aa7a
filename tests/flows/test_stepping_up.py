"""An API that wants a stronger sign-in, and a person who is asked for it (RFC 9470)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2
import pytest
from people import ForwardClock, Onlooker
from token_api import Server

import doorward
from doorward.errors import ConfigurationError, SignInRequired, SubjectChanged
from doorward.integrations.httpx import BearerAuth
from doorward.integrations.sending import SteppingUp


@pytest.fixture
def api(session):
    with Server() as server:
        server.weak = {session.token()}
        yield server


@pytest.fixture
def prompt():
    return Onlooker()


@pytest.fixture
def again(issuer, prompt, clock):
    options = {"insecure_loopback_http": True, "timeout_s": 60, "clock": clock}
    return partial(doorward.sign_in, issuer.url, "cli", prompt=prompt, **options)


@pytest.fixture(params=["sync", "async"])
def get(request, api):
    """Ask the API for what wants a stronger sign-in."""

    async def awaited(auth):
        async with httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as client:
            return await client.get(f"{api.origin}/stronger")

    def get(source):
        auth = BearerAuth(source, origins=[api.origin], insecure_loopback_http=True)
        if request.param == "async":
            return asyncio.run(awaited(auth))
        with httpx2.Client(auth=auth, trust_env=False, timeout=60) as client:
            return client.get(f"{api.origin}/stronger")

    return get


def test_the_person_is_asked_and_the_request_is_sent_again(get, session, again, prompt):
    weak = session.token()
    answer = get(SteppingUp(session, sign_in=again))
    assert answer.status_code == 200
    assert answer.json()["authorization"] == f"Bearer {session.token()}" != f"Bearer {weak}"
    assert "acr_values=gold" in prompt.address
    assert "max_age=60" in prompt.address


def test_a_session_alone_asks_nobody(get, session):
    assert get(session).status_code == 401


def test_an_api_that_does_not_say_how_gets_a_new_sign_in(session, again, prompt):
    source = SteppingUp(session, sign_in=again)
    assert source.step_up(None, None) == source.token()
    assert "max_age=0" in prompt.address


@pytest.mark.parametrize("reason", ["not_attended", "cooling_down"])
def test_where_nobody_can_be_asked_the_refusal_stands(get, session, reason):
    def nobody(**_options):
        raise SignInRequired("Nobody is here.", reason=reason)

    assert get(SteppingUp(session, sign_in=nobody)).status_code == 401


def test_another_error_is_told(get, session):
    def refused(**_options):
        raise SignInRequired("No.", reason="login_required")

    with pytest.raises(SignInRequired, match="No"):
        get(SteppingUp(session, sign_in=refused))


def test_somebody_else_does_not_finish_the_request(get, session, again, issuer, api):
    issuer.sign_in_as("bob")
    with pytest.raises(SubjectChanged) as caught:
        get(SteppingUp(session, sign_in=again))
    assert caught.value.reason == "step_up_subject"
    assert len(api.seen) == 1


def test_several_requests_ask_once(api, session, again):
    times = []

    def counted(**options):
        times.append(options)
        return again(**options)

    auth = BearerAuth(SteppingUp(session, sign_in=counted), origins=[api.origin], insecure_loopback_http=True)
    with httpx2.Client(auth=auth, trust_env=False, timeout=60) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.get(f"{api.origin}/stronger").status_code, range(4)))
    assert answers == [200] * 4
    assert times == [{"acr_values": "gold", "max_age_s": 60}]


def test_a_person_is_not_asked_for_the_same_again_at_once(session, again):
    clock = ForwardClock()
    source = SteppingUp(session, sign_in=again, clock=clock)
    first = source.step_up("gold", 60)
    assert source.step_up("gold", 60) == first
    other = source.step_up("gold", 30)
    assert other != first
    clock.forward(61)
    assert source.step_up("gold", 30) != other


def test_what_is_no_session():
    with pytest.raises(ConfigurationError):
        SteppingUp("a token", sign_in=doorward.sign_in)


def test_the_rest_is_the_sessions(session, again):
    source = SteppingUp(session, sign_in=again)
    assert source.token() == session.token()
    assert source.token("id") == session.token("id")
    assert asyncio.run(source.atoken()) == session.token()
    renewed = source.renew(session.token())
    assert renewed == session.token()
    assert asyncio.run(source.arenew(renewed)) == session.token() != renewed
