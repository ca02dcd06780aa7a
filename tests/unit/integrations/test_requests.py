"""What is requests' own. What all clients do is in tests/contracts."""

from __future__ import annotations

import io
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from token_api import Server, Source

from doorward import ClientCredentials
from doorward.integrations.requests import BearerAuth


@pytest.fixture(scope="module")
def servers():
    with Server() as api, Server() as elsewhere:
        yield api, elsewhere


@pytest.fixture
def api(servers):
    servers[0].seen.clear()
    return servers[0]


@pytest.fixture
def elsewhere(servers):
    servers[1].seen.clear()
    return servers[1]


@pytest.fixture
def auth(api, elsewhere):
    return BearerAuth(Source(), origins=[api.origin, elsewhere.origin], insecure_loopback_http=True)


@pytest.fixture
def session(auth):
    with requests.Session() as session:
        session.auth = auth
        yield session


def seen(server):
    return [authorization for _, _, authorization in server.seen]


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A file with a password for every host."""
    file = tmp_path / "netrc"
    file.write_text("default login me password pa55\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


def test_a_netrc_takes_no_tokens_place(session, api, netrc):
    assert session.trust_env
    session.get(f"{api.origin}/to?{api.origin}/ok", timeout=20)
    assert seen(api) == ["Bearer first"] * 2


def test_a_netrc_adds_nothing_behind_a_redirect(session, api, elsewhere, netrc):
    session.get(f"{api.origin}/to?{elsewhere.origin}/ok", timeout=20)
    assert seen(elsewhere) == [None]


def test_a_request_without_a_token_is_left_alone(api, elsewhere, netrc):
    auth = BearerAuth(Source(), origins=[api.origin], insecure_loopback_http=True)
    with requests.Session() as session:
        session.get(f"{elsewhere.origin}/to?{elsewhere.origin}/ok", auth=auth, timeout=20)
    assert [each and each.partition(" ")[0] for each in seen(elsewhere)] == [None, "Basic"]


def test_a_session_that_keeps_authorization_keeps_no_token(auth, api, elsewhere):
    class Keeping(requests.Session):
        """As some recipes have it, for a password that two hosts share."""

        def rebuild_auth(self, prepared_request, response):
            pass

    with Keeping() as session:
        session.get(f"{api.origin}/to?{elsewhere.origin}/ok", auth=auth, timeout=20)
    assert seen(elsewhere) == [None]


@pytest.mark.parametrize(
    "body", [io.BytesIO(b"order"), io.StringIO("order"), [("order", "1")], {"order": "1"}, b"order"]
)
def test_a_body_that_can_be_read_again_is_sent_again(session, api, body):
    answer = session.post(f"{api.origin}/first-refused", data=body, timeout=20)
    assert answer.json()["body"].startswith("order")
    assert seen(api) == ["Bearer first", "Bearer second"]


def test_a_file_is_sent_again_from_where_it_stood(session, api, tmp_path):
    (tmp_path / "order").write_bytes(b"read: order")
    with (tmp_path / "order").open("rb") as file:
        file.seek(6)
        assert session.post(f"{api.origin}/first-refused", data=file, timeout=20).json()["body"] == "order"
    assert len(api.seen) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are files there")
def test_a_pipe_is_not(session, api):
    reading, writing = os.pipe()
    os.write(writing, b"order")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = session.post(f"{api.origin}/first-refused", data=pipe, headers={"Content-Length": "5"}, timeout=20)
    assert answer.status_code == 401
    assert len(api.seen) == 1


def test_the_refusal_is_remembered_and_hooks_see_the_last_answer(session, api):
    told = []
    session.hooks["response"].append(lambda response, **_: told.append(response.status_code))
    answer = session.get(f"{api.origin}/first-refused", timeout=20)
    assert (answer.status_code, [each.status_code for each in answer.history]) == (200, [401])
    assert told == [200]


def test_a_request_that_was_prepared_can_be_sent_twice(session, api):
    prepared = session.prepare_request(requests.Request("GET", f"{api.origin}/first-refused"))
    assert [session.send(each, timeout=20).status_code for each in (prepared, prepared.copy(), prepared)] == [200] * 3
    assert seen(api) == ["Bearer first", "Bearer second"] * 3


def test_an_authorization_that_is_put_on_later_is_not_renewed(session, api):
    prepared = session.prepare_request(requests.Request("GET", f"{api.origin}/never"))
    prepared.headers["Authorization"] = "Basic own"
    assert session.send(prepared, timeout=20).status_code == 401
    assert seen(api) == ["Basic own"]


def test_another_authentication_can_be_put_on_later(session, api):
    prepared = session.prepare_request(requests.Request("GET", f"{api.origin}/ok"))
    prepared.prepare_auth(requests.auth.HTTPBasicAuth("me", "pa55"))
    session.send(prepared, timeout=20)
    assert seen(api)[0].startswith("Basic ")


def test_threads_share_a_session(session, api):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: session.get(f"{api.origin}/first-refused", timeout=20), range(20)))
    assert {answer.json()["authorization"] for answer in answers} == {"Bearer second"}


def test_a_session_can_be_pickled(session, api):
    session.auth = BearerAuth(
        ClientCredentials("https://id.example", "nightly", client_secret="s3cret"), origins=["https://api.example"]
    )
    pickled = pickle.dumps(session)
    assert b"s3cret" not in pickled
    again = pickle.loads(pickled)  # noqa: S301 - our own
    assert again.get(f"{api.origin}/ok", timeout=20).json()["authorization"] is None


def test_an_answer_to_a_request_with_a_token_can_be_pickled(session, api):
    answer = session.get(f"{api.origin}/ok", timeout=20)
    again = pickle.loads(pickle.dumps(answer))  # noqa: S301 - our own
    assert session.send(again.request, timeout=20).json()["authorization"] == "Bearer first"
