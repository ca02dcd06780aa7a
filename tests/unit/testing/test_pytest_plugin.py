"""The plugin that users get: present without asking, light until it is used."""

from __future__ import annotations

import subprocess
import sys


def test_a_users_test_gets_a_running_issuer(pytester):
    pytester.makepyfile(
        """
        import json, urllib.request

        def test_it(dev_issuer):
            address = dev_issuer.url + "/.well-known/openid-configuration"
            assert json.load(urllib.request.urlopen(address, timeout=10))["issuer"] == dev_issuer.url
            assert dev_issuer.issue_access_token("alice", audience="api").count(".") == 2
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_a_users_test_signs_in_without_a_window_and_away_from_their_own_session(pytester, monkeypatch):
    """The README's example, and what a second test must not see of it."""
    own = pytester.mkdir("own")
    monkeypatch.setenv("DOORWARD_HOME", str(own))
    monkeypatch.delenv("BROWSER", raising=False)
    pytester.makepyfile(
        """
        import doorward
        import pytest

        def test_my_tool(dev_issuer):
            session = doorward.sign_in(dev_issuer.url, "cli", insecure_loopback_http=True)
            assert session.principal.subject == "alice"

        def test_nothing_is_left(dev_issuer):
            with pytest.raises(doorward.errors.SignInRequired):
                doorward.open_session()

        def test_my_tool_refuses_a_forged_nonce(dev_issuer):
            with dev_issuer.misbehave("id_token_wrong_nonce"), pytest.raises(doorward.errors.WrongNonce):
                doorward.sign_in(dev_issuer.url, "cli", insecure_loopback_http=True)
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=3)
    assert list(own.iterdir()) == []


def test_loading_the_plugin_imports_nothing_heavy():
    code = """
import sys
import pytest
before = set(sys.modules)
import doorward.testing.pytest_plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("doorward")))
print(sorted(name for name in sys.modules if name.startswith("doorward")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        "[]",
        "['doorward', 'doorward.late', 'doorward.testing', 'doorward.testing.pytest_plugin']",
    ]


def test_the_names_of_the_room_are_there_and_no_others():
    code = """
import doorward.testing as room
print([name for name in room.__all__ if getattr(room, name) is None])
try:
    room.nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[]", "module 'doorward.testing' has no attribute 'nothing'"]
