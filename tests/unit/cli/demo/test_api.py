"""The demo's API lets in who has a good token and nobody else; each forgery meets the rule it breaks."""

from __future__ import annotations

import json
import sys

import pytest

from doorward.cli.demo.api import NotesApi
from doorward.cli.demo.forgeries import forge
from doorward.errors import ConfigurationError, Malformed, MissingCredential
from doorward.http.client import HttpClient
from doorward.model import HttpRequest, Secret
from doorward.protocol.bearer import build_authorization_header
from doorward.system import SystemClock
from doorward.testing import DevIssuer


@pytest.fixture
def issuer():
    with DevIssuer() as issuer:
        yield issuer


@pytest.fixture
def api(issuer):
    with NotesApi(issuer.url, SystemClock()) as api:
        yield api


def call(api, token=None):
    headers = {} if token is None else {"authorization": build_authorization_header(Secret(token))}
    return HttpClient(insecure_loopback_http=True).send(HttpRequest("GET", api.url, "the API", headers))


def test_a_good_token_is_let_in(issuer, api):
    answer = call(api, issuer.issue_access_token("alice", audience=api.url, scopes=["notes"]))
    assert answer.status == 200
    principal = json.loads(answer.body)
    assert principal["subject"] == "alice"
    assert principal["audience"] == [api.url]
    assert principal["scopes"] == ["notes"]


def test_no_token_and_a_bad_one_get_the_same_body_and_their_own_challenge(api):
    none, bad = call(api), call(api, "x.y.z")
    assert (none.status, bad.status) == (401, 401)
    assert none.body == bad.body
    assert none.headers["www-authenticate"].startswith("Bearer")
    assert 'error="invalid_token"' in bad.headers["www-authenticate"]
    assert [refusal.code for refusal in api.refusals] == [MissingCredential.code, Malformed.code]


def test_six_forgeries_are_refused_each_by_its_name(issuer, api):
    issuer.add_user("alice")
    good = issuer.issue_access_token("alice", audience=api.url)
    forgeries = forge(issuer, subject="alice", audience=api.url, good=good)
    assert len({forgery.name for forgery in forgeries}) == 6
    for forgery in forgeries:
        assert call(api, forgery.token.reveal()).status == 401, forgery.name
        assert api.refusals[-1].code == forgery.refused_as.code, forgery.name
    assert call(api, good).status == 200, "the issuer is honest again"


@pytest.mark.usefixtures("no_leaks")
def test_a_missing_server_is_named_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError) as refused, NotesApi("http://127.0.0.1:1", SystemClock()):
        pass
    assert "pip install 'doorward[demo]'" in refused.value.message


@pytest.mark.usefixtures("no_leaks")
def test_it_leaves_nothing_behind():
    with DevIssuer() as issuer, NotesApi(issuer.url, SystemClock()) as api:
        call(api)
