"""A pytest plugin with the fixture ``dev_issuer``. Imports nothing of the package until the fixture is used.

pytest loads plugins before coverage starts: whatever is imported here would count as never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.testing import DevIssuer

__all__ = ["dev_issuer"]


@pytest.fixture
def dev_issuer() -> Iterator[DevIssuer]:
    """A running DevIssuer with the public client ``cli``, where every sign-in ends at once as ``alice``."""
    from doorward.testing import DevIssuer  # noqa: PLC0415 - see the head of this module

    with DevIssuer() as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", groups=["staff"])
        issuer.sign_in_as("alice")
        yield issuer
