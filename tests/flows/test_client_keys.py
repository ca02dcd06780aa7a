"""S26: keys that clients prove themselves with: made, registered, used, changed and used again; never shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from command_line import doorward_cli
from people import Onlooker, last_address

import doorward
from doorward.errors import ConfigurationError, OAuthError
from doorward.protocol.jwk import SigningKey
from doorward.signin.settings.client_keys import kept_client_key, new_client_key, public_keys, read_entry
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import make_key_file
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from people import MovedClock

    from doorward.testing import DevIssuer

PRIVATE = ("PRIVATE KEY", '"d"', '"p"')


def client_key(*arguments: str) -> Any:
    done = doorward_cli("client-key", *arguments)
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stdout + done.stderr for word in PRIVATE)
    return json.loads(done.stdout)


def register(issuer: DevIssuer, client_id: str, jwks: Any) -> None:
    issuer.add_client(client_id, jwks=json.dumps(jwks).encode())


def test_from_new_to_the_next_key(issuer: DevIssuer, person: Path, clock: MovedClock) -> None:
    made = client_key("new", "work")
    assert [key["alg"] for key in made["keys"]] == ["ES256"]
    register(issuer, "signed", made)
    options = ("--client-id", "signed", "--client-key", "work", "--insecure-loopback-http")
    done = doorward_cli("login", issuer.url, *options)
    assert done.returncode == 0, done.stderr
    assert doorward_cli("token", "--renew").returncode == 0

    both = client_key("rotate", "work", "--alg", "EdDSA")
    assert both["keys"][0] == made["keys"][0]
    assert [key["alg"] for key in both["keys"]] == ["ES256", "EdDSA"]
    assert client_key("jwks", "work") == both
    assert doorward_cli("token", "--renew").returncode == 0  # by the old one, which alone is registered
    register(issuer, "signed", both)
    assert client_key("rotate", "work", "--finish") == {"keys": both["keys"][1:]}
    assert doorward_cli("token", "--renew").returncode == 0
    assert doorward_cli("login").returncode == 0  # the profile keeps to its key
    shown = client_key("show", "work", "--json")
    assert (shown["alg"], shown["next_kid"]) == ("EdDSA", None)
    assert doorward_cli("client-key", "show", "work").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "work"), "There is a key of"),
        (("show", "other"), "No key of the name"),
        (("rotate", "work", "--finish"), "There is no next key"),
        (("new", "a/b"), "can't be the name of a key"),
        (("new", "--alg", "HS256"), "HS256"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], said: str) -> None:
    client_key("new", "work")
    refused = doorward_cli("client-key", *arguments)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())


def test_a_rotation_is_begun_once() -> None:
    client_key("new")
    client_key("rotate")
    refused = doorward_cli("client-key", "rotate")
    assert (refused.returncode, "--finish" in refused.stderr) == (2, True)


def test_a_file_instead_of_the_vault(tmp_path: Path, issuer: DevIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    made = client_key("new", "--alg", "PS256", "--file", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    key = SigningKey.from_pem(path.read_bytes(), alg="PS256", kid=made["keys"][0]["kid"])
    assert key.public_jwk() == made["keys"][0]
    assert Vault().client_keys.names() == []
    again = doorward_cli("client-key", "new", "--file", str(path))
    assert again.returncode == 2
    register(issuer, "svc", made)
    monkeypatch.setenv("DOORWARD_ISSUER", issuer.url)
    monkeypatch.setenv("DOORWARD_CLIENT_ID", "svc")
    monkeypatch.setenv("DOORWARD_INSECURE_LOOPBACK_HTTP", "1")
    monkeypatch.setenv("DOORWARD_CLIENT_KEY_FILE", str(path))
    monkeypatch.setenv("DOORWARD_CLIENT_KEY_ALG", "PS256")
    monkeypatch.setenv("DOORWARD_CLIENT_KEY_ID", made["keys"][0]["kid"])
    assert doorward.ClientCredentials.from_env().token()


def test_a_service_by_the_name_of_its_key(issuer: DevIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    register(issuer, "svc", public_keys(new_client_key("svc-key", "EdDSA", Vault())))
    options: dict[str, Any] = {"insecure_loopback_http": True}
    assert doorward.ClientCredentials(issuer.url, "svc", client_key_name="svc-key", **options).token()
    monkeypatch.setenv("DOORWARD_ISSUER", issuer.url)
    monkeypatch.setenv("DOORWARD_CLIENT_ID", "svc")
    monkeypatch.setenv("DOORWARD_CLIENT_KEY_NAME", "svc-key")
    monkeypatch.setenv("DOORWARD_INSECURE_LOOPBACK_HTTP", "1")
    assert doorward.ClientCredentials.from_env().token()
    key = kept_client_key("svc-key", Vault())
    for wrong in ({"client_key_name": "none"}, {"client_key_name": "svc-key", "client_key": key}):
        with pytest.raises(ConfigurationError) as refused:
            doorward.ClientCredentials(issuer.url, "svc", **wrong, **options)
        assert refused.value.field == "client_key_name"


@pytest.mark.usefixtures("person")
def test_in_python_and_in_a_sealed_vault(
    issuer: DevIssuer,
    sign_in: Callable[..., doorward.Session],
    clock: MovedClock,
    doorward_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault = Vault()
    register(issuer, "signed", public_keys(new_client_key("work", "ES256", vault)))
    session = sign_in("signed", client_key_name="work", prompt=Onlooker(last_address), clock=clock)
    path = str(doorward_home / "vault.key")
    make_key_file(path, vault_folder=vault.folder)
    monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", path)
    Sealing(vault.folder, vault.shelves).seal("key_file")
    clock.ahead_s += 3700
    assert session.token()
    assert issuer.count("token", grant_type="refresh_token") == 1
    assert b"PRIVATE" not in b"".join(each.read_bytes() for each in doorward_home.rglob("key-work.json"))
    assert read_entry("work", vault).alg == "ES256"


@pytest.mark.usefixtures("person")
def test_another_key_of_that_name_is_refused_by_the_provider(
    issuer: DevIssuer, sign_in: Callable[..., doorward.Session], clock: MovedClock
) -> None:
    vault = Vault()
    register(issuer, "signed", public_keys(new_client_key("work", "ES256", vault)))
    session = sign_in("signed", client_key_name="work", prompt=Onlooker(last_address), clock=clock)
    vault.client_keys.forget("work")
    new_client_key("work", "ES256", vault)
    clock.ahead_s += 3700
    with pytest.raises(OAuthError):
        session.token()
    assert vault.get("default").ended_at is None
