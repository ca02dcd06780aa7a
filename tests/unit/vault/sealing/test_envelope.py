"""What stands in the files of a sealed vault, to the byte, and what else is refused there.

The known answers were made by another program, after RFC 5869, NIST SP 800-38D and RFC 9106: what is sealed today has
to open with every Doorward to come.
"""

import json
import os

import pytest

from doorward.errors import CorruptEntry, VaultError
from doorward.vault.sealing.ciphers import KEY_BYTES, derived, encrypted, is_derived
from doorward.vault.sealing.envelope import Envelope, closed, opened
from doorward.vault.sealing.keys import Keys
from doorward.vault.sealing.seal import Seal, SealKey

FILE, DATA = "profile-work.json", b'{"planted":1}'
WORDS = "six words that nobody ever guesses"
ID = "0123456789abcdef0123456789abcdef"
ROOT = bytes(range(32))
FAR = 1 << 40  # when it is too late for plain text
ARGON2ID = {"salt": "AAECAwQFBgcICQoLDA0ODw==", "memory_kib": 128, "passes": 2, "lanes": 3}


def written(document):
    return json.dumps(document, separators=(",", ":")).encode()


def seal_file(source, check, **numbers):
    key = {"id": ID, "source": source, "salt": "", "memory_kib": 0, "passes": 0, "lanes": 0, **numbers}
    return written(
        {
            "version": 1,
            "kind": "seal",
            "keys": [key],
            "writes": ID,
            "plain": False,
            "until": 0,
            "spare": [],
            "checks": [check],
        }
    )


def entry_file(**changes):
    members = {"version": 2, "key": ID, "kind": "profile", "nonce": "AAECAwQFBgcICQoL", "sealed": SEALED, **changes}
    return written({name: value for name, value in members.items() if value is not ...})


KEPT = {
    "keyring": ("aD0XxkeC78o9m+a8vLdwGbvy09sHJSIMEsx7HhOunkQ=", "Z6lSOVttV6v6iSwuO/c/R873hMZcLymH0qISFJc=", {}),
    "key_file": ("cxjt7xWEK2QnOJ7mvQ0DpAHgAiPVBVbipVlsKJrH34Y=", "vRN6VLpmTDJkY4GhnhSwqDrnb53WW7K8KA9F4Ms=", {}),
    "passphrase": (
        "E1HaxAllEljCkQCRaYTA06DOxu7Fdm61hU3OEoF21Lk=",
        "RkHG2s6l5A0PE/TEQwUT1sozL4Lq8hVc3tWPcK8=",
        ARGON2ID,
    ),
}
CHECK, SEALED, _ = KEPT["keyring"]


@pytest.fixture
def keys(tmp_path):
    """What knows the key of each kind."""
    path = tmp_path / "vault.key"
    path.write_bytes(b"k" * 44)
    path.chmod(0o600)
    return Keys(passphrases=(WORDS,), key_files=(str(path),))


def with_root(keys):
    keys.remember(ID, ROOT)
    return keys


@pytest.mark.parametrize("source", KEPT)
def test_what_was_sealed_before_opens_and_what_is_sealed_now_is_of_that_form(keys, source):
    check, sealed, numbers = KEPT[source]
    seal = seal_file(source, check, **numbers)
    if source == "keyring":
        with_root(keys)
    assert opened(entry_file(sealed=sealed), seal, file=FILE, keys=keys) == DATA
    anew = Envelope.from_bytes(closed(DATA, seal, file=FILE, keys=keys), FILE)
    assert len(anew.nonce) == 12
    assert len(anew.sealed) == len(DATA) + 16
    assert opened(anew.to_bytes(FILE), seal, file=FILE, keys=keys) == DATA


def test_no_two_nonces_are_alike():
    assert len({encrypted(ROOT, DATA, bound_to=FILE)[0] for _ in range(100)}) == 100


def test_a_key_is_of_its_purpose_alone():
    assert len(derived(ROOT, "one")) == KEY_BYTES
    assert is_derived(ROOT, "one", derived(ROOT, "one"))
    for root, purpose in ((ROOT, "another"), (ROOT[::-1], "one")):
        assert not is_derived(root, purpose, derived(ROOT, "one"))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "institution"},
        {"more": 1},
        {"sealed": ...},
        {"nonce": 12},
        {"nonce": None},
        {"nonce": "AAECAwQFBgcICQo"},  # base64 without its end
        {"nonce": "AAECAwQFBgcICQoL\n"},
        {"nonce": "AAECAwQFBgcICQp="},  # with bits that mean nothing
        {"nonce": ""},
        {"sealed": ""},
    ],
    ids=str,
)
def test_an_entry_of_another_form_is_refused(keys, changes):
    for data in (entry_file(**changes), entry_file() + b" ", entry_file()[:-1]):
        with pytest.raises(CorruptEntry) as refused:
            opened(data, seal_file("keyring", CHECK), file=FILE, keys=with_root(keys))
        assert refused.value.reason == "seal_broken"


def test_a_key_that_was_found_opens_nothing_by_a_seal_that_it_does_not_prove(keys):
    """A seal may be exchanged while a process runs."""
    check, sealed, _ = KEPT["key_file"]
    seal = seal_file("key_file", check)
    assert opened(entry_file(sealed=sealed), seal, file=FILE, keys=keys) == DATA
    theirs = seal.replace(b'"spare":[]', b'"spare":["x"]')
    ways = (
        lambda: opened(entry_file(sealed=sealed), theirs, file=FILE, keys=keys),
        lambda: closed(DATA, theirs, file=FILE, keys=keys),
    )
    for way in ways:
        with pytest.raises(VaultError) as refused:
            way()
        assert refused.value.reason == "seal_unproven"


def test_an_entry_under_a_key_that_the_seal_does_not_name_is_not_opened(keys):
    with pytest.raises(VaultError) as refused:
        opened(entry_file(key="another"), seal_file("keyring", CHECK), file=FILE, keys=with_root(keys))
    assert refused.value.reason == "seal_key_unknown"


class TestWhoeverCanWriteThere:
    """They have a seal under two keys, as amid a change, and know neither."""

    @pytest.fixture
    def roots(self):
        return {name: os.urandom(32) for name in ("new", "old")}

    @pytest.fixture
    def document(self, roots):
        keys = tuple(SealKey(name, "key_file") for name in roots)
        return json.loads(Seal(keys=keys, writes="new").to_bytes(roots))

    @pytest.fixture
    def knowing(self, roots, keys):
        for name, root in roots.items():
            keys.remember(name, root)
        return keys

    def test_theirs_counts_as_it_is(self, document, knowing):
        kept = closed(DATA, written(document), file=FILE, keys=knowing)
        assert json.loads(kept)["key"] == "new"
        assert opened(kept, written(document), file=FILE, keys=knowing) == DATA

    @pytest.mark.parametrize("writes", ["old", None])
    def test_what_is_written_under_can_not_be_changed(self, document, knowing, writes):
        document |= {"writes": writes, "plain": writes is None, "until": FAR}
        with pytest.raises(VaultError) as refused:
            closed(DATA, written(document), file=FILE, keys=knowing)
        assert refused.value.reason == "seal_unproven"

    def test_a_plain_entry_opens_by_no_seal_of_theirs(self, document, knowing):
        document |= {"plain": True, "until": FAR}
        with pytest.raises(VaultError) as refused:
            opened(DATA, written(document), file=FILE, keys=knowing)
        assert refused.value.reason == "seal_unproven"

    def test_each_key_proves_for_itself(self, document, knowing, roots):
        old = Envelope("old", *encrypted(roots["old"], DATA, bound_to=FILE)).to_bytes(FILE)
        assert opened(old, written(document), file=FILE, keys=knowing) == DATA
        document["checks"].reverse()
        for use in (opened, closed):
            with pytest.raises(VaultError):
                use(old, written(document), file=FILE, keys=knowing)

    @pytest.mark.parametrize(
        "change",
        [
            {"keys": {}, "checks": [], "writes": None, "plain": True},
            {"keys": "", "checks": [], "writes": None, "plain": True},
            {"keys": 7},
            {"checks": ["AAB=", "AAB="]},
            {"writes": None},
            {"writes": "other"},
        ],
    )
    def test_what_we_never_write_is_no_seal(self, document, knowing, change):
        with pytest.raises(VaultError) as refused:
            closed(DATA, written({**document, **change}), file=FILE, keys=knowing)
        assert refused.value.reason == "seal_unreadable"

    @pytest.mark.parametrize(
        ("times", "numbers"), [(2, {}), (9, {}), (1, {"memory_kib": True}), (1, {"memory_kib": -1}), (1, {"more": 1})]
    )
    def test_neither_are_keys_of_another_form(self, document, knowing, times, numbers):
        """The same key twice, too many, or with something that belongs to none."""
        new = {**document["keys"][0], **numbers}
        names = ["new"] * 2 if times == 2 else [f"new{at}" for at in range(1, times)] + ["new"]
        document["keys"] = [{**new, "id": name} for name in names]
        document["checks"] = document["checks"][:1] * len(names)
        with pytest.raises(VaultError) as refused:
            closed(DATA, written(document), file=FILE, keys=knowing)
        assert refused.value.reason == "seal_unreadable"
