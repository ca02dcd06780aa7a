"""The text of a key: what it is made of, what is kept of it, and what it costs to make one up."""

from __future__ import annotations

import re
import string

import pytest

from doorward.guard.api_keys.format import (
    Digested,
    Pepper,
    digest_foreign_key,
    digest_key,
    is_key_shaped,
    is_seal_of,
    make_key,
    seal_of,
)
from doorward.model import Secret
from doorward.system import SystemEntropy

PEPPER, OTHER = Pepper(Secret("p" * 32)), Pepper(Secret("q" * 32))


class CountedEntropy:
    """Every bit one, and a note of how many were asked for."""

    def __init__(self):
        self.asked = []

    def token_urlsafe(self, nbytes):
        self.asked.append(nbytes)
        return "_" * (nbytes * 8 // 6) + {0: "", 1: "w", 2: "8"}[nbytes % 3]


def test_a_key_has_an_id_a_secret_and_a_checksum():
    text, digested = make_key(PEPPER, SystemEntropy())
    assert re.fullmatch(r"dw_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}_[0-9A-Za-z]{7}", text)
    assert text.split("_")[1] == digested.key_id
    assert digest_key(text, [PEPPER]) == digested
    assert is_key_shaped(text)


def test_id_and_secret_are_random_to_the_last_bit():
    entropy = CountedEntropy()
    text, _ = make_key(PEPPER, entropy)
    assert entropy.asked == [8, 32]
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    numbers = [sum(alphabet.index(c) * 62**n for n, c in enumerate(reversed(part))) for part in text.split("_")[1:3]]
    assert numbers == [2**64 - 1, 2**256 - 1]


def test_no_two_keys_share_anything():
    made = [make_key(PEPPER, SystemEntropy()) for _ in range(1000)]
    for part in (1, 2, 3):
        assert len({text.split("_")[part] for text, _ in made}) == 1000
    assert len({digested.digest for _, digested in made}) == 1000


def test_what_is_kept_says_nothing_of_the_key():
    text, digested = make_key(PEPPER, SystemEntropy())
    _, _, secret, checksum = text.split("_")
    kept = digested.digest + digested.pepper_id
    assert secret not in kept
    assert checksum not in kept
    assert len(bytes.fromhex(digested.digest)) == 24
    assert digested.digest not in repr(digested)
    assert digest_key(text, [OTHER]) is None


def test_each_changed_character_is_seen():
    text, _ = make_key(PEPPER, SystemEntropy())
    for place in range(len(text)):
        for other in ("A", "b", "0", "_", "é", "\n"):
            changed = text[:place] + other + text[place + 1 :]
            assert (digest_key(changed, [PEPPER]) is None) == (changed != text)


@pytest.mark.parametrize(
    "change", [str.upper, str.lower, str.swapcase, lambda text: text + "\n", lambda text: " " + text]
)
def test_a_key_is_spelt_in_one_way(change):
    text, _ = make_key(PEPPER, SystemEntropy())
    assert digest_key(change(text), [PEPPER]) is None


@pytest.mark.parametrize(
    "text", ["", "dw_", "dw___", "dw_" + "a" * 1_000_000, "\ud800", "dw_\ud800", "dw_\u0661" * 11, "\0"]
)
def test_anything_may_be_asked(text):
    assert digest_key(text, [PEPPER]) is None
    assert is_key_shaped(text) == text.startswith("dw_")
    assert digest_foreign_key(text, PEPPER).key_id != digest_foreign_key(text, OTHER).key_id


def test_keys_of_every_pepper_are_good_and_know_theirs():
    old, old_digested = make_key(OTHER, SystemEntropy())
    new, new_digested = make_key(PEPPER, SystemEntropy())
    assert digest_key(old, [PEPPER, OTHER]) == old_digested
    assert digest_key(new, [PEPPER, OTHER]) == new_digested
    assert (old_digested.pepper_id, new_digested.pepper_id) == (OTHER.id, PEPPER.id)
    assert OTHER.id != PEPPER.id
    assert "p" * 32 not in repr(PEPPER)


def test_an_imported_key_is_none_of_ours():
    text, digested = make_key(PEPPER, SystemEntropy())
    foreign = digest_foreign_key(text, PEPPER)
    assert len(foreign.key_id) == 12
    assert foreign.key_id != digested.key_id
    assert foreign.digest != digested.digest


def test_what_a_database_holds_is_good_with_every_doorward_to_come():
    """Known answers, made by another program: HMAC-SHA256, of which a key's checksum and its digest are parts."""
    key = "dw_0123456789A_0123456789012345678901234567890123456789abc_XjDSN0e"
    assert PEPPER.id == "789b4b59"
    digest = "d589f784f8a140edfcf70b378f657e7ea517c8ee7836dc41"
    assert digest_key(key, [PEPPER]) == Digested("0123456789A", digest, PEPPER.id)
    digest = "7ceb86548b35d9a71c894f56582ffa1590653384082b8436"
    assert digest_foreign_key("planted-key", PEPPER) == Digested("xDWtp9pHOFNk", digest, PEPPER.id)
    assert seal_of("[]", PEPPER) == "d65856ebdc53f9c8ffdbfbfa0fccfd4279282778e253d7deb32b0bbd9fe9ebe6"


def test_nobody_gets_a_seal_by_having_a_key_digested():
    for text in ("[]", "imported key\0[]"):
        foreign = digest_foreign_key(text, PEPPER)
        assert foreign.digest not in seal_of(text, PEPPER)
    assert is_seal_of("[]", PEPPER, seal_of("[]", PEPPER))
    for seal in (seal_of("[]", OTHER), seal_of("[1]", PEPPER), "", "\ud800"):
        assert not is_seal_of("[]", PEPPER, seal)
