"""Entries on their way to disk and back while the seal changes beside them, each time at the worst moment."""

import os

import pytest

from doorward.errors import StoreError, VaultError
from doorward.vault.sealing import gate
from doorward.vault.sealing.gate import check_writable, read_entry, write_entry
from doorward.vault.sealing.keys import make_key_file
from doorward.vault.sealing.seal import PLAIN

NAME = "profile-work.json"


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something happen once, or each time, between what the gate does first and next; count its looks."""

    def arrange(happens, *, each_time=False):
        looks, left = [], [happens]

        def happen():
            if left:
                now = left[0] if each_time else left.pop()
                now()

        read, write = gate.read_private_files, gate.write_private_file

        def reading(folder, first, *others):
            looks.append(first)
            found = read(folder, first)
            happen()
            return found + read(folder, *others)

        def writing(folder, name, data):
            looks.append(name)
            happen()
            write(folder, name, data)

        monkeypatch.setattr(gate, "read_private_files", reading)
        monkeypatch.setattr(gate, "write_private_file", writing)
        return looks

    return arrange


class TestAReader:
    def test_it_sees_past_a_seal_that_comes(self, vault, make_entry, sealing, key_file, meanwhile):
        vault.put(make_entry())
        meanwhile(lambda: sealing().seal("key_file"))
        assert vault.get("work") == make_entry()

    @pytest.mark.parametrize("change", ["rotate", "unseal"])
    def test_it_sees_past_a_key_that_changes_and_a_seal_that_goes(self, sealed, make_entry, sealing, meanwhile, change):
        meanwhile(getattr(sealing(), change))
        assert sealed.get("work") == make_entry()

    def test_what_does_not_pass_is_looked_at_no_more(self, sealed, tmp_path, monkeypatch, meanwhile):
        """With a passphrase each look would cost a second."""
        make_key_file(str(tmp_path / "another.key"), vault_folder=sealed.folder)
        monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", str(tmp_path / "another.key"))
        looks = meanwhile(lambda: None)
        with pytest.raises(VaultError) as refused:
            sealed.get("work")
        assert refused.value.reason == "seal_unproven"
        assert looks == [NAME]

    def test_what_never_passes_is_told_in_the_end(self, sealed, content, folder, meanwhile):
        os.unlink(os.path.join(folder, "seal.json"))
        looks = meanwhile(lambda: None)
        with pytest.raises(VaultError) as refused:
            sealed.get("work")
        assert refused.value.reason == "seal_missing"
        assert 1 < len(looks) < 10

    def test_a_file_under_another_name_opens_as_what_it_was_sealed_as(self, sealed, content, folder):
        content("aside.json", content(NAME))
        with pytest.raises(VaultError):
            read_entry(folder, "aside.json")
        assert b"planted" in read_entry(folder, "aside.json", as_file=NAME)


class TestAWriter:
    @pytest.fixture
    def change_seal(self, vault, make_entry, sealing, key_file):
        """Change the seal of this vault, without its locks: as who writes has them not."""
        vault.put(make_entry())
        return lambda change, *how: getattr(sealing(), change)(*how)

    def test_nothing_stays_in_plain_where_a_seal_came(self, vault, make_entry, change_seal, content, meanwhile):
        meanwhile(lambda: change_seal("seal", "key_file"))
        vault.put(make_entry(failures=6))
        assert b"planted" not in content(NAME)
        assert vault.get("work") == make_entry(failures=6)

    def test_nothing_stays_under_a_key_that_is_gone(self, vault, make_entry, change_seal, meanwhile):
        change_seal("seal", "key_file")
        meanwhile(lambda: change_seal("rotate"))
        vault.put(make_entry(failures=6))
        assert vault.get("work") == make_entry(failures=6)

    def test_a_seal_that_keeps_changing_is_told(self, vault, make_entry, change_seal, meanwhile):
        change_seal("seal", "key_file")
        looks = meanwhile(lambda: change_seal("rotate"), each_time=True)
        with pytest.raises(StoreError) as refused:
            vault.put(make_entry(failures=6))
        assert refused.value.reason == "seal_keeps_changing"
        assert len(looks) < 10


class TestASealWithoutKeys:
    """It is proven by nobody, and so allows what no seal allows."""

    def test_a_plain_vault_goes_on(self, vault, make_entry, content):
        vault.put(make_entry())
        content("seal.json", PLAIN.to_bytes({}))
        check_writable(vault.folder)
        vault.put(make_entry(failures=6))
        assert vault.get("work") == make_entry(failures=6)


@pytest.mark.parametrize("held", ["open to others", "too large"])
def test_a_plain_file_that_can_not_be_read_is_replaced(vault, make_entry, content, folder, held):
    vault.put(make_entry())
    path = os.path.join(folder, NAME)
    if held == "too large":
        content(NAME, b"x" * 2_000_000)
    else:
        os.chmod(path, 0o644)
    write_entry(folder, NAME, b"new")
    assert content(NAME) == b"new"
    assert os.stat(path).st_mode & 0o777 == 0o600
