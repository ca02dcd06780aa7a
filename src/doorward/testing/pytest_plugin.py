"""A pytest plugin with the fixture ``dev_issuer``. Imports nothing of the package until the fixture is used.

pytest loads plugins before coverage starts: whatever is imported here would count as never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorward.testing import DevIssuer

__all__ = ["dev_issuer"]


@pytest.fixture
def dev_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevIssuer]:
    """A running DevIssuer with the public client ``cli``, where every sign-in ends at once as ``alice``.

    The test gets a vault of its own (``DOORWARD_HOME``), so that it never sees or replaces the session of the person
    who runs it, and a browser that opens no window but follows the link (``BROWSER``).
    """
    from doorward.testing import DevIssuer, follow_link  # noqa: PLC0415 - see the head of this module

    monkeypatch.setenv("DOORWARD_HOME", str(tmp_path / "doorward"))
    monkeypatch.setenv("BROWSER", follow_link.command())
    with DevIssuer() as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", groups=["staff"])
        issuer.sign_in_as("alice")
        yield issuer
