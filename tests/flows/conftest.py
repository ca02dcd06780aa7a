"""A real peer on loopback (DevIssuer), and a person whose browser follows the links it is given."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from doorward.testing import DevIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def issuer() -> Iterator[DevIssuer]:
    """An honest issuer with the public client ``cli``, where alice signs in without being asked."""
    with DevIssuer() as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", groups=["eng"])
        issuer.add_user("bob", email="bob@example.org")
        issuer.sign_in_as("alice")
        yield issuer


@pytest.fixture
def browser_script(tmp_path: Path) -> Path:
    """A program that opens an address as a browser does: it follows redirects and reads the last page."""
    script = tmp_path / "browser"
    script.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable} -IS
            import sys, urllib.error, urllib.request
            try:
                urllib.request.urlopen(sys.argv[1], timeout=20).read()
            except urllib.error.HTTPError:
                pass
            """)
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.fixture
def person(browser_script: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody with a browser."""
    monkeypatch.setenv("BROWSER", str(browser_script))
    return browser_script


@pytest.fixture(autouse=True)
def _no_stray_browser() -> None:
    assert "DISPLAY" not in os.environ
