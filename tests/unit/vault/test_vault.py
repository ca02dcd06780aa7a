"""Named entries at rest."""

import json
import os
import subprocess
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest

from doorward.errors import ConfigurationError, CorruptEntry, DoorwardError, UnsafePermissions, VaultError
from doorward.model import Secret
from doorward.vault.vault import Vault

SECRETS = ("planted-access", "planted-id", "planted-nonce", "planted-refresh")


def write_file(folder, name, content):
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return path


def shown(error):
    """Show an error as a crash reporter does, with the local variables of every frame but the test's own."""
    frames = error.__traceback__.tb_next
    return "".join(traceback.TracebackException(type(error), error, frames, capture_locals=True).format())


class TestPutAndGet:
    def test_what_was_put_is_got(self, vault, make_entry):
        assert vault.get("work") is None
        vault.put(make_entry())
        vault.put(make_entry(failures=0, refresh_token=Secret("next")))
        assert vault.get("work") == make_entry(failures=0, refresh_token=Secret("next"))
        assert vault.get("WORK") == vault.get("work")

    def test_a_vault_that_is_only_made_touches_nothing(self, folder, tmp_path):
        vault = Vault(folder)
        vault.lock("work")
        assert list(tmp_path.iterdir()) == []
        assert folder in repr(vault)

    def test_looking_makes_nothing(self, vault, tmp_path):
        assert (vault.get("work"), vault.names(), vault.forget("work")) == (None, [], False)
        assert vault.export("work") == {"profile": "work", "entry": None, "files": []}
        assert list(tmp_path.iterdir()) == []

    def test_by_default_it_is_where_the_environment_says(self, monkeypatch, tmp_path, make_entry):
        monkeypatch.setenv("DOORWARD_HOME", str(tmp_path))
        Vault().put(make_entry())
        assert os.listdir(tmp_path / "vault") == ["profile-work.json"]
        assert Vault().folder == str(tmp_path / "vault")

    @pytest.mark.parametrize("folder", ["", "vault", "./vault", "~/vault", "/a\0b"])
    def test_a_folder_must_be_absolute(self, folder):
        with pytest.raises(ConfigurationError) as wrong:
            Vault(folder)
        assert wrong.value.field == "folder"

    def test_every_use_refuses_a_name_that_is_none(self, vault, make_entry):
        uses = [vault.get, vault.forget, vault.export, vault.lock, lambda name: vault.put(make_entry(profile=name))]
        for use in uses:
            with pytest.raises(ConfigurationError) as wrong:
                use("../etc/passwd")
            assert wrong.value.field == "profile"

    def test_profiles_lie_side_by_side(self, vault, make_entry, folder):
        for name in ("work", "Home", "alice@example.org", "a.json", "profile-work", "x.json.corrupt-1"):
            vault.put(make_entry(profile=name))
        write_file(folder, "profile-A.json", b"not one of ours")
        write_file(folder, "notes.txt", b"not one of ours")
        assert vault.names() == ["a.json", "alice@example.org", "home", "profile-work", "work", "x.json.corrupt-1"]
        assert all(vault.get(name).profile.lower() == name for name in vault.names())

    def test_what_is_held_is_known_by_name_whatever_it_is(self, vault, make_entry, folder):
        vault.put(make_entry(profile="whole"))
        for file in (
            "profile-aside.json.corrupt-20261121T222640Z-01234567",
            ".profile-killed.json.0123456789abcdef.tmp",
            "unanswered-profile-asked.json",
            "unanswered-profile-profile-x.json",
            "institution-uni.json.corrupt-20261121T222640Z-01234567",
            "profile-..json",
            "notes.txt",
        ):
            write_file(folder, file, b"planted")
        held = vault.held_names()
        assert held == ["aside", "asked", "killed", "profile-x", "whole"]
        assert vault.institutions.held_names() == ["uni"]
        assert all(vault.forget(name) for name in held)
        assert vault.held_names() == []

    @pytest.mark.parametrize(
        "odd",
        [
            {"access_token": Secret("x" * 2_000_000)},
            {"created_at": float("nan")},
            {"access_token_expires_at": 1e18},
            {"claims": {"iss": "i", "sub": "s", "x": float("inf")}},
            {"claims": {"iss": "i", "sub": "s", "x": b"bytes"}},
            {"claims": {"iss": "i", "sub": "s", "x": 2**70}},
            {"claims": {"iss": "i"}},
            {"claims": {"iss": "i", "sub": "s", "x": json.loads("[" * 50 + "]" * 50)}},
            {"client_authentication": "client_secret_jwt"},
            {"issuer": "\ud800"},
            {"failures": -1},
        ],
    )
    def test_what_could_not_be_read_again_is_not_written(self, vault, make_entry, odd):
        vault.put(make_entry())
        with pytest.raises(VaultError) as refused:
            vault.put(make_entry(**odd))
        assert refused.value.reason == "not_storable"
        assert vault.get("work") == make_entry()

    def test_claims_as_deep_as_a_token_may_have_them_are_kept(self, vault, make_entry):
        claims = {"iss": "i", "sub": "s", "deep": json.loads("[" * 15 + "]" * 15)}
        vault.put(make_entry(claims=claims))
        assert vault.get("work").claims == claims


class TestCorruptFiles:
    def test_one_is_set_aside_once_and_the_message_says_where(self, folder, make_entry):
        vault = Vault(folder, clock=SimpleNamespace(now=lambda: 1_795_300_000.0))
        write_file(folder, "profile-work.json", b"{")
        with pytest.raises(CorruptEntry, match="Sign in again") as corrupt:
            vault.get("work")
        assert corrupt.value.reason == "json_syntax"
        (aside,) = os.listdir(folder)
        assert aside.startswith("profile-work.json.corrupt-20261121T222640Z-")
        assert os.path.join(folder, aside) in corrupt.value.message
        assert vault.get("work") is None
        assert vault.names() == []
        vault.put(make_entry())
        assert vault.get("work") == make_entry()

    def test_another_profiles_file_is_corrupt(self, vault, folder, make_entry):
        vault.put(make_entry())
        os.rename(os.path.join(folder, "profile-work.json"), os.path.join(folder, "profile-home.json"))
        with pytest.raises(CorruptEntry) as corrupt:
            vault.get("home")
        assert corrupt.value.reason == "wrong_profile"

    def test_one_of_a_newer_version_stays_for_the_newer_program(self, vault, folder, make_entry):
        document = json.dumps({**make_entry().to_json(), "version": 3, "sealed": "…"}).encode()
        write_file(folder, "profile-work.json", document)
        for _ in range(2):
            with pytest.raises(VaultError, match="newer") as refused:
                vault.get("work")
            assert refused.value.reason == "newer_version"
            assert not isinstance(refused.value, CorruptEntry)
        assert os.listdir(folder) == ["profile-work.json"]

    @pytest.mark.parametrize("version", [1, 3])
    def test_what_a_writer_puts_there_just_before_it_is_set_aside_is_put_back(self, folder, make_entry, version):
        """Whether we can read it or only a newer Doorward can."""
        good = json.dumps({**make_entry().to_json(), "version": version}, separators=(",", ":")).encode()

        def now():
            write_file(folder, "profile-work.json", good)
            return 1_795_300_000.0

        write_file(folder, "profile-work.json", b"{")
        vault = Vault(folder, clock=SimpleNamespace(now=now))
        if version == 1:
            assert vault.get("work") == make_entry()
        else:
            with pytest.raises(VaultError, match="newer"):
                vault.get("work")
        assert os.listdir(folder) == ["profile-work.json"]

    def test_what_others_could_read_is_refused_and_stays(self, vault, folder, make_entry):
        vault.put(make_entry())
        os.chmod(os.path.join(folder, "profile-work.json"), 0o644)
        with pytest.raises(UnsafePermissions):
            vault.get("work")
        assert os.listdir(folder) == ["profile-work.json"]

    def test_no_error_holds_what_was_read(self, vault, folder, make_entry):
        plain = json.dumps(make_entry().to_json())
        broken = [
            plain[:-1],
            plain.replace('"version": 1', '"version": 9'),
            plain.replace('"failures": 3', '"failures": []'),
        ]
        for content in broken:
            write_file(folder, "profile-work.json", content.encode())
            with pytest.raises(VaultError) as refused:
                vault.get("work")
            assert not [secret for secret in SECRETS if secret in shown(refused.value)]
            assert refused.value.__context__ is None

    def test_no_error_holds_what_was_to_be_written(self, vault, folder, make_entry):
        os.makedirs(os.path.join(folder, "profile-work.json"))
        for entry in (make_entry(), make_entry(created_at=float("nan"))):
            with pytest.raises(DoorwardError) as refused:
                vault.put(entry)
            assert not [secret for secret in SECRETS if secret in shown(refused.value)]

    def test_a_good_file_that_a_writer_put_there_meanwhile_is_kept(self, vault, folder, make_entry, tmp_path):
        """Many readers find a bad file while a writer replaces it: whatever they move, the new one survives."""
        code = """
import os, sys
from doorward.errors import CorruptEntry, StoreError, UnsafePermissions
from doorward.vault.vault import Vault
vault = Vault(sys.argv[1])
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    try:
        vault.get("work")
    except (CorruptEntry, StoreError):
        pass
    except UnsafePermissions as error:
        assert error.reason == "hard_link"  # for an instant, while a file is put back
"""
        stop = tmp_path / "stop"
        command = [sys.executable, "-c", code, folder, stop]
        with ExitStack() as readers:
            running = [readers.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)) for _ in range(3)]
            readers.callback(stop.touch)
            for reader in running:
                reader.stdout.readline()
            for number in range(300):
                write_file(folder, "profile-work.json", b"{")
                vault.put(make_entry(failures=number))
                assert self.comes_back(vault, make_entry(failures=number))
            stop.touch()
            assert [reader.wait(30) for reader in running] == [0, 0, 0]

    def comes_back(self, vault, entry):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(UnsafePermissions):
                if vault.get("work") == entry:
                    return True
        return False


class TestForgetting:
    def fill(self, vault, folder, make_entry, profile):
        name = f"profile-{profile}.json"
        write_file(folder, name, b"{")
        with pytest.raises(CorruptEntry):
            vault.get(profile)
        vault.put(make_entry(profile=profile))
        write_file(folder, f".{name}.0123456789abcdef.tmp", b"secret of a killed writer")
        write_file(folder, f"unanswered-{name}", b"{}")
        for purpose in ("refresh", "sign_in"):
            write_file(folder, f"profile-{profile}.{purpose}.lock", b"")  # a killed holder's

    def test_everything_about_one_profile_goes_and_nothing_of_another(self, vault, folder, make_entry):
        for profile in ("work", "work2", "work.json", "unanswered-profile-work", "x-profile-work"):
            self.fill(vault, folder, make_entry, profile)
        before = set(os.listdir(folder))
        assert vault.forget("Work") is True
        gone = before - set(os.listdir(folder))
        assert len(gone) == 6
        assert {file.strip(".").removeprefix("unanswered-")[:13] for file in gone} == {"profile-work."}
        assert vault.forget("work") is False
        for profile in ("work2", "work.json", "unanswered-profile-work", "x-profile-work"):
            assert vault.get(profile) is not None
            assert len(vault.export(profile)["files"]) == 4
            vault.forget(profile)
        assert os.listdir(folder) == []

    def test_it_works_under_the_profiles_lock_which_then_goes_too(self, vault, folder, make_entry):
        vault.put(make_entry())
        with vault.lock("work") as lock:
            assert lock.try_acquire()
            assert vault.forget("work")
            assert lock.held
            assert not vault.lock("work").try_acquire()
        assert os.listdir(folder) == []

    def test_a_foreign_folder_is_not_touched(self, tmp_path, make_entry):
        (tmp_path / "real").mkdir(mode=0o700)
        (tmp_path / "real" / "profile-work.json").write_text("{}")
        (tmp_path / "vault").symlink_to("real")
        vault = Vault(str(tmp_path / "vault"))
        for use in (vault.forget, vault.export, vault.get, lambda _: vault.names(), lambda _: vault.put(make_entry())):
            with pytest.raises(UnsafePermissions):
                use("work")
        assert (tmp_path / "real" / "profile-work.json").read_text() == "{}"


class TestExporting:
    def test_it_shows_all_but_the_secrets(self, vault, folder, make_entry):
        write_file(folder, "profile-work.json", b"{")
        with pytest.raises(CorruptEntry):
            vault.get("work")
        vault.put(make_entry())
        exported = vault.export("work")
        text = json.dumps(exported)
        assert not [secret for secret in SECRETS if secret in text]
        assert exported["entry"]["refresh_token"] == "<secret>"
        assert exported["entry"]["claims"] == make_entry().claims
        assert [os.path.exists(path) for path in exported["files"]] == [True, True]


class TestLocks:
    def test_purposes_and_profiles_do_not_exclude_each_other(self, vault):
        locks = [vault.lock("a"), vault.lock("a", "sign_in"), vault.lock("b"), vault.lock("a.sign_in")]
        assert [lock.try_acquire() for lock in locks] == [True] * 4
        assert not vault.lock("A").try_acquire()
        for lock in locks:
            lock.release()

    def test_they_are_no_entries(self, vault, make_entry):
        vault.put(make_entry())
        with vault.lock("home") as lock:
            lock.try_acquire()
            assert vault.names() == ["work"]
