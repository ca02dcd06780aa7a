"""S15: a service signs itself in. Against the node provider in ``peers``; here what a real one can't be made to do."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import ConfigurationError, ProviderUnavailable, TransportError
from doorward.model import HttpRequest, Pause
from doorward.protocol.jwk import generate_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from people import MovedClock

    from doorward.testing import DevIssuer


@pytest.fixture
def service(issuer: DevIssuer, clock: MovedClock) -> doorward.ClientCredentials:
    issuer.add_client("batch", secret="batch-secret")
    return doorward.ClientCredentials(
        issuer.url, "batch", client_secret="batch-secret", insecure_loopback_http=True, clock=clock
    )


def test_it_is_cached_until_five_minutes_before_its_end(
    service: doorward.ClientCredentials, issuer: DevIssuer, clock: MovedClock, token_of: Callable[..., str]
) -> None:
    first = token_of(service)
    clock.ahead_s += 3290
    assert token_of(service) == first
    clock.ahead_s += 20
    assert token_of(service) != first
    assert issuer.count("token") == 2


def test_many_threads_and_tasks_cause_one_request(service: doorward.ClientCredentials, issuer: DevIssuer) -> None:
    async def tasks() -> list[str]:
        return await asyncio.gather(*(service.atoken() for _ in range(10)))

    with ThreadPoolExecutor(10) as pool:
        threads = pool.map(lambda _: service.token(), range(20))
        answers = {*threads, *asyncio.run(tasks())}
    assert len(answers) == 1
    assert issuer.count("token") == 1


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_a_copy_works(
    service: doorward.ClientCredentials, issuer: DevIssuer, again: Callable[[Any], doorward.ClientCredentials]
) -> None:
    first = service.token()
    assert again(service).token() != first
    assert issuer.count("token") == 2


def test_a_pickle_has_no_secret_and_no_token_and_says_so_when_it_must_ask(service: doorward.ClientCredentials) -> None:
    token = service.token()
    pickled = pickle.dumps(service)
    assert b"batch-secret" not in pickled
    assert token.encode() not in pickled
    with pytest.raises(ConfigurationError) as refused:
        pickle.loads(pickled).token()  # noqa: S301 - ours
    assert refused.value.reason == "secret_pickled"


def test_a_clients_key_is_not_pickled(issuer: DevIssuer) -> None:
    service = doorward.ClientCredentials(
        issuer.url, "batch", client_key=generate_signing_key("ES256"), insecure_loopback_http=True
    )
    with pytest.raises(ConfigurationError) as refused:
        pickle.dumps(service)
    assert refused.value.reason == "key_not_pickled"


def test_a_forked_process_is_not_held_up(issuer: DevIssuer) -> None:
    """A thread may be asking at the moment of the fork: what it holds stays held for ever in the child."""
    issuer.add_client("batch", secret="batch-secret")
    program = f"""if True:
        import os, threading, doorward
        service = doorward.ClientCredentials(
            {issuer.url!r}, "batch", client_secret="batch-secret", insecure_loopback_http=True
        )
        threading.Thread(target=service.token).start()
        input()
        child = os.fork()
        if not child:
            os._exit(0 if service.token() else 2)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    issuer.fail("token", "delay", delay_s=4)
    command = [sys.executable, "-W", "ignore", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        give_up_at = time.monotonic() + 60
        while not issuer.count("token"):
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        process.communicate("now\n", timeout=60)
    assert process.returncode == 0


def test_a_rejected_token_is_replaced_once(service: doorward.ClientCredentials, issuer: DevIssuer) -> None:
    rejected = service.token()
    renewed = service.renew(rejected)
    assert renewed not in (rejected, None)
    assert asyncio.run(service.arenew(rejected)) == renewed
    assert issuer.count("token") == 2


def test_an_outage_is_told_and_the_next_call_asks_again(service: doorward.ClientCredentials, issuer: DevIssuer) -> None:
    issuer.fail("token", status=503)
    with pytest.raises(ProviderUnavailable):
        service.token()
    assert service.token()


def test_a_token_that_is_still_good_is_given_out_during_an_outage(
    service: doorward.ClientCredentials, issuer: DevIssuer, clock: MovedClock, token_of: Callable[..., str]
) -> None:
    first = token_of(service)
    clock.ahead_s += 3400
    issuer.fail("token", status=503, times=None)
    assert token_of(service) == first
    clock.ahead_s += 300
    with pytest.raises(ProviderUnavailable):
        token_of(service)


def test_those_who_waited_for_a_failed_attempt_do_not_begin_another(
    service: doorward.ClientCredentials, issuer: DevIssuer
) -> None:
    def ask(_: int) -> type[Exception] | None:
        try:
            service.token()
        except ProviderUnavailable as error:
            return type(error)
        return None

    issuer.fail("discovery", status=503, delay_s=1, times=None)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(6))) == {ProviderUnavailable}
    assert issuer.count("discovery") < 6


def test_a_failure_is_not_handed_on_to_those_who_came_after_it(service: doorward.ClientCredentials) -> None:
    """However many wait one after another: an outage that is over is found to be over."""

    def caller() -> Any:
        return service._held.flow()  # noqa: SLF001 - a race that threads would win only now and then

    attempting, waiting, late = caller(), caller(), caller()
    assert isinstance(next(attempting), HttpRequest)
    assert isinstance(next(waiting), Pause)
    with pytest.raises(TransportError):
        attempting.throw(TransportError("The network is gone. Try again."))
    holding = caller()
    assert isinstance(next(holding), HttpRequest)
    assert isinstance(next(late), Pause)
    holding.close()
    with pytest.raises(TransportError):
        next(waiting)
    assert isinstance(next(late), HttpRequest)
    late.close()


def test_there_is_no_id_token(service: doorward.ClientCredentials) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        service.token("id")
    assert wrong.value.field == "kind"


def test_it_shows_no_secret(service: doorward.ClientCredentials) -> None:
    assert "secret" not in repr(service)


class TestFromTheEnvironment:
    def test_everything(self, issuer: DevIssuer, tmp_path: Path) -> None:
        issuer.add_client("batch", secret="batch-secret", methods=["client_secret_post"])
        environ = {
            "JOB_ISSUER": issuer.url,
            "JOB_CLIENT_ID": "batch",
            "JOB_CLIENT_SECRET": "batch-secret",
            "JOB_SECRET_METHOD": "client_secret_post",
            "JOB_SCOPES": "read write",
            "JOB_AUDIENCE": "https://api.example.org",
            "JOB_INSECURE_LOOPBACK_HTTP": "1",
        }
        assert doorward.ClientCredentials.from_env("JOB", environ).token()

    @pytest.mark.parametrize("missing", ["ISSUER", "CLIENT_ID", "CLIENT_SECRET"])
    def test_what_is_missing_is_named(self, missing: str) -> None:
        environ = {"X_ISSUER": "https://id.example.org", "X_CLIENT_ID": "a", "X_CLIENT_SECRET": "b"}
        del environ[f"X_{missing}"]
        with pytest.raises(ConfigurationError) as error:
            doorward.ClientCredentials.from_env("X", environ)
        assert error.value.field == f"X_{missing}"

    def test_a_key_file(self, tmp_path: Path) -> None:
        environ: dict[str, Any] = {
            "X_ISSUER": "https://id.example.org",
            "X_CLIENT_ID": "a",
            "X_CLIENT_KEY_FILE": str(tmp_path / "missing.pem"),
        }
        with pytest.raises(ConfigurationError, match="No such file") as error:
            doorward.ClientCredentials.from_env("X", environ)
        assert error.value.field == "X_CLIENT_KEY_FILE"

    def test_no_way_to_prove_itself(self) -> None:
        with pytest.raises(ConfigurationError) as error:
            doorward.ClientCredentials("https://id.example.org", "a")
        assert error.value.field == "client_secret"
