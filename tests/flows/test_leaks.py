"""S6: a sign-in gives back everything it took, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from people import Onlooker, last_address

import doorward
from doorward.errors import DoorwardError, SignInCancelled, SignInTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing import DevIssuer

    Ports = Callable[[], set[tuple[str, int]]]


def sign_in(issuer: DevIssuer, profile: str = "default") -> doorward.Session:
    return doorward.sign_in(
        issuer.url, "cli", insecure_loopback_http=True, timeout_s=30, profile=profile, prompt=Onlooker(last_address)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("no_leaks")
def test_a_hundred_in_a_row(issuer: DevIssuer, listening: Ports) -> None:
    before = listening()
    for _ in range(100):
        assert sign_in(issuer).token()
    assert listening() == before


@pytest.mark.usefixtures("no_leaks")
def test_ten_at_once(issuer: DevIssuer, listening: Ports) -> None:
    before = listening()
    with ThreadPoolExecutor(10) as pool:
        sessions = list(pool.map(lambda number: sign_in(issuer, f"p{number}"), range(10)))
    assert len({session.token() for session in sessions}) == 10
    assert listening() == before


@pytest.mark.usefixtures("no_leaks")
def test_ten_at_once_in_one_event_loop(issuer: DevIssuer, listening: Ports) -> None:
    before = listening()

    async def all_at_once() -> list[doorward.Session]:
        return await asyncio.gather(
            *(
                doorward.asign_in(
                    issuer.url,
                    "cli",
                    insecure_loopback_http=True,
                    timeout_s=30,
                    profile=f"p{number}",
                    prompt=Onlooker(last_address),
                )
                for number in range(10)
            )
        )

    assert len({session.token() for session in asyncio.run(all_at_once())}) == 10
    assert listening() == before


@pytest.mark.usefixtures("no_leaks")
def test_every_bad_end(issuer: DevIssuer, listening: Ports) -> None:
    before = listening()
    issuer.deny()
    with pytest.raises(SignInCancelled):
        sign_in(issuer)
    issuer.sign_in_as("alice")
    with pytest.raises(SignInTimeout):
        doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, timeout_s=1, prompt=Onlooker())
    issuer.fail("token", "reset")
    with pytest.raises(DoorwardError):
        doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, cool_down=False, prompt=Onlooker(last_address))

    def explode(_: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, cool_down=False, prompt=Onlooker(explode))
    assert listening() == before


def test_ctrl_c(issuer: DevIssuer) -> None:
    """A process that is interrupted while it waits ends at once, and its profile can be signed in again."""
    program = textwrap.dedent(f"""\
        import doorward, threading
        class Silent:
            attended = True
            def __getattr__(self, name): return lambda *a, **k: print(name, flush=True) if name != "pasted" else None
        try:
            doorward.sign_in({issuer.url!r}, "cli", insecure_loopback_http=True, prompt=Silent())
        except KeyboardInterrupt:
            print("stopped", threading.active_count(), flush=True)
        """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout.readline() == "open_yourself\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "stopped 1\n"
    assert sign_in(issuer).token()
