"""What the vault holds of a client's key: a round trip, read strictly, and shown without the key."""

from __future__ import annotations

import json

import pytest

from doorward.errors import ConfigurationError, CorruptEntry
from doorward.secret import Secret
from doorward.vault.kinds.client_keys import ClientKeyEntry
from doorward.vault.vault import Vault

ENTRY = ClientKeyEntry(name="work", kid="k", alg="ES256", pem=Secret("planted-key"), created_at=1_800_000_000.0)
NEXT = {"next_kid": "k2", "next_alg": "EdDSA", "next_pem": "planted-next"}


@pytest.mark.parametrize("more", [{}, NEXT], ids=["one", "with the next"])
def test_a_round_trip(more):
    entry = ClientKeyEntry.from_json({**ENTRY.to_json(), **more})
    assert ClientKeyEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry
    assert "planted" not in f"{entry} {entry.masked()}"
    assert "planted-key" in str(entry.to_json())


@pytest.mark.parametrize(
    "change", [{"name": "../x"}, {"kid": 7}, {"pem": None}, {"more": 1}, {"kind": "profile"}, {"version": 2}]
)
def test_what_is_none(change):
    with pytest.raises(CorruptEntry):
        ClientKeyEntry.from_json({**ENTRY.to_json(), **change})


def test_it_is_one_of_the_shelves(tmp_path):
    vault = Vault(str(tmp_path / "vault"))
    vault.client_keys.put(ENTRY)
    assert vault.client_keys.get("WORK") == ENTRY
    assert vault.names() == []
    assert [shelf.names() for shelf in vault.shelves] == [[], [], ["work"]]
    with pytest.raises(ConfigurationError):
        vault.client_keys.get("a/b")
