from __future__ import annotations

import asyncio

import pytest

from doorward.errors import TransportError
from doorward.http.client import AsyncHttpClient, HttpClient
from doorward.http.exchange import arun, run
from doorward.model import HttpRequest, HttpResponse, Pause

REQUEST = HttpRequest("GET", "https://op.test/", "the test endpoint")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.slept = []

    def now(self):
        return 0.0

    monotonic = now

    def sleep(self, seconds):
        self.slept.append(seconds)

    async def asleep(self, seconds):
        await asyncio.sleep(0)
        self.slept.append(seconds)


class Transport:
    """Answers with what it was given, in turn; raises it if it is an exception."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def send(self, request):
        assert request is REQUEST
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class AsyncTransport(Transport):
    async def send(self, request):
        await asyncio.sleep(0)
        return super().send(request)


@pytest.fixture(params=["run", "arun"])
def drive(request):
    """Drive a flow with either driver: ``drive(flow, *answers, clock=…)``."""

    def with_asyncio(flow, *answers, clock):
        return asyncio.run(arun(flow, AsyncTransport(*answers), clock))

    def blocking(flow, *answers, clock):
        return run(flow, Transport(*answers), clock)

    driver = blocking if request.param == "run" else with_asyncio
    return lambda flow, *answers, clock=None: driver(flow, *answers, clock=clock or Clock())


def test_a_flow_without_a_step(drive):
    def flow():
        return "done"
        yield

    assert drive(flow()) == "done"


def test_responses_and_pauses_in_their_order(drive):
    def flow():
        first = yield REQUEST
        nothing = yield Pause(2.5)
        second = yield REQUEST
        return first, nothing, second

    clock = Clock()
    answers = HttpResponse(200), HttpResponse(500)
    assert drive(flow(), *answers, clock=clock) == (answers[0], None, answers[1])
    assert clock.slept == [2.5]


def test_a_failure_is_raised_at_its_yield_and_the_flow_goes_on(drive):
    def flow():
        try:
            yield REQUEST
        except TransportError as error:
            yield Pause(1)
            return error.reason, (yield REQUEST)

    outage = TransportError("No answer.", reason="dns_failed")
    assert drive(flow(), outage, HttpResponse(204)) == ("dns_failed", HttpResponse(204))


def test_a_failure_that_the_flow_leaves_alone(drive):
    closed = []

    def flow():
        try:
            yield REQUEST
        finally:
            closed.append(True)

    outage = TransportError("No answer.")
    with pytest.raises(TransportError) as caught:
        drive(flow(), outage)
    assert caught.value is outage
    assert closed == [True]


def test_an_error_of_the_flow(drive):
    def flow():
        yield REQUEST
        raise LookupError

    with pytest.raises(LookupError):
        drive(flow(), HttpResponse(200))


@pytest.mark.parametrize("step", [REQUEST, Pause(1)])
def test_ctrl_c_closes_the_flow(step):
    seen = []

    def flow():
        try:
            yield step
        except BaseException as error:
            seen.append(type(error))
            raise

    class Interrupted(Clock):
        def sleep(self, _seconds):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(flow(), Transport(KeyboardInterrupt()), Interrupted())
    assert seen == [GeneratorExit]


@pytest.mark.parametrize("step", [REQUEST, Pause(60)])
async def test_cancelling_closes_the_flow(step):
    seen = []

    def flow():
        try:
            yield step
        except BaseException as error:
            seen.append(type(error))
            raise

    class Silent:
        async def send(self, _request):
            await asyncio.sleep(60)

    task = asyncio.create_task(arun(flow(), Silent()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [GeneratorExit]


def test_pauses_do_not_block_other_tasks():
    order = []

    def flow(name, pauses):
        for _ in range(pauses):
            yield Pause(0.01)
            order.append(name)

    async def both():
        await asyncio.gather(arun(flow("a", 2), None), arun(flow("b", 2), None))

    asyncio.run(both())
    assert sorted(order[:2]) == ["a", "b"]


def test_a_real_clock_and_a_real_server(serve):
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def flow():
        yield Pause(0)
        response = yield HttpRequest("GET", server.url(), "the test endpoint")
        return response.body

    assert run(flow(), HttpClient(insecure_loopback_http=True)) == b"ok"
    assert asyncio.run(arun(flow(), AsyncHttpClient(insecure_loopback_http=True))) == b"ok"
