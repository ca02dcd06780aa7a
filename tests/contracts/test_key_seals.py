"""Whoever can write to the database of API keys, and has no pepper, can make no key do more than it was given."""

from __future__ import annotations

import dataclasses
import json

import pytest
import sqlalchemy as sa

from doorward.errors import ConfigurationError, StoreError
from doorward.guard.api_keys.api_keys import ApiKeys
from doorward.guard.api_keys.peppers import generate_pepper
from doorward.guard.api_keys.sql_store import SqlKeyStore
from doorward.guard.stores.opening import open_database
from doorward.guard.stores.schema import MIGRATIONS, api_keys
from doorward.guard.work import finish

NOW = 1_800_000_000.0
STRIPPED = "UPDATE doorward_api_keys SET seal = ''"
AS_IN_0_1 = ("ALTER TABLE doorward_api_keys DROP COLUMN seal", "DELETE FROM doorward_schema WHERE version > 2")


@pytest.fixture
def attacker(database_url):
    """Who can write to the database, and nothing else."""
    database = open_database(database_url)

    def write(*statements):
        with database.writing() as connection:
            for each in statements:
                connection.execute(sa.text(each) if isinstance(each, str) else each)

    yield write
    database.close()


@pytest.fixture
def pepper():
    return generate_pepper()


@pytest.fixture
def keys(database_url, pepper):
    made = ApiKeys(SqlKeyStore(open_database(database_url)), pepper=pepper)
    yield made
    made.close()


def why(act, *arguments, **options):
    with pytest.raises(StoreError) as caught:
        act(*arguments, **options)
    return caught.value.reason


def check(keys, secret, now=NOW):
    return finish(keys.check(secret.reveal(), now=now))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "root-bot"),
        ("scopes", '["admin"]'),
        ("groups", '["admins"]'),
        ("may_delegate", 1),
        ("expires_at", None),
        ("expires_at", NOW + 2e9),
        ("created_at", NOW - 1),
        ("created_by", "root"),
        ("replaced_by", "another"),
        ("is_imported", 1),
        ("pepper_id", "00000000"),
    ],
)
def test_an_entry_that_says_something_else_opens_nothing(column, value, keys, attacker):
    secret, made = keys.create("lowly", scopes=["read"], groups=["eng"], expires_at=NOW + 1e9)
    other, _ = keys.create("other")
    attacker(sa.update(api_keys).where(api_keys.c.key_id == made.key_id).values({column: value}))
    expected = "pepper_unknown" if column == "pepper_id" else "entry_altered"
    assert why(check, keys, secret) == expected
    assert keys.show(made.key_id).sealed is (None if column == "pepper_id" else False)
    assert check(keys, other).sealed, "the others are as good as they were"
    if column != "replaced_by":  # such a one is not current
        assert why(keys.rotate, made.key_id) == expected, "no successor gets what somebody wrote"
    keys.revoke(made.key_id)


def test_a_scope_is_not_made_a_group_nor_a_group_a_scope(keys, attacker):
    secret, made = keys.create("bot", scopes=["admins"], groups=["eng"])
    for scopes, groups in ([[], ["admins", "eng"]], [["admins", "eng"], []]):
        entry = api_keys.c.key_id == made.key_id
        attacker(sa.update(api_keys).where(entry).values(scopes=json.dumps(scopes), groups=json.dumps(groups)))
        assert why(check, keys, secret) == "entry_altered"


def test_a_digest_is_sealed_with_what_it_proves(keys, attacker):
    """A digest that somebody could one day find a key for opens nothing where it was put by hand."""
    _, made = keys.create("root-bot", scopes=["admin"])
    keys.create("lowly")
    digest = sa.select(api_keys.c.digest).where(api_keys.c.name == "lowly").scalar_subquery()
    attacker(sa.update(api_keys).where(api_keys.c.key_id == made.key_id).values(digest=digest))
    assert keys.show("root-bot").sealed is False
    assert why(keys.rotate, "root-bot") == "entry_altered"


def test_a_key_does_not_take_the_entry_of_another(keys, attacker):
    secret, lowly = keys.create("lowly")
    _, root = keys.create("root-bot", scopes=["admin"])
    digest = sa.select(api_keys.c.digest).where(api_keys.c.key_id == "given-up").scalar_subquery()
    attacker(
        sa.update(api_keys).where(api_keys.c.key_id == lowly.key_id).values(key_id="given-up"),
        sa.update(api_keys).where(api_keys.c.key_id == root.key_id).values(key_id=lowly.key_id, digest=digest),
    )
    assert why(check, keys, secret) == "entry_altered"


def test_a_seal_does_not_serve_another_entry(keys, attacker):
    secret, lowly = keys.create("lowly")
    keys.create("root-bot", scopes=["admin"])
    seal = sa.select(api_keys.c.seal).where(api_keys.c.name == "root-bot").scalar_subquery()
    attacker(
        sa.update(api_keys).where(api_keys.c.key_id == lowly.key_id).values(seal=seal, scopes=json.dumps(["admin"]))
    )
    assert why(check, keys, secret) == "entry_altered"


@pytest.mark.parametrize("statements", [(STRIPPED,), AS_IN_0_1])
def test_who_takes_a_seal_away_is_not_taken_for_an_older_doorward(statements, keys, attacker, database_url, pepper):
    secret, _ = keys.create("lowly")
    attacker("UPDATE doorward_api_keys SET scopes = '[\"admin\"]', name = 'root-bot'", *statements)
    keys.close()
    again = ApiKeys.sql(database_url, pepper=pepper)  # as at a restart
    assert why(check, again, secret) == "entry_unsealed"
    assert why(again.rotate, "root-bot") == "entry_unsealed"
    assert [key.sealed for key in again.list()] == [False]
    again.close()


def test_a_revocation_is_not_undone(keys, attacker):
    secret, _ = keys.create("bot")
    keys.revoke("bot")
    attacker("UPDATE doorward_api_keys SET revoked_at = NULL, is_current = 1")
    assert why(check, keys, secret, NOW + 6) == "entry_unsealed"


def test_the_end_of_an_overlap_is_not_put_off(keys, attacker):
    secret, old = keys.create("bot")
    keys.rotate("bot")
    assert check(keys, secret, old.created_at).replaced_by
    attacker("UPDATE doorward_api_keys SET expires_at = NULL WHERE replaced_by IS NOT NULL")
    assert why(check, keys, secret) == "entry_altered"
    assert not keys.show(old.key_id).sealed


def test_keys_of_an_older_doorward_are_good_once_somebody_looked_and_sealed_them(keys, attacker, database_url, pepper):
    secret, _ = keys.create("bot", scopes=["read"])
    keys.import_keys([{"name": "foreign", "key": "abcdefgh"}])
    keys.create("ended")
    attacker(*AS_IN_0_1, "UPDATE doorward_api_keys SET revoked_at = 1 WHERE name = 'ended'")
    keys.close()
    newer = ApiKeys.sql(database_url, pepper=pepper)
    assert why(check, newer, secret) == "entry_unsealed"
    seen = newer.list()
    newer.seal(seen)
    assert check(newer, secret).scopes == ("read",)
    assert finish(newer.check("abcdefgh", now=NOW)).name == "foreign"
    assert [key.sealed for key in newer.list()] == [True, True]
    newer.seal(newer.list())  # as often as one likes
    newer.rotate("bot")
    newer.close()


def test_only_what_was_looked_at_is_sealed(keys, attacker):
    secret, _ = keys.create("bot")
    attacker(STRIPPED)
    seen = keys.list()
    attacker("UPDATE doorward_api_keys SET scopes = '[\"admin\"]'")
    assert why(keys.seal, seen) == "entry_altered"
    assert why(keys.seal, [dataclasses.replace(seen[0], key_id="nobody")]) == "entry_altered"
    assert why(check, keys, secret) == "entry_unsealed"


def test_an_altered_entry_is_not_sealed_anew(keys, attacker):
    keys.create("bot")
    attacker("UPDATE doorward_api_keys SET scopes = '[\"admin\"]'")
    assert why(keys.seal, keys.list()) == "entry_altered"


def test_keys_are_shown_and_revoked_without_their_pepper(keys, database_url):
    keys.create("bot")
    stranger = ApiKeys.sql(database_url, pepper=generate_pepper())
    (shown,) = stranger.list()
    assert shown.sealed is None
    assert why(stranger.rotate, "bot") == "pepper_unknown"
    assert why(stranger.seal, [shown]) == "pepper_unknown"
    assert [key.name for key in stranger.revoke("bot")] == ["bot"]
    stranger.close()


def test_a_database_of_0_1_gets_a_place_for_seals_and_no_seal(database_url):
    database = open_database(database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("doorward.guard.stores.sql.MIGRATIONS", MIGRATIONS[:2])
        with database.reading() as connection:
            assert not {"seal"} & {each["name"] for each in sa.inspect(connection).get_columns(api_keys.name)}
    database.close()
    keys = ApiKeys.sql(database_url, pepper=generate_pepper())
    secret, made = keys.create("bot")
    assert check(keys, secret) == made
    with pytest.raises(ConfigurationError):
        keys.create("bot")
    keys.close()
