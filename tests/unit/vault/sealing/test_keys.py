"""Where a vault's keys come from, and what is refused there."""

import errno
import os
import stat

import pytest

from doorward.errors import ConfigurationError, DoorwardError, VaultError
from doorward.vault.sealing.keys import Keys, make_key_file

WORDS = "six words that nobody ever guesses"


class TestAPassphrase:
    @pytest.fixture
    def sealed(self, vault, make_entry, sealing, monkeypatch):
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", WORDS)
        vault.put(make_entry())
        sealing().seal("passphrase")
        return vault

    def test_it_seals_and_opens(self, sealed, make_entry, content):
        assert b"planted" not in content("profile-work.json")
        assert sealed.get("work") == make_entry()
        assert WORDS.encode() not in content("seal.json")

    @pytest.mark.parametrize(
        ("passphrase", "reason"),
        [
            ("", "seal_key_not_given"),
            ("too short", "passphrase_short"),
            (WORDS + " ", "seal_unproven"),
            (WORDS.upper(), "seal_unproven"),
        ],
    )
    def test_another_opens_nothing(self, sealed, monkeypatch, passphrase, reason):
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", passphrase)
        with pytest.raises(DoorwardError) as refused:
            sealed.get("work")
        assert refused.value.reason == reason
        assert not passphrase or passphrase not in refused.value.message

    def test_one_that_is_not_the_newest_is_tried_too(self, sealed, sealing, make_entry, monkeypatch):
        assert sealing(passphrases=("another six words, not guessed",)).standing().error is None
        sealing(passphrases=("another six words, not guessed",)).rotate("passphrase")
        with pytest.raises(VaultError):
            sealed.get("work")
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", "another six words, not guessed")
        assert sealed.get("work") == make_entry()

    def test_a_short_one_seals_nothing(self, vault, make_entry, sealing, folder):
        vault.put(make_entry())
        with pytest.raises(ConfigurationError) as refused:
            sealing(passphrases=("eleven char",)).seal("passphrase")
        assert refused.value.reason == "passphrase_short"
        assert os.listdir(folder) == ["profile-work.json"]


class TestAKeyFile:
    def test_one_is_made_for_its_owner_alone_and_never_replaced(self, tmp_path, folder):
        path = str(tmp_path / "vault.key")
        make_key_file(path, vault_folder=folder)
        first = (tmp_path / "vault.key").read_bytes()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert len(first.strip()) == 44
        make_key_file(path, vault_folder=folder)
        assert (tmp_path / "vault.key").read_bytes() == first

    @pytest.mark.parametrize("place", ["", "below", "elsewhere/.."])
    def test_it_may_not_lie_in_the_vault(self, vault, make_entry, folder, tmp_path, place):
        vault.put(make_entry())
        (tmp_path / "elsewhere").mkdir()
        where = os.path.join(folder, place) if place != "elsewhere/.." else str(tmp_path / place / "vault")
        with pytest.raises(ConfigurationError) as refused:
            make_key_file(os.path.join(where, "vault.key"), vault_folder=folder)
        assert refused.value.reason == "key_file_in_vault"

    def test_it_outlives_a_power_cut_before_anything_is_sealed_with_it(self, tmp_path, folder, monkeypatch):
        """With its name: a file whose folder was not written may be gone, and the vault with it."""
        kept, fsync = [], os.fsync

        def noted(fd):
            kept.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"{os.fstat(fd).st_size} bytes")
            fsync(fd)

        monkeypatch.setattr(os, "fsync", noted)
        monkeypatch.chdir(tmp_path)
        make_key_file("vault.key", vault_folder=folder)
        assert kept == ["45 bytes", "folder"]

    def test_where_the_disk_is_full_no_half_is_left_and_it_is_said(self, tmp_path, folder, monkeypatch):
        def full(fd):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError) as refused:
            make_key_file(str(tmp_path / "vault.key"), vault_folder=folder)
        assert refused.value.reason == "key_file_unwritable"
        assert not (tmp_path / "vault.key").exists()

    def test_each_is_another(self, tmp_path, folder):
        for name in ("one", "two"):
            make_key_file(str(tmp_path / name), vault_folder=folder)
        assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()

    def test_a_link_does_not_hide_that_it_lies_in_the_vault(self, vault, make_entry, folder, tmp_path):
        vault.put(make_entry())
        (tmp_path / "link").symlink_to(folder)
        with pytest.raises(ConfigurationError) as refused:
            make_key_file(str(tmp_path / "link" / "vault.key"), vault_folder=folder)
        assert refused.value.reason == "key_file_in_vault"

    def test_one_that_nobody_names_is_asked_for(self, sealed, monkeypatch):
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        with pytest.raises(ConfigurationError) as refused:
            sealed.get("work")
        assert (refused.value.reason, refused.value.field) == ("seal_key_not_given", "DOORWARD_VAULT_KEY_FILE")

    def test_another_one_opens_nothing_and_writes_nothing(self, sealed, make_entry, tmp_path, monkeypatch):
        make_key_file(str(tmp_path / "another.key"), vault_folder=sealed.folder)
        monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", str(tmp_path / "another.key"))
        for use in (lambda: sealed.get("work"), lambda: sealed.put(make_entry(profile="home"))):
            with pytest.raises(VaultError) as refused:
                use()
            assert refused.value.reason == "seal_unproven"
        assert sealed.names() == ["work"]

    def test_where_none_can_be_made_it_is_said(self, tmp_path, folder):
        with pytest.raises(ConfigurationError) as refused:
            make_key_file(str(tmp_path / "no" / "such" / "folder" / "vault.key"), vault_folder=folder)
        assert refused.value.reason == "key_file_unwritable"

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (os.unlink, "key_file_unreadable"),
            (lambda path: os.chmod(path, 0o640), "key_file_mode"),
            (lambda path: os.chmod(path, 0o622), "file_mode"),  # noqa: S103 - it is to be refused
            (lambda path: os.truncate(path, 20), "key_file_short"),
            (lambda path: (os.unlink(path), os.mkdir(path)), "key_file_unreadable"),
            (lambda path: (os.unlink(path), os.mkfifo(path, 0o600)), "not_a_file"),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, sealed, key_file, spoil, reason):
        spoil(key_file)
        with pytest.raises(DoorwardError) as refused:
            sealed.get("work")
        assert refused.value.reason == reason
        assert key_file in refused.value.message


class TestNewKeys:
    @pytest.mark.parametrize("source", ["keyring", "passphrase"])
    def test_no_two_have_anything_in_common(self, source):
        keys = Keys(passphrases=(WORDS,))
        one, two = keys.new(source), keys.new(source)
        assert one.id != two.id
        assert keys.known(one.id) != keys.known(two.id)
        assert source == "keyring" or one.salt != two.salt

    def test_those_that_are_remembered_are_few(self):
        keys = Keys()
        for number in range(1000):
            keys.remember(str(number), b"root")
        assert sum(keys.known(str(number)) is not None for number in range(1000)) < 100
        assert keys.known("999") == b"root"
