"""micromegas' own Flight SQL client takes our object with ``get_token()``, in a Python that has its pins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from flight_server import Server

import doorward
from doorward.testing import DevIssuer, follow_link

pytestmark = pytest.mark.peer

PYTHON = Path(__file__).parents[2] / ".peers" / "micromegas" / "bin" / "python"
CLIENT = """
import sys
from micromegas.flightsql.client import FlightSQLClient

import doorward
from doorward.integrations.flight import TokenProvider

session = doorward.open_session("work")
client = FlightSQLClient(sys.argv[1], auth_provider=TokenProvider(session))
print(client.query("SELECT * FROM orders")["order"].tolist())
session.renew()
print(client.query("SELECT * FROM orders")["order"].tolist())
"""


def test_its_client_queries_with_our_tokens(require_peer, monkeypatch):
    require_peer("micromegas", PYTHON.exists())
    monkeypatch.setenv("BROWSER", follow_link.command())
    with DevIssuer() as issuer, Server() as server:
        issuer.add_client("my-cli")
        issuer.add_user("alice")
        issuer.sign_in_as("alice")
        session = doorward.sign_in(issuer.url, "my-cli", profile="work", insecure_loopback_http=True)
        first = session.token()
        client = [PYTHON, "-c", CLIENT, server.location]
        done = subprocess.run(client, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout.splitlines()) == (0, ["[1, 2, 3]"] * 2), done.stderr
        assert [authorization for _, authorization in server.seen] == [f"Bearer {first}", f"Bearer {session.token()}"]
        assert first != session.token()
