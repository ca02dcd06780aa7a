"""An open WebSocket while time goes by: what passes as long as its credential is good, and what nobody can say."""

from __future__ import annotations

import msgspec
import pytest

from doorward.errors import ConfigurationError, Expired, Forbidden, ProviderUnavailable, Revoked, StoreError, Throttled
from doorward.integrations.gate.long_lived import ConnectionEnded, LongLived, check_recheck_s
from doorward.model import Principal

ALICE = Principal("https://id.example.org", "alice")
BEGAN_AT, RECHECK_S = 1_800_000_000.0, 60.0
TEXT = {"type": "websocket.send", "text": "x"}


class SetClock:
    passed_s = 0.0

    def now(self):
        return BEGAN_AT + self.passed_s

    def monotonic(self):
        return self.passed_s


class Connection:
    """One that the guard answers as ``says`` has it: a principal, or an error."""

    def __init__(self, expires_at=None):
        self.clock, self.asked, self.sent = SetClock(), 0, []
        self.says = msgspec.structs.replace(ALICE, expires_at=expires_at)
        self.judged = LongLived(
            self.comes, self.goes, ask=self.ask, principal=self.says, recheck_s=RECHECK_S, clock=self.clock
        )

    def ask(self):
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def comes(self):
        return {"type": "websocket.receive", "text": "x"}

    async def goes(self, message):
        self.sent.append(message["type"])

    async def passes(self, after_s):
        """Say whether text still goes out and comes in, so late after the connection was opened."""
        self.clock.passed_s = after_s
        try:
            await self.judged.send(TEXT)
        except ConnectionEnded:
            assert (await self.judged.receive())["type"] == "websocket.disconnect"
            return False
        return (await self.judged.receive())["type"] == "websocket.receive"


async def test_what_was_decided_holds_for_its_time_and_is_asked_again_after():
    connection = Connection()
    assert await connection.passes(RECHECK_S - 1)
    assert connection.asked == 0
    assert await connection.passes(RECHECK_S)
    assert await connection.passes(2 * RECHECK_S - 1)
    assert connection.asked == 1


@pytest.mark.parametrize("error", [Expired("x"), Revoked("x"), Forbidden("x")])
async def test_one_that_is_no_longer_good_ends(error):
    connection = Connection()
    connection.says = error
    assert await connection.passes(RECHECK_S - 1)
    assert not await connection.passes(RECHECK_S)
    assert not await connection.passes(RECHECK_S + 1)
    assert (connection.sent.count("websocket.close"), connection.asked) == (1, 1)


async def test_nothing_comes_in_either_where_the_application_only_listens():
    connection = Connection()
    connection.says = Revoked("x")
    assert (await connection.judged.receive())["type"] == "websocket.receive"
    connection.clock.passed_s = RECHECK_S
    assert (await connection.judged.receive())["type"] == "websocket.disconnect"
    assert connection.sent == ["websocket.close"]


async def test_it_is_asked_about_when_its_credential_ends():
    connection = Connection(expires_at=BEGAN_AT + 10)
    connection.says = Expired("x")
    assert await connection.passes(9.9)
    assert not await connection.passes(10)


async def test_a_leeway_is_not_asked_about_at_every_message():
    connection = Connection(expires_at=BEGAN_AT - 5)
    assert await connection.passes(0.5)
    assert await connection.passes(1.0)
    assert await connection.passes(1.5)
    assert connection.asked == 1


UNKNOWN = [ProviderUnavailable("x"), StoreError("x"), Throttled("x", retry_after_s=1)]


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda error: error.code)
class TestWhileNobodyCanSay:
    async def test_the_last_answer_holds_as_long_again(self, error):
        connection = Connection()
        connection.says = error
        assert await connection.passes(RECHECK_S)
        assert await connection.passes(2 * RECHECK_S - 1)
        assert not await connection.passes(2 * RECHECK_S)

    async def test_it_does_not_outlive_the_credential(self, error):
        connection = Connection(expires_at=BEGAN_AT + RECHECK_S + 10)
        connection.says = error
        assert await connection.passes(RECHECK_S + 5)
        assert not await connection.passes(RECHECK_S + 10)

    async def test_an_answer_afterwards_counts_from_then_on(self, error):
        connection = Connection()
        good, connection.says = connection.says, error
        assert await connection.passes(2 * RECHECK_S - 2)
        connection.says = good
        assert await connection.passes(2 * RECHECK_S - 1)
        connection.says = error
        assert await connection.passes(3 * RECHECK_S)


@pytest.mark.parametrize("seconds", [0, -1, 0.5, True, "60", 86_401, float("nan"), float("inf")])
def test_spans_that_are_none(seconds):
    with pytest.raises(ConfigurationError):
        check_recheck_s(seconds)
