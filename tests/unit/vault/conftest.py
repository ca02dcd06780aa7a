"""A vault in a folder of its own, and a full entry to put in it."""

import os
import tempfile
import traceback
import warnings
from dataclasses import replace

import pytest

from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.vault import Vault

NOW = 1_795_300_000.0
NOBODY = 65534


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "vault")


@pytest.fixture
def vault(folder):
    return Vault(folder)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def make_entry():
    """Make an entry with a value in every field, but for what is given."""
    full = ProfileEntry(
        profile="Work",
        issuer="https://id.example.org",
        client_id="cli",
        client_authentication="client_secret_basic",
        created_at=NOW - 60.5,
        scopes=("openid", "offline_access"),
        audience="api",
        resource="https://api.example.org",
        insecure_loopback_http=True,
        provider="gitlab",
        redirect_uri="http://127.0.0.1:8400/callback",
        redirect_uri_on_refresh=True,
        access_token=Secret("planted-access"),
        access_token_issued_at=NOW,
        access_token_expires_at=NOW + 3600,
        granted_scopes=("openid",),
        id_token=Secret("planted-id"),
        id_token_issued_at=NOW,
        id_token_expires_at=NOW + 120,
        id_token_renewable=True,
        nonce=Secret("planted-nonce"),
        claims={"iss": "https://id.example.org", "sub": "alice", "groups": ["a", {"b": 1}], "name": "Zoë \U0001f600"},
        refresh_token=Secret("planted-refresh"),
        refreshed_at=NOW + 0.000001,
        ended_at=NOW + 7200,
        ended_reason="invalid_grant",
        retry_at=NOW + 30,
        failures=3,
        known_audiences=("https://identity.example.org/",),
        userinfo={"sub": "alice", "email": "alice@example.org"},
    )

    def make(**changes):
        return replace(full, **changes)

    return make


@pytest.fixture
def without_privileges():
    """Run a function in a child that is not root, so that modes hold for it, and return the repr of its answer."""

    def run(function, user=NOBODY):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
            child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                answer = function()
            except BaseException:  # noqa: BLE001 - the parent is told, whatever it was
                answer = traceback.format_exc()
            os.write(writer, repr(answer).encode())
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answers:
            answer = answers.read().decode()
        os.waitpid(child, 0)
        return answer

    return run


@pytest.fixture
def nobodys_folder():
    """A folder that the child of ``without_privileges`` owns and can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)  # noqa: S103 - the child has to pass through it
        home = os.path.join(path, "home")
        os.mkdir(home, 0o700)
        if os.geteuid() == 0:
            os.chown(home, NOBODY, NOBODY)
        yield home
