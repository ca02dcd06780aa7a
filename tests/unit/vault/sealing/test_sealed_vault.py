"""A sealed vault in use: what is on disk, what somebody who can write there gets nowhere with, what plain ones cost."""

import json
import os
import subprocess
import sys
import time

import pytest

from doorward.errors import ConfigurationError, CorruptEntry, DoorwardError, VaultError
from doorward.model import Secret
from doorward.vault.fields import read_fields
from doorward.vault.glance import fresh_token
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.sealing.keys import Keys
from doorward.vault.sealing.seal import Seal
from doorward.vault.vault import Vault

NAME = "profile-work.json"


def planted(content, folder):
    return [name for name in sorted(os.listdir(folder)) if b"planted" in content(name)]


class TestWhatIsOnDisk:
    def test_no_secret_is_and_all_comes_back(self, sealed, make_entry, content, folder):
        assert planted(content, folder) == []
        assert sealed.get("work") == make_entry()
        sealed.put(make_entry(failures=4))
        assert planted(content, folder) == []
        assert sealed.get("WORK") == make_entry(failures=4)
        assert sealed.export("work")["entry"] == make_entry(failures=4).masked()

    def test_the_cookies_of_institutions_are_sealed_alike(self, vault, sealing, key_file, content, folder):
        entry = InstitutionEntry(
            name="jcu",
            where="jcu.example",
            institution_url="https://jcu.example/",
            target="https://jcu.example/paper",
            user_agent="Browser",
            signed_in_at=0,
            created_at=0,
            proven_at=0,
            cookies=(KeptCookie(name="session", value=Secret("planted-cookie"), domain="jcu.example"),),
        )
        vault.institutions.put(entry)
        assert planted(content, folder) == ["institution-jcu.json"]
        sealing().seal("key_file")
        assert planted(content, folder) == []
        assert vault.institutions.get("jcu") == entry

    def test_an_entry_that_comes_later_is_sealed_too(self, sealed, make_entry, content, folder):
        sealed.put(make_entry(profile="home"))
        assert planted(content, folder) == []
        assert sealed.get("home") == make_entry(profile="home")

    def test_the_largest_entry_there_can_be_fits(self, vault, make_entry, sealing, key_file):
        largest = make_entry(access_token=Secret("x" * 1_040_000))
        vault.put(largest)
        sealing().seal("key_file")
        assert vault.get("work") == largest
        vault.put(largest)

    def test_the_same_entry_never_looks_the_same(self, sealed, make_entry, content):
        looks = set()
        for _ in range(20):
            sealed.put(make_entry())
            looks.add(json.loads(content(NAME))["nonce"])
        assert len(looks) == 20

    def test_a_quick_look_opens_it(self, sealed, make_entry, folder, now):
        sealed.put(make_entry(ended_at=None))
        assert fresh_token(folder, "work", "access", now=now)[0] == "planted-access"
        assert fresh_token(folder, "work", "access", now=now + 4000) is None

    def test_forgetting_needs_no_key(self, sealed, folder, monkeypatch):
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        assert Vault(folder).forget("work")
        assert os.listdir(folder) == ["seal.json"]

    def test_an_older_doorward_leaves_it_where_it_is(self, sealed, content):
        with pytest.raises(CorruptEntry) as refused:
            read_fields(json.loads(content(NAME)), kind="profile", readers={})  # what 0.1 does with a file
        assert refused.value.reason == "newer_version"


class TestSomebodyElseWrites:
    """They can write in the folder, and know no key."""

    def test_any_altered_byte_is_noticed(self, sealed, make_entry, content, folder):
        good = content(NAME)
        reasons = set()
        for at in range(0, len(good), 7):
            content(NAME, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            with pytest.raises(VaultError) as refused:
                sealed.get("work")
            reasons.add(refused.value.reason)
            for aside in os.listdir(folder):
                if "corrupt" in aside:
                    os.unlink(os.path.join(folder, aside))
        assert reasons >= {"seal_broken", "seal_key_unknown", "plain_in_sealed_vault"}
        content(NAME, good)
        assert sealed.get("work") == make_entry()

    @pytest.mark.parametrize("cut", [20, 100, -1])
    def test_what_is_cut_short_is_set_aside(self, sealed, content, cut):
        content(NAME, content(NAME)[:cut])
        with pytest.raises(VaultError):
            sealed.get("work")

    def test_entries_can_not_be_swapped(self, sealed, make_entry, content):
        sealed.put(make_entry(profile="home"))
        content(NAME, content("profile-home.json"))
        with pytest.raises(CorruptEntry) as refused:
            sealed.get("work")
        assert refused.value.reason == "seal_broken"
        assert sealed.get("home") == make_entry(profile="home")

    def test_a_plain_entry_in_a_sealed_vault_is_not_used(self, sealed, make_entry, content):
        plain = json.dumps(make_entry(issuer="https://evil.example").to_json()).encode()
        content(NAME, plain)
        with pytest.raises(VaultError) as refused:
            sealed.get("work")
        assert refused.value.reason == "plain_in_sealed_vault"
        assert content(NAME) == plain  # and is left for a person to see
        assert sealed.forget("work")
        sealed.put(make_entry())
        assert sealed.get("work") == make_entry()

    def test_without_the_seal_nothing_opens_and_no_plain_text_takes_the_place(
        self, sealed, make_entry, content, folder, now
    ):
        seal, before = content("seal.json"), content(NAME)
        os.unlink(os.path.join(folder, "seal.json"))
        for use in (lambda: sealed.get("work"), lambda: sealed.put(make_entry())):
            with pytest.raises(VaultError) as refused:
                use()
            assert refused.value.reason == "seal_missing"
        assert fresh_token(folder, "work", "access", now=now) is None
        assert content(NAME) == before
        content("seal.json", seal)
        assert sealed.get("work") == make_entry()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"plain": True}, "seal_unproven"),
            ({"plain": True, "writes": None}, "seal_unproven"),
            ({"spare": ["0"]}, "seal_unproven"),
            ({"checks": ["AAAA"]}, "seal_unproven"),
            ({"keys": [], "checks": [], "writes": None, "plain": True}, "seal_missing"),
            ({"writes": None}, "seal_unreadable"),
            ({"writes": "another"}, "seal_unreadable"),
            ({"checks": []}, "seal_unreadable"),
            ({"checks": ["AAA"]}, "seal_unreadable"),
            ({"keys": []}, "seal_unreadable"),
            ({"keys": [{"id": "x"}]}, "seal_unreadable"),
            ({"keys": [7]}, "seal_unreadable"),
            ({"more": 1}, "seal_unreadable"),
            ({"kind": "profile"}, "seal_unreadable"),
            ({"version": 2}, "newer_version"),
        ],
    )
    def test_a_seal_of_theirs_counts_for_nothing(self, sealed, make_entry, content, change, reason):
        before = content(NAME)
        content("seal.json", json.dumps({**json.loads(content("seal.json")), **change}).encode())
        for use in (lambda: sealed.get("work"), lambda: sealed.put(make_entry(failures=5))):
            with pytest.raises(VaultError) as refused:
                use()
            assert refused.value.reason == reason
        assert content(NAME) == before

    @pytest.mark.parametrize("change", [{"plain": True}, {"plain": True, "writes": None}], ids=["sealing", "unsealing"])
    def test_a_seal_of_a_change_long_ago_allows_no_plain_text(self, sealed, make_entry, sealing, content, change):
        seal, keys = Seal.from_bytes(content("seal.json")), Keys()
        roots = {seal.keys[0].id: keys.root(seal, seal.keys[0].id)}
        ours, theirs = content(NAME), json.dumps(make_entry(issuer="https://evil.example").to_json()).encode()

        def put_back(until):  # what stood there while the vault was sealed or unsealed, and a folder's history kept
            content("seal.json", seal._replace(**change, until=int(until)).to_bytes(roots))

        put_back(time.time() - 1)
        assert sealed.get("work") == make_entry(), "what is sealed still opens"
        content(NAME, theirs)
        uses = [lambda: sealed.get("work")]
        if "writes" in change:
            uses += [lambda: sealed.put(make_entry(profile="home")), sealed.check_room]
        for use in uses:
            with pytest.raises(VaultError) as refused:
                use()
            assert refused.value.reason == "seal_change_old"
        assert content(NAME) == theirs
        assert sealed.names() == ["work"]
        content(NAME, ours)
        put_back(time.time() + 60)
        assert sealed.get("work") == make_entry()
        put_back(time.time() - 1)
        assert (sealing().unseal() if "writes" in change else sealing().seal("key_file")).completed
        assert sealed.get("work") == make_entry()

    @pytest.mark.parametrize("seal", [b"", b"{}", b"[]", b"\xff", b"{" * 9, b" " * 2_000_000])
    def test_a_broken_seal_sets_no_entry_aside(self, sealed, make_entry, content, folder, seal):
        content("seal.json", seal)
        for use in (lambda: sealed.get("work"), lambda: sealed.put(make_entry())):
            with pytest.raises(VaultError) as refused:
                use()
            assert refused.value.reason == "seal_unreadable"
        assert sorted(os.listdir(folder)) == [NAME, "seal.json"]

    def test_a_seal_with_costly_numbers_costs_nothing(self, sealed, content, monkeypatch):
        monkeypatch.setenv("DOORWARD_VAULT_PASSPHRASE", "six words that nobody ever guesses")
        document = json.loads(content("seal.json"))
        key = {**document["keys"][0], "source": "passphrase", "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}
        for costs in ({"memory_kib": 1 << 30}, {"passes": 1 << 30}, {"lanes": 1 << 20}, {"memory_kib": 8.5}):
            numbers = {"memory_kib": 64, "passes": 1, "lanes": 1, **costs}
            content("seal.json", json.dumps({**document, "keys": [{**key, **numbers}]}).encode())
            with pytest.raises(VaultError) as refused:
                sealed.get("work")
            assert refused.value.reason == "seal_unreadable"

    def test_an_entry_of_an_older_key_is_named_as_such(self, sealed, make_entry, sealing, content):
        before = content(NAME)
        sealing().rotate()
        content(NAME, before)
        with pytest.raises(VaultError) as refused:
            sealed.get("work")
        assert refused.value.reason == "seal_key_unknown"


class TestTheKeyIsNotAtHand:
    @pytest.fixture(params=["missing", "another", "short", "open to others"])
    def key_problem(self, request, sealed, key_file, monkeypatch, tmp_path):
        if request.param == "missing":
            monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        else:
            another = tmp_path / "another.key"
            another.write_bytes(b"x" * (31 if request.param == "short" else 40))
            another.chmod(0o644 if request.param == "open to others" else 0o600)
            monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", str(another))
        return {
            "missing": "seal_key_not_given",
            "another": "seal_unproven",
            "short": "key_file_short",
            "open to others": "key_file_mode",
        }[request.param]

    def test_nothing_is_read_or_written_and_the_reason_is_named(self, sealed, make_entry, content, key_problem):
        before = content(NAME)
        uses = (lambda: sealed.get("work"), lambda: sealed.put(make_entry(profile="home")), sealed.check_room)
        for use in uses:
            with pytest.raises(DoorwardError) as refused:
                use()
            assert refused.value.reason == key_problem
            assert isinstance(refused.value, ConfigurationError | VaultError)
        assert content(NAME) == before
        assert sealed.names() == ["work"]

    def test_what_was_found_once_stays_for_this_process(self, sealed, make_entry, monkeypatch):
        assert sealed.get("work") == make_entry()
        monkeypatch.delenv("DOORWARD_VAULT_KEY_FILE")
        sealed.put(make_entry(failures=9))
        assert sealed.get("work") == make_entry(failures=9)


def test_a_plain_vault_imports_nothing_for_sealing(vault, make_entry, folder):
    vault.put(make_entry())
    code = f"""if True:
        import sys
        from doorward.vault.glance import fresh_token
        from doorward.vault.vault import Vault
        vault = Vault({folder!r})
        vault.put(vault.get("work"))
        vault.check_room()
        fresh_token({folder!r}, "work", "access", now=0)
        print(*(name for name in sys.modules if "cryptography" in name or "sealing." in name))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) == {"doorward.vault.sealing.gate", "doorward.vault.sealing.marks"}
