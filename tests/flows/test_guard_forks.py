"""A request imports nothing: where a server forks while a thread imports, the child waits for that import for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.testing import DevIssuer

GUARD = """
import json, os, signal, sys, threading
from doorward.guard import ApiKeys, AuditLog, Guard, Introspection, Issuer, Revocations

given = json.loads(sys.argv[1])
url, asked = given["url"], {"insecure_loopback_http": True}
guard = Guard(
    [Issuer(url, ["api"], **asked)],
    ApiKeys.sql(given["db"], pepper="0123456789abcdef" * 2),
    introspection=Introspection(url, "api", client_secret="secret", audiences=["api"], **asked),
    revocations=Revocations.sql(given["db"]),
    audit=AuditLog(given["log"]),
)

def let_in(credential):
    return guard.authenticate(f"Bearer {credential}", client_ip="192.0.2.1").subject
"""
SAYING_WHAT_IS_IMPORTED = """
before = set(sys.modules)
assert [let_in(credential) for credential in given["good"]] == ["alice"] * 2
for credential in given["bad"]:
    try:
        let_in(credential)
    except Exception as error:
        assert error.status_hint == 401, error
guard.close()
print(sorted(set(sys.modules) - before))
"""
FORKING_AMID_AN_IMPORT = """
class Slow:  # stops the first import that another thread comes to, until the fork was made
    importing, forked = threading.Event(), threading.Event()

    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread() and os.getpid() == parent:
            self.importing.set()
            self.forked.wait(10)

slow, parent = Slow(), os.getpid()
sys.meta_path.insert(0, slow)

def first_request():
    try:
        let_in(given["good"][0])
    finally:
        slow.importing.set()

request = threading.Thread(target=first_request, daemon=True)
request.start()
assert slow.importing.wait(20)
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit([let_in(credential) for credential in given["good"]] != ["alice"] * 2)
slow.forked.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


SIGNED_ALONE = """
import json, sys
from doorward.guard import Guard, Issuer

given = json.loads(sys.argv[1])
guard = Guard([Issuer(given["url"], ["api"], insecure_loopback_http=True)])
before = set(sys.modules)
assert guard.authenticate("Bearer " + given["good"]).subject == "alice"
print(sorted(set(sys.modules) - before), "cryptography.x509" in before)
"""


@pytest.fixture
def said(database_url: str, issuer: DevIssuer, tmp_path: Path):
    """What a program of ours prints that has just made a guard of everything."""
    issuer.add_client("api", secret="secret")
    signed = issuer.issue_access_token("alice", audience="api")
    issuer.change(access_token_format="opaque")
    given = {
        "url": issuer.url,
        "good": [signed, issuer.issue_access_token("alice", audience="api")],
        "bad": ["made-up", "undefined", f"{signed[:-8]}AAAAAAAA", "dw_" + "a" * 60],
        "db": database_url,
        "log": str(tmp_path / "audit.log"),
    }

    def run(code: str) -> str:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", GUARD + code, json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_request_imports_nothing(said):
    assert said(SAYING_WHAT_IS_IMPORTED) == "[]"


def test_a_guard_of_signed_tokens_alone_imports_nothing_either(issuer: DevIssuer):
    issuer.change(signing_algorithm="EdDSA")  # for which libsodium is looked for
    given = {"url": issuer.url, "good": issuer.issue_access_token("alice", audience="api")}
    command = [sys.executable, "-c", SIGNED_ALONE, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[] True\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_the_first_request_is_under_way(said):
    assert said(FORKING_AMID_AN_IMPORT) == "0"
