"""How keys are looked up when all is not well: made-up keys, slow and broken stores, lost peppers."""

from __future__ import annotations

import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from doorward.errors import ConfigurationError, Revoked, StoreError, UnavailableError, UnknownApiKey
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.memory_store import MemoryKeyStore
from doorward.guard.api_keys.peppers import generate_pepper
from doorward.guard.api_keys.sealing import sealed
from doorward.guard.api_keys.sql_store import SqlKeyStore
from doorward.guard.stores.opening import open_database, sqlite_url
from doorward.guard.work import finish

NOW = 1_800_000_000.0
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Watched(MemoryKeyStore):
    """A store that counts what it is asked, and can be held up or broken."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.broken = None
        self.go_on = threading.Event()
        self.go_on.set()

    def _work(self, what):
        self.asked.append(what)
        self.go_on.wait(30)
        if self.broken is not None:
            raise self.broken

    def find(self, key_id):
        self._work(key_id)
        return super().find(key_id)

    def imported_ids(self):
        self._work("imported")
        return super().imported_ids()

    def touch(self, used):
        self._work("touch")
        super().touch(used)


@pytest.fixture
def store():
    return Watched()


@pytest.fixture
def keys(store):
    made = ApiKeys(store, pepper=generate_pepper())
    yield made
    store.go_on.set()
    store.broken = None
    made.close()


def why(keys, credential, *, now=NOW):
    with pytest.raises(UnknownApiKey) as caught:
        finish(keys.check(credential, now=now))
    return caught.value.reason


def test_made_up_keys_never_reach_the_store(keys, store):
    body = "".join(ALPHABET[byte % 62] for byte in os.urandom(64))
    for number in range(100_000):
        digits = f"{number:07}"
        made_up = f"dw_{body[:11]}_{body[11:47]}{digits}_{digits}" if number % 2 else f"dw_{digits}"
        try:
            finish(keys.check(made_up, now=NOW))
        except UnknownApiKey:
            continue
        pytest.fail("a made-up key was let in")
    assert store.asked == []


def test_credentials_of_unknown_shape_cost_one_look_in_half_a_minute(keys, store):
    for number in range(1000):
        assert not finish(keys.is_ours(f"opaque-{number}", now=NOW))
        assert why(keys, f"opaque-{number}") == "key_shape"
    assert store.asked == ["imported"]
    finish(keys.is_ours("opaque", now=NOW + 31))
    assert store.asked == ["imported"] * 2


def test_a_good_key_says_so_and_a_made_up_one_why(keys):
    secret, _ = keys.create("bot")
    assert why(keys, secret.reveal()[:-1]) == "key_checksum"
    assert why(keys, "dw_") == "key_checksum"
    assert keys.recognizes("dw_")
    assert keys.recognizes(secret.reveal())
    assert not keys.recognizes("opaque")


class Watchful(str):
    """A digest that may only be compared in constant time."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        pytest.fail("compared as any text is, which takes longer the more of it is right")


def put(store, stored, digest, keys):
    """Have a store say, under a good seal, that another digest proves a key."""
    peppers = keys._peppers.known  # noqa: SLF001 - what nobody has who could only write to the store
    store._stored[stored.key.key_id] = sealed(dataclasses.replace(stored, digest=digest), peppers)  # noqa: SLF001 - the same


def test_a_key_is_compared_with_the_digest_of_its_id_whatever_its_checksum_and_the_seal_say(keys, store):
    secret, made = keys.create("bot")
    stored = store.find(made.key_id)
    for digest in ("0" * 48, "", stored.digest[:-1], stored.digest[:-1] + "x"):
        put(store, stored, digest, keys)
        assert why(keys, secret.reveal()) == "wrong_secret"


def test_digests_are_compared_in_constant_time(keys, store):
    secret, made = keys.create("bot")
    stored = store.find(made.key_id)
    put(store, stored, Watchful(stored.digest), keys)
    assert finish(keys.check(secret.reveal(), now=NOW)).name == "bot"
    put(store, stored, Watchful("0" * 48), keys)
    assert why(keys, secret.reveal()) == "wrong_secret"


def test_what_was_refused_is_not_asked_for_again_for_a_moment(keys, store):
    stranger = ApiKeys(MemoryKeyStore(), pepper=generate_pepper())
    stranger._peppers = keys._peppers  # noqa: SLF001 - two stores that share a pepper
    unknown, _ = stranger.create("stranger")
    revoked, _ = keys.create("bot")
    keys.revoke("bot")
    for _ in range(100):
        assert why(keys, unknown.reveal()) == "unknown_key_id"
        with pytest.raises(Revoked):
            finish(keys.check(revoked.reveal(), now=NOW))
    assert len(store.asked) == 2
    assert why(keys, unknown.reveal(), now=NOW + 6) == "unknown_key_id"
    assert len(store.asked) == 3


def test_what_is_remembered_is_bounded(keys):
    lookup = keys._lookup  # noqa: SLF001 - its size shows nowhere else
    for number in range(5000):
        lookup.remember_refused(str(number), None, NOW)
    assert len(lookup._refused) == 1000  # noqa: SLF001 - the same


def test_who_asks_for_the_same_key_at_once_shares_one_look(keys, store):
    secret, made = keys.create("bot")
    store.go_on.clear()
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(finish, keys.check(secret.reveal(), now=NOW)) for _ in range(16)]
        while not store.asked:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        store.go_on.set()
        assert {each.result(30) for each in waiting} == {made}
    assert store.asked == [made.key_id]


def test_a_store_that_hangs_is_an_outage(keys, store):
    secret, _ = keys.create("bot")
    store.go_on.clear()
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            finish(keys.check(secret.reveal(), now=NOW))
        assert caught.value.reason == "store_timeout"
    assert len(store.asked) == 1  # the second waited with the first
    store.go_on.set()


def test_a_store_with_too_much_to_do_is_an_outage(keys, store):
    made = [keys.create(f"bot{number}")[0].reveal() for number in range(100)]
    store.go_on.clear()
    works = [keys.check(each, now=NOW) for each in made]
    refused = []
    for work in works:
        try:
            next(work)
        except UnavailableError as error:
            refused.append(error.reason)
    assert set(refused) == {"too_busy"}
    assert len(refused) < 100
    for work in works:
        work.close()


@pytest.mark.parametrize(
    ("error", "reason"), [(StoreError("gone", reason="io"), "io"), (ZeroDivisionError(), "store_failed")]
)
def test_a_broken_store_is_an_outage(error, reason, keys, store):
    secret, made = keys.create("bot")
    store.broken = error
    raised = []
    for credential in (secret.reveal(), secret.reveal(), "opaque"):
        with pytest.raises(StoreError) as caught:
            finish(keys.check(credential, now=NOW))
        assert caught.value.reason == reason
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    store.broken = None
    assert finish(keys.check(secret.reveal(), now=NOW)) == made


def test_a_keyring_needs_no_store(store):
    store.broken = StoreError("gone")
    keys = ApiKeys(store, pepper=generate_pepper(), keyring=[{"name": "bot", "key": "abcdefgh"}])
    assert finish(keys.is_ours("abcdefgh", now=NOW))
    assert finish(keys.check("abcdefgh", now=NOW)).name == "bot"
    assert store.asked == []
    store.broken = None
    keys.close()


def test_imported_keys_outlast_an_outage_of_ten_minutes(keys, store):
    keys.import_keys([{"name": "old", "key": "abcdefgh"}])
    assert finish(keys.is_ours("abcdefgh", now=NOW))
    store.broken = StoreError("gone")
    assert finish(keys.is_ours("opaque", now=NOW + 31)) is False
    assert finish(keys.is_ours("abcdefgh", now=NOW + 599))
    with pytest.raises(StoreError):
        finish(keys.is_ours("opaque", now=NOW + 601))


def test_a_change_is_seen_at_once_and_counted(keys):
    secret, _ = keys.create("bot")
    assert keys.version == 1
    finish(keys.check(secret.reveal(), now=NOW))
    keys.revoke("bot")
    assert keys.version == 2
    with pytest.raises(Revoked):
        finish(keys.check(secret.reveal(), now=NOW))


def test_a_key_that_was_refused_is_good_as_soon_as_it_is_imported(keys):
    with pytest.raises(UnknownApiKey):
        finish(keys.check("abcdefgh", now=NOW))
    keys.import_keys([{"name": "old", "key": "abcdefgh"}])
    assert finish(keys.check("abcdefgh", now=NOW)).name == "old"


def test_a_key_of_doorwards_own_shape_is_not_imported(keys):
    secret, _ = keys.create("bot")
    with pytest.raises(ConfigurationError) as caught:
        keys.import_keys([{"name": "first", "key": "abcdefgh"}, {"name": "copy", "key": secret.reveal()}])
    assert (caught.value.reason, caught.value.field) == ("import_own_shape", "api_keys[1]")
    assert secret.reveal() not in str(caught.value)
    assert [key.name for key in keys.list()] == ["bot"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda keys: keys.create("bot"), "name_taken"),
        (lambda keys: keys.create("a b"), "key_name"),
        (lambda keys: keys.create("x", scopes="read"), "not_a_list"),
        (lambda keys: keys.create("x", scopes=['"']), "bad_text"),
        (lambda keys: keys.create("x", groups=["\x1b"]), "bad_text"),
        (lambda keys: keys.create("x", expires_at=1.0), "expires_at"),
        (lambda keys: keys.create("x", expires_at=float("nan")), "expires_at"),
        (lambda keys: keys.rotate("nobody"), "no_such_key"),
        (lambda keys: keys.rotate("bot", overlap_s=-1), "overlap"),
        (lambda keys: keys.rotate("bot", overlap_s=float("nan")), "overlap"),
        (lambda keys: keys.revoke("nobody"), "no_such_key"),
        (lambda keys: keys.show("nobody"), "no_such_key"),
    ],
)
def test_a_mistake_changes_nothing(change, reason, keys):
    keys.create("bot")
    before = keys.list(ended=True), keys.version
    with pytest.raises(ConfigurationError) as caught:
        change(keys)
    assert caught.value.reason == reason
    assert (keys.list(ended=True), keys.version) == before


def test_a_key_is_shown_by_id_and_the_newest_by_name(keys):
    _, first = keys.create("bot")
    _, second = keys.rotate("bot")
    assert keys.show("bot") == second
    assert keys.show(first.key_id).replaced_by == second.key_id


def test_a_key_is_rotated_by_its_id_too_while_it_is_current(keys):
    _, first = keys.create("bot")
    _, second = keys.rotate(first.key_id)
    assert (second.name, keys.show("bot")) == ("bot", second)
    with pytest.raises(ConfigurationError):
        keys.rotate(first.key_id)


def test_keys_are_listed_as_they_are_asked_for():
    pages = []

    class Paged(MemoryKeyStore):
        def page(self, after=None):
            pages.append(after)
            return super().page(after)

    paged = Paged()
    entries = [{"name": f"old{number}", "key": f"abcdefgh{number}"} for number in range(100)]
    keys = ApiKeys(paged, pepper=generate_pepper(), keyring=[{"name": "fixed", "key": "abcdefgh"}])
    for each in range(11):
        keys.import_keys([{"name": f"{each}-{entry['name']}", "key": f"{each}-{entry['key']}"} for entry in entries])
    listed = keys.each()
    assert next(listed).name == "fixed"
    assert pages == []
    next(listed)
    assert pages == [None]
    assert len(list(listed)) == 1099
    assert len(pages) == 3
    assert keys.list() == tuple(keys.each())
    keys.close()


def test_a_pepper_is_replaced_without_a_key_ceasing_to_work(store):
    old, new = generate_pepper(), generate_pepper()
    before = ApiKeys(store, pepper=old)
    secret, made = before.create("bot")
    before.import_keys([{"name": "foreign", "key": "abcdefgh"}])
    both = ApiKeys(store, pepper=f"{new.reveal()} {old.reveal()}")
    assert finish(both.check(secret.reveal(), now=NOW)) == made
    assert finish(both.check("abcdefgh", now=NOW)).name == "foreign"
    newer_secret, newer = both.rotate("bot")
    assert newer.pepper_id != made.pepper_id
    after = ApiKeys(store, pepper=new)
    assert finish(after.check(newer_secret.reveal(), now=NOW)).key_id == newer.key_id
    assert why(after, secret.reveal()) == "key_checksum"
    for each in (before, both, after):
        each.close()


def test_a_database_needs_a_pepper(monkeypatch):
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys.sql("postgresql://u:planted@127.0.0.1/x")
    assert caught.value.reason == "pepper_missing"
    assert "planted" not in str(caught.value)
    monkeypatch.setenv("DOORWARD_API_KEY_PEPPER", "short")
    with pytest.raises(ConfigurationError) as short:
        ApiKeys.sql("postgresql://u:planted@127.0.0.1/x")
    assert short.value.reason == "pepper_length"
    monkeypatch.setenv("DOORWARD_API_KEY_PEPPER", "x" * 32)
    assert "planted" not in repr(ApiKeys.sql("postgresql://u:planted@127.0.0.1/x"))


def test_making_it_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ApiKeys.sqlite("keys.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    keys.create("bot")
    keys.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["elsewhere", "keys.db", "keys.db.pepper"]


def test_another_process_reads_the_pepper_that_the_first_one_made(tmp_path):
    guard = ApiKeys.sqlite(tmp_path / "keys.db")
    assert why(guard, "dw_x") == "key_checksum"  # no pepper yet
    admin = ApiKeys.sqlite(tmp_path / "keys.db")
    secret, made = admin.create("bot")
    assert finish(guard.check(secret.reveal(), now=NOW)) == made, "looked a moment ago, and looks again"
    assert (tmp_path / "keys.db.pepper").stat().st_mode & 0o777 == 0o600
    admin.close()
    guard.close()


def test_a_lost_pepper_is_an_outage_and_no_new_one_is_made(tmp_path):
    admin = ApiKeys.sqlite(tmp_path / "keys.db")
    secret, _ = admin.create("bot")
    admin.close()
    (tmp_path / "keys.db.pepper").unlink()
    keys = ApiKeys.sqlite(tmp_path / "keys.db")
    for attempt in (lambda: finish(keys.check(secret.reveal(), now=NOW)), lambda: keys.create("other")):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert caught.value.reason == "pepper_gone"
    assert not (tmp_path / "keys.db.pepper").exists()
    keys.close()


def test_keys_may_live_in_memory_alone():
    keys = ApiKeys.memory(keyring=[{"name": "fixed", "key": "abcdefgh"}])
    secret, made = keys.create("bot")
    assert finish(keys.check(secret.reveal(), now=NOW)) == made
    assert [key.name for key in keys.list()] == ["fixed", "bot"]
    keys.close()


def test_nothing_is_left_behind(leak_check, tmp_path):
    with leak_check():
        keys = ApiKeys.sqlite(tmp_path / "keys.db")
        secret, _ = keys.create("bot")
        finish(keys.check(secret.reveal(), now=NOW))
        keys.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that is what this is about
def test_a_fork_begins_anew(tmp_path):
    keys = ApiKeys.sqlite(tmp_path / "keys.db")
    secret, made = keys.create("bot")
    finish(keys.check(secret.reveal(), now=NOW))
    child = os.fork()
    if not child:  # pragma: no cover - in the child
        try:
            same = finish(keys.check(secret.reveal(), now=NOW)).key_id == made.key_id
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert finish(keys.check(secret.reveal(), now=NOW)).key_id == made.key_id
    keys.close()


def test_a_key_is_good_that_was_made_after_a_guard_opened_an_empty_database(tmp_path):
    guard = ApiKeys.sqlite(tmp_path / "keys.db")
    assert not finish(guard.is_ours("opaque", now=NOW))
    assert why(guard, "dw_x") == "key_checksum"
    admin = ApiKeys.sqlite(tmp_path / "keys.db")
    admin.import_keys([{"name": "old", "key": "abcdefgh"}])
    secret, made = admin.create("bot")
    assert finish(guard.check(secret.reveal(), now=NOW)) == made
    assert finish(guard.is_ours("abcdefgh", now=NOW + 31)), "imported keys are looked for twice a minute"
    admin.close()
    guard.close()


def test_an_unused_database_is_not_opened_for_a_made_up_key(tmp_path):
    store = SqlKeyStore(open_database(sqlite_url(tmp_path / "keys.db")))
    keys = ApiKeys(store, pepper=generate_pepper())
    assert why(keys, "dw_" + "a" * 11 + "_" + "b" * 43 + "_" + "c" * 7) == "key_checksum"
    assert list(tmp_path.iterdir()) == []
    keys.close()
