"""``doorward explain``: what it reads, prints and exits with."""

import io
import json
import time

import pytest

from doorward.cli.app import run
from doorward.guard import ApiKeys
from doorward.guard.policy import API_KEY_ISSUER
from doorward.guard.revocation.revocations import Revocations
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


def contents(folder):
    """What stands in a folder, but for where readers of SQLite mark what they are reading."""
    files = {path.name: path for path in folder.iterdir()}
    return {
        name: None if name.endswith("-shm") else (path.read_bytes(), path.stat().st_mtime_ns)
        for name, path in files.items()
    }


SETTINGS = """
[api_keys]
db = "{0}/keys.db"
[revocations]
db = "{0}/revoked.db"
[audit]
path = "{0}/audit.log"
"""


def test_a_look_leaves_no_trace(pipe, capsys, tmp_path):
    made_up = "dw_" + "a" * 11 + "_" + "b" * 43 + "_" + "c" * 7
    (tmp_path / "guard.toml").write_text(SETTINGS.format(tmp_path))
    explain = ["explain", "--config", str(tmp_path / "guard.toml")]
    before = contents(tmp_path)
    pipe(made_up)
    assert run(explain) == 1
    assert "key_checksum" in capsys.readouterr().out
    assert contents(tmp_path) == before, "what is not there yet is not made"

    keys = ApiKeys.sqlite(tmp_path / "keys.db")
    secret, made = keys.create("bot")
    revocations = Revocations.sqlite(tmp_path / "revoked.db")
    for _ in ("while others have the databases open, and afterwards",) * 2:
        before = contents(tmp_path)
        pipe(secret.reveal())
        assert run(explain) == 0
        assert "bot" in capsys.readouterr().out
        assert contents(tmp_path) == before
        assert keys.show("bot").last_used_at is None
        revocations.revoke(kid="unrelated", issuer="https://id.example.org")
        revocations.close()
        keys.close()
    revocations.revoke(kid=made.key_id, issuer=API_KEY_ISSUER)
    pipe(secret.reveal())
    assert run(explain) == 1
    assert "revoked" in capsys.readouterr().out
    revocations.close()
    keys.close()


@pytest.mark.parametrize("part", ["", "[revocations]\nmax_entries = 10\n"])
def test_what_is_kept_in_no_database_is_looked_at_too(part, pipe, capsys, tmp_path):
    config = tmp_path / "guard.toml"
    config.write_text(f'[api_keys]\nkeyring_file = "{tmp_path}/keyring.json"\n{part}')
    (tmp_path / "keyring.json").write_text('[{"name": "fixed", "key": "abcdefgh"}]')
    (tmp_path / "keyring.json").chmod(0o600)
    pipe("abcdefgh")
    assert run(["explain", "--config", str(config)]) == 0
    assert "fixed" in capsys.readouterr().out


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
