"""``doorward explain``: what it reads, prints and exits with."""

import io
import json
import time

import pytest

from doorward.cli.app import run
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key
from doorward.testing import DevIssuer

KEY = generate_signing_key("EdDSA", kid="k1")


@pytest.fixture
def token():
    now = int(time.time())
    return sign_claims(
        {"iss": "https://id.example.org", "sub": "alice", "aud": "api", "iat": now, "exp": now + 99}, KEY
    )


@pytest.fixture
def pipe(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("form", ["{}", "{}\n", "Bearer {}\n", "bearer   {}"])
def test_without_settings_nothing_is_verified(token, pipe, capsys, form):
    pipe(form.format(token))
    assert run(["explain"]) == 1
    shown = capsys.readouterr().out
    assert "Nothing was verified" in shown
    assert "https://id.example.org" in shown
    assert not any(part in shown for part in token.split("."))


def test_a_token_as_an_argument(token, capsys):
    assert run(["explain", token, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["accepted"] is None


def test_nothing_given(pipe, capsys):
    pipe("\n")
    assert run(["explain"]) == 2
    assert "doorward token | doorward explain" in capsys.readouterr().err


def test_two_kinds_of_settings(token, capsys):
    assert run(["explain", token, "--config", "a.toml", "--env", "APP"]) == 2
    assert "--config" in capsys.readouterr().err


def test_settings_of_a_guard(pipe, capsys, monkeypatch):
    with DevIssuer() as issuer:
        config = {"issuers": [{"issuer": issuer.url, "audience": "api", "insecure_loopback_http": True}]}
        monkeypatch.setenv("APP_OIDC_CONFIG", json.dumps(config))
        pipe(issuer.issue_access_token("alice", audience="api"))
        assert run(["explain", "--env", "APP"]) == 0
        assert capsys.readouterr().out.rstrip().endswith("Accepted.")
        pipe(issuer.issue_access_token("alice", audience="another"))
        assert run(["explain", "--env", "APP"]) == 1
        assert "Refused (wrong_audience, audience_mismatch)." in capsys.readouterr().out
        pipe(issuer.issue_access_token("alice", audience="api"))
    assert run(["explain", "--env", "APP", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["accepted"] is None
