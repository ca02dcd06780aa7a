"""A vault sealed with GNOME's keyring: one that works, is locked, absent, empty, hung, full, or keeps too little."""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_keyring import SmallKeyring

from doorward.errors import KeyringLocked, KeyringUnavailable, VaultError
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import Keys
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from secret_service import SessionBus

pytestmark = pytest.mark.peer

DOORWARD = str(Path(sys.executable).with_name("doorward"))
TOKEN = "planted-access"


@pytest.fixture
def bus(session_bus: SessionBus) -> SessionBus:
    return session_bus


@pytest.fixture
def keyring(bus: SessionBus) -> subprocess.Popen[bytes]:
    return bus.start_keyring()


def make_entry(**changes: object) -> ProfileEntry:
    now = time.time()
    entry = ProfileEntry(
        profile="default",
        issuer="https://id.example.org",
        client_id="cli",
        client_authentication="none",
        created_at=now,
        access_token=Secret(TOKEN),
        access_token_issued_at=now,
        access_token_expires_at=now + 3600,
        refresh_token=Secret("planted-refresh"),
    )
    return dataclasses.replace(entry, **changes)


@pytest.fixture
def vault() -> Vault:
    vault = Vault()
    vault.put(make_entry())
    return vault


def sealing(vault: Vault) -> Sealing:
    return Sealing(vault.folder, (vault.profiles, vault.institutions), keys=Keys())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DOORWARD, *arguments], capture_output=True, text=True, timeout=60, check=False)


def held(vault: Vault) -> list[str]:
    return [file.name for file in Path(vault.folder).iterdir()]


def in_plain(vault: Vault) -> list[str]:
    return [file.name for file in Path(vault.folder).iterdir() if b"planted" in file.read_bytes()]


class TestItWorks:
    def test_seal_use_rotate_and_unseal_at_the_command_line(self, bus, keyring, vault, prompter) -> None:
        assert run("vault", "seal").returncode == 0
        assert in_plain(vault) == []
        assert bus.keys() == 1
        assert run("token").stdout == f"{TOKEN}\n"
        standing = json.loads(run("vault", "status", "--json").stdout)
        assert (standing["state"], standing["key"], standing["error"]) == ("sealed", "keyring", None)
        before = (Path(vault.folder) / "seal.json").read_bytes()
        assert run("vault", "rotate").returncode == 0
        assert (Path(vault.folder) / "seal.json").read_bytes() != before
        assert bus.keys() == 1  # the old key is gone
        assert run("token").stdout == f"{TOKEN}\n"
        assert run("vault", "unseal").returncode == 0
        assert bus.keys() == 0
        assert in_plain(vault) == ["profile-default.json"]
        assert run("token").stdout == f"{TOKEN}\n"
        assert not prompter()

    def test_a_vault_that_moves_to_a_key_file_leaves_no_key_behind(self, bus, keyring, vault, tmp_path) -> None:
        sealing(vault).seal("keyring")
        key_file = str(tmp_path / "vault.key")
        assert run("vault", "rotate", "--key-file", key_file).returncode == 0
        assert bus.keys() == 0
        assert run("token").returncode == 2  # the key file is to be named

    def test_the_bus_is_found_where_systemd_has_it(self, bus, keyring, vault, monkeypatch) -> None:
        """As in cron, and over SSH."""
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(bus.folder))
        sealing(vault).seal("keyring")
        assert vault.get("default") is not None


class TestItIsLocked:
    def test_nothing_is_sealed(self, bus, keyring, vault, prompter) -> None:
        bus.lock()
        with pytest.raises(KeyringLocked):
            sealing(vault).seal("keyring")
        assert in_plain(vault) == ["profile-default.json"]
        assert held(vault) == ["profile-default.json"]
        assert not prompter()

    def test_a_sealed_vault_says_so_opens_no_window_and_ends_no_session(self, bus, keyring, vault, prompter) -> None:
        sealing(vault).seal("keyring")
        bus.lock()
        told = run("token")
        assert (told.returncode, told.stdout) == (1, "")
        assert "keyring is locked" in told.stderr
        assert json.loads(run("status", "--json").stdout)[0]["error"]["code"] == "keyring_locked"
        for use in (lambda: vault.get("default"), lambda: vault.put(make_entry()), vault.check_room):
            with pytest.raises(KeyringLocked):
                use()
        assert not prompter()
        assert in_plain(vault) == []
        bus.unlock()
        assert run("token").stdout == f"{TOKEN}\n"


class TestItIsNotThere:
    def expect(self, vault: Vault, reason: str) -> None:
        with pytest.raises(KeyringUnavailable) as refused:
            sealing(vault).seal("keyring")
        assert refused.value.reason == reason
        assert held(vault) == ["profile-default.json"]
        assert vault.get("default").access_token == Secret(TOKEN)

    def test_no_service(self, bus, vault) -> None:
        self.expect(vault, "keyring_absent")

    @pytest.mark.parametrize("address", ["", "unix:path=/nowhere", "tcp:host=localhost", "nonsense"])
    def test_no_bus(self, vault, monkeypatch, address) -> None:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        self.expect(vault, "keyring_no_bus")

    def test_no_collection(self, bus, vault) -> None:
        bus.start_keyring(unlocked=False)
        self.expect(vault, "keyring_empty")

    def test_a_key_that_was_removed_there(self, bus, keyring, vault) -> None:
        sealing(vault).seal("keyring")
        keyring.kill()
        keyring.wait(10)
        (bus.folder / ".local/share/keyrings/login.keyring").unlink()
        bus.start_keyring()
        with pytest.raises(KeyringUnavailable) as refused:
            vault.get("default")
        assert refused.value.reason == "seal_key_missing"
        assert in_plain(vault) == []


class TestItDoesNotAnswer:
    def test_nothing_is_sealed_and_the_wait_is_short(self, bus, keyring, vault) -> None:
        keyring.send_signal(signal.SIGSTOP)
        with pytest.raises(KeyringUnavailable) as refused:
            sealing(vault).seal("keyring")
        assert refused.value.reason == "keyring_hung"
        keyring.send_signal(signal.SIGCONT)
        assert held(vault) == ["profile-default.json"]
        sealing(vault).seal("keyring")
        assert in_plain(vault) == []

    def test_a_sealed_vault_says_so_and_asks_not_again_at_once(self, bus, keyring, vault) -> None:
        vault.put(make_entry(profile="home"))
        sealing(vault).seal("keyring")
        keyring.send_signal(signal.SIGSTOP)
        began_at = time.monotonic()
        for profile in ("default", "home", "default"):
            with pytest.raises(KeyringUnavailable) as refused:
                vault.get(profile)
            assert refused.value.reason == "keyring_hung"
        assert time.monotonic() - began_at < 10, "each of them waited"
        keyring.send_signal(signal.SIGCONT)
        assert run("token").stdout == f"{TOKEN}\n"

    def test_the_bus_may_hang_too(self, bus, keyring, vault) -> None:
        sealing(vault).seal("keyring")
        bus.stop()
        with pytest.raises(KeyringUnavailable) as refused:
            vault.get("default")
        assert refused.value.reason == "keyring_hung"


class TestItKeepsTooLittle:
    def test_one_whose_disk_is_full_is_told_from_one_that_works(self, bus, keyring, vault) -> None:
        resource.prlimit(keyring.pid, resource.RLIMIT_FSIZE, (0, 0))
        with pytest.raises(KeyringUnavailable) as refused:
            sealing(vault).seal("keyring")
        assert refused.value.reason == "keyring_refused"
        assert "disk is full" in refused.value.message
        assert held(vault) == ["profile-default.json"]

    @pytest.mark.parametrize("most", [0, 20])
    def test_one_that_cuts_what_it_is_given_seals_nothing(self, bus, vault, most) -> None:
        with SmallKeyring(bus.address, most=most) as small, pytest.raises(KeyringUnavailable) as refused:
            sealing(vault).seal("keyring")
        assert refused.value.reason == "keyring_too_small"
        assert small.kept == {}  # what it took is taken back
        assert held(vault) == ["profile-default.json"]

    def test_one_that_answers_nonsense_is_refused(self, bus, vault) -> None:
        with SmallKeyring(bus.address, most=99, nonsense=True), pytest.raises(VaultError) as refused:
            sealing(vault).seal("keyring")
        assert refused.value.reason == "keyring_refused"
