from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from in_memory import PausedClock

from doorward.errors import SignInRequired
from doorward.signin.cooldown import Cooldown
from doorward.system import SystemClock
from doorward.vault.files import MAX_FILE_BYTES, write_private_file
from doorward.vault.folders import unanswered_file
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(str(tmp_path / "vault"))


def test_the_quiet_begins_without_an_answer_and_ends_with_one(vault: Vault) -> None:
    cooldown = Cooldown(vault, "default", SystemClock())
    cooldown.check()
    cooldown.unanswered()
    with pytest.raises(SignInRequired) as quiet:
        cooldown.check()
    assert quiet.value.reason == "cooling_down"
    Cooldown(vault, "other", SystemClock()).check()
    cooldown.answered()
    cooldown.check()


@pytest.mark.parametrize(
    ("profile", "command"), [("default", "`doorward login`"), ("work", "`doorward login --profile work`")]
)
def test_it_says_how_to_sign_in_all_the_same(vault: Vault, profile: str, command: str) -> None:
    cooldown = Cooldown(vault, profile, SystemClock())
    cooldown.unanswered()
    with pytest.raises(SignInRequired, match="--device") as quiet:
        cooldown.check()
    assert command in quiet.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"unanswered": "1", "last_at": 9}',
        b'{"unanswered": -1, "last_at": true}',
        b'{"unanswered": 1, "last_at": 99999999999}',  # by a clock that was set back since
        b" " * (MAX_FILE_BYTES + 1),
    ],
)
def test_a_file_that_says_nothing_holds_nobody_up(vault: Vault, content: bytes) -> None:
    write_private_file(vault.folder, unanswered_file("default"), content)
    cooldown = Cooldown(vault, "default", SystemClock())
    cooldown.check()
    cooldown.unanswered()
    with pytest.raises(SignInRequired):
        cooldown.check()


def test_the_quiet_doubles_to_an_hour(vault: Vault) -> None:
    clock = PausedClock()
    cooldown = Cooldown(vault, "default", clock)
    quiet = []
    for _ in range(8):
        cooldown.unanswered()
        with pytest.raises(SignInRequired, match="no program asks again for") as held_back:
            cooldown.check()
        quiet.append(int(held_back.value.message.partition("again for ")[2].partition(" s.")[0]))
        clock.at += quiet[-1]
        cooldown.check()
    assert quiet == [60, 120, 240, 480, 960, 1920, 3600, 3600]
