"""Sealing, new keys and unsealing: what each does, refuses, and goes on with. Crashes stand in ``tests/crash``."""

import json
import os
import threading
import time
from contextlib import suppress

import pytest

from doorward.errors import ConfigurationError, LockTimeout, StoreError, UnsafePermissions, VaultError
from doorward.vault.lock import FileLock
from doorward.vault.sealing import changing
from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import Keys, make_key_file

ASIDE = "profile-work.json.corrupt-20261121T222640Z-01234567"
WORDS = "six words that nobody ever guesses"


class TestSeal:
    def test_it_says_what_it_did_and_how_the_vault_stands(self, vault, make_entry, sealing, key_file):
        vault.put(make_entry())
        vault.put(make_entry(profile="home"))
        standing = sealing().standing()
        assert (standing.state, standing.source, standing.error) == ("plain", None, None)
        assert standing.plain == ("profile-home.json", "profile-work.json")
        done = sealing().seal("key_file")
        assert (done.source, done.rewritten, done.left, done.completed, done.problem) == (
            "key_file",
            2,
            (),
            False,
            None,
        )
        standing = sealing().standing()
        assert (standing.state, standing.source, standing.error) == ("sealed", "key_file", None)
        assert (standing.sealed, standing.plain) == (("profile-home.json", "profile-work.json"), ())

    def test_an_empty_vault_can_be_sealed_before_the_first_sign_in(self, vault, make_entry, sealing, key_file, content):
        sealing().seal("key_file")
        vault.put(make_entry())
        assert b"planted" not in content("profile-work.json")

    def test_a_sealed_one_is_not_sealed_twice(self, sealed, sealing):
        with pytest.raises(VaultError) as refused:
            sealing().seal("key_file")
        assert refused.value.reason == "already_sealed"

    def test_what_was_set_aside_is_sealed_and_what_killed_writers_left_is_removed(
        self, vault, make_entry, sealing, key_file, content, folder
    ):
        vault.put(make_entry())
        content(ASIDE, b"planted half")
        content(".profile-work.json.0123456789abcdef.tmp", b"planted left over")
        content("unanswered-profile-work.json", b"{}")
        sealing().seal("key_file")
        assert sorted(os.listdir(folder)) == ["profile-work.json", ASIDE, "seal.json", "unanswered-profile-work.json"]
        assert b"planted" not in content(ASIDE)
        sealing().rotate()
        sealing().unseal()
        assert content(ASIDE) == b"planted half"
        assert vault.get("work") == make_entry()

    @pytest.mark.parametrize("size", [1_300_000, 2_000_000])
    def test_what_is_too_large_to_be_sealed_is_named(self, vault, make_entry, sealing, key_file, content, size):
        vault.put(make_entry())
        content(ASIDE, b"x" * size)
        assert sealing().seal("key_file").left == (ASIDE,)
        assert len(content(ASIDE)) == size
        assert sealing().standing().state == "sealed"

    def test_nothing_is_changed_without_a_key(self, vault, make_entry, sealing, content, folder):
        vault.put(make_entry())
        for source in ("key_file", "passphrase"):
            with pytest.raises(ConfigurationError) as refused:
                sealing().seal(source)
            assert refused.value.reason == "seal_key_not_given"
        assert os.listdir(folder) == ["profile-work.json"]
        assert vault.get("work") == make_entry()


class TestRotate:
    def test_the_new_key_opens_and_the_old_one_does_not(
        self, sealed, make_entry, sealing, content, tmp_path, monkeypatch
    ):
        new = str(tmp_path / "new.key")
        make_key_file(new, vault_folder=sealed.folder)
        assert sealing(key_files=(new,)).rotate("key_file").rewritten == 1
        with pytest.raises(VaultError) as refused:
            sealed.get("work")
        assert refused.value.reason == "seal_unproven"
        monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", new)
        assert sealed.get("work") == make_entry()

    def test_a_key_of_another_kind_can_take_over(self, sealed, make_entry, sealing, monkeypatch):
        assert sealing(passphrases=(WORDS,)).rotate("passphrase").source == "passphrase"
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", WORDS)
        assert sealed.get("work") == make_entry()

    def test_a_plain_vault_has_no_key_to_change(self, vault, sealing, key_file):
        for change in (sealing().rotate, sealing().unseal):
            with pytest.raises(VaultError) as refused:
                change()
            assert refused.value.reason == "not_sealed"

    def test_a_planted_plain_entry_is_not_taken_along(self, sealed, sealing, content):
        content("profile-evil.json", b'{"planted": 1}')
        assert sealing().standing().plain == ("profile-evil.json",)
        assert sealing().rotate().left == ("profile-evil.json",)
        assert content("profile-evil.json") == b'{"planted": 1}'

    def test_what_can_not_be_opened_is_left_and_named(self, sealed, make_entry, sealing, content):
        broken = content("profile-work.json").replace(b'"nonce":"', b'"nonce":"AA')
        content("profile-work.json", broken)
        sealed.put(make_entry(profile="home"))
        assert sealing().rotate().left == ("profile-work.json",)
        assert content("profile-work.json") == broken
        assert sealed.get("home") == make_entry(profile="home")


class TestUnseal:
    def test_all_is_in_plain_again_and_the_seal_is_gone(self, sealed, make_entry, sealing, folder, monkeypatch):
        done = sealing().unseal()
        assert (done.source, done.rewritten) == (None, 1)
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        assert os.listdir(folder) == ["profile-work.json"]
        assert sealed.get("work") == make_entry()
        sealed.put(make_entry(failures=8))
        assert sealed.get("work") == make_entry(failures=8)


class TestCutOff:
    """A change that failed amid its entries: the first was written anew, the second was not."""

    @pytest.fixture
    def cut_off(self, vault, make_entry, monkeypatch, key_file):
        vault.put(make_entry(profile="home"))
        vault.put(make_entry())

        def change(how, *arguments):
            write = changing.write_private_file

            def failing(folder, name, data):
                if name == "profile-work.json":
                    raise StoreError("gone", reason="io")
                write(folder, name, data)

            with monkeypatch.context() as patched, suppress(StoreError):
                patched.setattr(changing, "write_private_file", failing)
                how(*arguments)

        return change

    def test_sealing_is_completed_with_the_key_that_was_begun_with(self, vault, make_entry, sealing, cut_off, content):
        cut_off(sealing().seal, "key_file")
        assert sealing().standing()[:4] == ("sealing", "key_file", ("profile-home.json",), ("profile-work.json",))
        assert vault.get("work") == make_entry()
        begun = json.loads(content("seal.json"))["writes"]
        assert sealing().seal("key_file")[1:4] == (1, (), True)
        assert json.loads(content("seal.json"))["writes"] == begun

    def test_so_is_a_new_key_and_its_kind_is_told(self, vault, make_entry, sealing, cut_off, content, monkeypatch):
        sealing().seal("key_file")
        cut_off(sealing(passphrases=(WORDS,)).rotate, "passphrase")
        begun = json.loads(content("seal.json"))["writes"]
        assert sealing().standing()[:2] == ("rotating", "passphrase")
        before = content("profile-home.json")
        assert sealing(passphrases=(WORDS,)).rotate()[:4] == ("passphrase", 1, (), True)
        assert json.loads(content("seal.json"))["writes"] == begun
        assert content("profile-home.json") == before, "it was under the new key"
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", WORDS)
        assert vault.get("work") == make_entry()

    def test_nothing_is_written_while_one_of_its_keys_is_not_at_hand(self, sealing, cut_off, content, monkeypatch):
        sealing().seal("key_file")
        cut_off(sealing(passphrases=(WORDS,)).rotate, "passphrase")
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        before = content("seal.json"), content("profile-work.json")
        with pytest.raises(ConfigurationError) as refused:
            sealing(passphrases=(WORDS,)).rotate()
        assert refused.value.reason == "seal_key_not_given"
        assert (content("seal.json"), content("profile-work.json")) == before

    def test_taking_the_seal_off_is_completed(self, vault, make_entry, sealing, cut_off, folder):
        sealing().seal("key_file")
        cut_off(sealing().unseal)
        assert sealing().standing()[0] == "unsealing"
        assert sealing().unseal()[:4] == (None, 1, (), True)
        assert sorted(os.listdir(folder)) == ["profile-home.json", "profile-work.json"]
        assert vault.get("work") == make_entry()


class TestWhatIsNotOurs:
    @pytest.mark.parametrize("change", ["rotate", "unseal"])
    @pytest.mark.parametrize("forged", [{"spare": ["another vault's key"]}, {"plain": True}], ids=str)
    def test_a_forged_seal_is_not_made_good(self, sealed, sealing, content, change, forged):
        """Not even by a process that has found the key already: what it repeats in a seal of its own, it proves."""
        ours = sealing()
        ours.rotate()
        forgery = json.dumps({**json.loads(content("seal.json")), **forged}).encode()
        content("seal.json", forgery)
        for each in (ours, sealing()):
            with pytest.raises(VaultError) as refused:
                getattr(each, change)()
            assert refused.value.reason == "seal_unproven"
            assert content("seal.json") == forgery

    def test_a_seal_that_is_exchanged_meanwhile_is_not_taken_for_ours(self, sealed, sealing, content, monkeypatch):
        write, removed = changing.write_private_file, []

        def exchanged(folder, name, data):
            if name == "seal.json" and len(json.loads(data)["keys"]) == 1:  # the last step: the old key is gone
                data = json.dumps({**json.loads(data), "spare": ["another vault's key"]}).encode()
            write(folder, name, data)

        monkeypatch.setattr(changing, "write_private_file", exchanged)
        monkeypatch.setattr(changing.os_keyring, "remove", removed.append)
        assert sealing().rotate().rewritten == 1
        assert removed == []

    def test_an_entry_from_a_backup_is_left_and_named(self, sealed, sealing, content):
        backup = content("profile-work.json")
        sealing().rotate()
        content("profile-work.json", backup)
        assert sealing().rotate().left == ("profile-work.json",)
        assert content("profile-work.json") == backup

    def test_one_that_others_could_have_written_stops_the_change(self, sealed, make_entry, sealing, folder):
        """It is not left under a key that is then gone: once its mode is right, the change goes on."""
        os.chmod(os.path.join(folder, "profile-work.json"), 0o666)  # noqa: S103 - it is to be refused
        with pytest.raises(UnsafePermissions):
            sealing().rotate()
        os.chmod(os.path.join(folder, "profile-work.json"), 0o600)
        assert sealing().rotate()[1:4] == (1, (), True)
        assert sealed.get("work") == make_entry()


class TestOthersAtWork:
    def test_one_change_at_a_time(self, sealed, sealing, folder):
        with sealed.lock("work") as lock:
            lock.try_acquire()

            def rotate_at_last():
                with suppress(LockTimeout):  # the look below held the lock for an instant
                    return sealing().rotate()
                return rotate_at_last()

            waiting = threading.Thread(target=rotate_at_last)
            waiting.start()
            with FileLock(os.path.join(folder, "seal.lock")) as look:
                while look.try_acquire():
                    look.release()
                    time.sleep(0.01)
            with pytest.raises(LockTimeout) as refused:
                sealing().rotate()
            assert refused.value.reason == "lock_held"
        waiting.join(30)
        assert sealing().standing().state == "sealed"

    def test_a_refresh_that_is_under_way_is_waited_for_and_not_undone(self, sealed, make_entry, sealing):
        with sealed.lock("work") as lock:
            lock.try_acquire()
            changing = threading.Thread(target=sealing().unseal)
            changing.start()
            changing.join(0.3)
            sealed.put(make_entry(failures=77))
        changing.join(30)
        assert sealed.get("work") == make_entry(failures=77)

    def test_nobody_waits_for_ever(self, sealed, sealing, folder):
        class Hurried:
            """A clock on which a minute is soon over."""

            def __init__(self):
                self.at = 0.0

            def monotonic(self):
                self.at += 10
                return self.at

            def sleep(self, seconds):
                pass

        hurried = Sealing(folder, (sealed.profiles, sealed.institutions), keys=Keys(), clock=Hurried())
        with sealed.lock("work") as lock:
            lock.try_acquire()
            with pytest.raises(LockTimeout):
                hurried.unseal()
        assert sealing().standing().state == "sealed"


class TestDrop:
    def test_the_seal_of_an_empty_vault_goes_without_its_key(self, vault, sealed, sealing, folder, key_file):
        with pytest.raises(VaultError) as refused:
            sealing().drop()
        assert refused.value.reason == "vault_not_empty"
        for name in vault.held_names():
            vault.forget(name)
        os.remove(key_file)
        assert sealing().drop() is None
        assert os.listdir(folder) == []
        assert sealing().drop() is None, "nor is one missed that is not there"

    def test_one_that_can_not_be_read_goes_too(self, vault, sealing, content, folder):
        os.makedirs(folder, 0o700)
        content("seal.json", b"{")
        assert "seal.json is not what we wrote" in sealing().drop()
        assert os.listdir(folder) == []
