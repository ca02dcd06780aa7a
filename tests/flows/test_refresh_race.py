"""S13: however many ask, one refresh; and whoever dies on the way, the session of the others goes on."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from races import answers, expire, go, lock_holder, workers

import doorward
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import make_key_file
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from people import MovedClock

    from doorward.testing import DevIssuer


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "how"), [(50, "threads"), (6, "tasks")])
def test_however_many_ask_there_is_one_refresh(
    session: doorward.Session, issuer: DevIssuer, processes: int, how: Literal["threads", "tasks"]
) -> None:
    expire()
    with workers(processes, each=8, how=how) as started:
        go(started)
        told = [answer for worker in started for answer in answers(worker)]

    assert len(told) == 8 * processes
    assert len(set(told)) == 1
    assert told[0].startswith("token ")
    assert issuer.count("token", grant_type="refresh_token") == 1


@pytest.mark.slow
def test_of_tokens_that_are_bound_to_a_key_there_is_one_refresh_too(
    issuer: DevIssuer, clock: MovedClock, person: Path
) -> None:
    issuer.change(dpop="required")
    doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True, timeout_s=60, clock=clock)
    key = Vault().get("default").dpop_key
    expire()
    with workers(10, each=8) as started:
        go(started)
        told = [answer for worker in started for answer in answers(worker)]

    assert len(told) == 8 * 10
    assert len(set(told)) == 1
    assert told[0].startswith("token ")
    assert issuer.count("token", grant_type="refresh_token") == 1
    assert Vault().get("default").dpop_key == key


@pytest.fixture
def sealed(session: doorward.Session, doorward_home: Path, monkeypatch: pytest.MonkeyPatch) -> Sealing:
    """The vault of that session, sealed; what changes its seal."""
    vault = Vault()
    path = str(doorward_home / "vault.key")
    make_key_file(path, vault_folder=vault.folder)
    monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", path)
    sealing = Sealing(vault.folder, (vault.profiles, vault.institutions))
    sealing.seal("key_file")
    return sealing


@pytest.mark.slow
@pytest.mark.parametrize("rotated_meanwhile", [False, True])
def test_in_a_sealed_vault_there_is_one_refresh_too(
    sealed: Sealing, session: doorward.Session, issuer: DevIssuer, *, rotated_meanwhile: bool
) -> None:
    expire()
    with workers(50, each=8) as started:
        go(started)
        if rotated_meanwhile:
            sealed.rotate()
        told = [answer for worker in started for answer in answers(worker)]

    assert len(told) == 8 * 50
    assert len(set(told)) == 1
    assert told[0].startswith("token ")
    assert issuer.count("token", grant_type="refresh_token") == 1
    assert session.token()
    kept = (Path(Vault().folder) / "profile-default.json").read_bytes()
    assert b"refresh_token" not in kept


@pytest.mark.slow
def test_a_killed_holder_never_costs_a_session_that_the_provider_still_honours(
    session: doorward.Session, issuer: DevIssuer, clock: MovedClock, person: Path
) -> None:
    """The holder is killed at a random moment. A session may end only if the provider had rotated its token unseen."""
    chance = random.Random(20)  # noqa: S311 - moments, not secrets
    killed = ended = 0
    for _ in range(30):
        expire()
        vault = Vault()
        before = vault.get("default").refresh_token
        lock = Path(vault.folder) / "profile-default.refresh.lock"
        issuer.fail("token", "delay", delay_s=0.02)
        with workers(3, each=2) as started:
            go(started)
            deadline = time.monotonic() + 10
            while (holder := lock_holder(lock, started)) is None and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.06))
            if holder is not None:
                holder.kill()
                killed += not answers(holder)
            told = [answer for worker in started if worker is not holder for answer in answers(worker)]

        entry = vault.get("default")
        if entry.ended_at is None:
            assert all(answer.startswith("token ") for answer in told)
            assert doorward.open_session().token()
        else:
            ended += 1
            assert not honoured(issuer, before.reveal())
            doorward.sign_in(issuer.url, "cli", insecure_loopback_http=True)
    assert killed >= 10
    assert ended < 30


def honoured(issuer: DevIssuer, refresh_token: str) -> bool:
    """Whether the provider still takes this refresh token. Asking uses it up."""
    form = {"grant_type": "refresh_token", "client_id": "cli", "refresh_token": refresh_token}
    try:
        with urllib.request.urlopen(issuer.endpoint("token"), urllib.parse.urlencode(form).encode()) as answer:
            return "access_token" in json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)["error"] != "invalid_grant"
