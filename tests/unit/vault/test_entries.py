"""An entry as a value and as JSON."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

from doorward.errors import CorruptEntry
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry

SECRETS = ("planted-access", "planted-id", "planted-nonce", "planted-refresh")


def test_json_is_a_round_trip(make_entry):
    entry = make_entry()
    assert ProfileEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_an_entry_without_anything_optional_is_a_round_trip():
    entry = ProfileEntry(profile="a", issuer="i", client_id="c", client_authentication="none", created_at=0)
    assert ProfileEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_the_file_has_a_version_a_kind_and_every_field_with_times_in_utc(make_entry):
    document = make_entry().to_json()
    assert (document["version"], document["kind"]) == (1, "profile")
    assert document.keys() - {"version", "kind"} == {field.name for field in dataclasses.fields(ProfileEntry)} - BOUND
    assert document["created_at"] == "2026-11-21T22:25:39.500000Z"
    assert all(value.endswith("Z") for name, value in document.items() if name.endswith("_at"))


BOUND = {
    *("dpop_key", "dpop_alg", "client_key_name", "client_certificate", "client_certificate_key"),
    "security_profile",
}


def test_an_entry_with_a_key_is_of_another_version_so_that_no_earlier_release_uses_it(make_entry):
    """It would send the token without a proof. What it finds is of a newer release, and stays where it is."""
    entry = dataclasses.replace(make_entry(), dpop_key=Secret("planted-key"), dpop_alg="ES256")
    document = entry.to_json()
    assert document["version"] == 2
    assert ProfileEntry.from_json(json.loads(json.dumps(document))) == entry
    assert "planted-key" not in f"{entry} {entry.masked()}"


LATER = {"known_audiences": (), "provider": None, "redirect_uri_on_refresh": False, "userinfo": None}


def test_a_file_of_an_earlier_release_is_read(make_entry):
    document = make_entry().to_json()
    for name in LATER:
        del document[name]
    assert ProfileEntry.from_json(document) == make_entry(**LATER)


def test_an_earlier_release_reads_what_holds_nothing_newer(make_entry):
    assert not LATER.keys() & make_entry(**LATER).to_json().keys()


@pytest.mark.parametrize("value", [{"known_audiences": "api"}, {"known_audiences": None}, {"userinfo": []}])
def test_what_came_later_is_read_as_strictly(make_entry, value):
    with pytest.raises(CorruptEntry) as refused:
        ProfileEntry.from_json(make_entry().to_json() | value)
    assert refused.value.reason == "wrong_value"


def test_the_id_token_comes_before_userinfo(make_entry):
    entry = make_entry(userinfo={"sub": "mallory", "name": "Zoe", "email": "zoe@example.org"})
    assert entry.told == {**entry.claims, "email": "zoe@example.org"}
    assert make_entry(claims=None, userinfo=None).told == {}


def test_there_is_no_place_for_a_password_or_client_secret(make_entry):
    assert not [name for name in make_entry().to_json() if "password" in name or "client_secret" in name]


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda entry: f"{entry}",
        lambda entry: "%s %r" % (entry, entry),  # noqa: UP031 - one way more to show it
        lambda entry: repr(dataclasses.asdict(entry)),
        lambda entry: repr(copy.deepcopy(entry)),
        lambda entry: repr(pickle.dumps(entry)),
        lambda entry: json.dumps(entry.masked()),
    ],
)
def test_secrets_do_not_show(make_entry, show):
    shown = show(make_entry())
    assert not [secret for secret in SECRETS if secret in shown]
    assert "alice" not in repr(make_entry())


def test_secrets_do_not_show_in_logs_or_tracebacks(make_entry, caplog):
    entry = make_entry()
    try:
        logging.getLogger("test").warning("entry %s", entry)
        raise ValueError(entry)  # noqa: TRY301 - the traceback is what is looked at
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert not [secret for secret in SECRETS if secret in shown + caplog.text]


def test_masking_leaves_the_rest(make_entry):
    entry = make_entry(nonce=None)
    plain, masked = entry.to_json(), entry.masked()
    differing = {name for name in plain if plain[name] != masked[name]}
    assert differing == {"access_token", "id_token", "refresh_token"}
    assert {masked[name] for name in differing} == {"<secret>"}
    assert masked["nonce"] is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "wrong_kind"),
        ([], "wrong_kind"),
        ("profile", "wrong_kind"),
        ({}, "wrong_kind"),
        ({"kind": "institution"}, "wrong_kind"),
        ({"kind": "profile"}, "wrong_version"),
        ({"kind": "profile", "version": True}, "wrong_version"),
        ({"kind": "profile", "version": 1.0}, "wrong_version"),
        ({"kind": "profile", "version": 0}, "wrong_version"),
        ({"kind": "profile", "version": "1"}, "wrong_version"),
        ({"kind": "profile", "version": 3}, "newer_version"),
        ({"kind": "profile", "version": 1}, "missing_field"),
        ({"kind": "profile", "version": 1, "client_secret": "x"}, "unknown_field"),
    ],
)
def test_what_is_no_entry_says_why(document, reason):
    with pytest.raises(CorruptEntry) as refused:
        ProfileEntry.from_json(document)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("profile", "../work"),
        ("client_authentication", "client_secret_jwt"),
        ("client_authentication", None),
        ("claims", ["iss", "sub"]),
        ("claims", {"iss": "i"}),
        ("claims", {"iss": "i", "sub": 7}),
        ("claims", {"iss": None, "sub": "s"}),
        ("claims", {"sub": "s"}),
    ],
)
def test_a_field_with_a_wrong_value_says_which(make_entry, field, value):
    with pytest.raises(CorruptEntry) as refused:
        ProfileEntry.from_json({**make_entry().to_json(), field: value})
    assert refused.value.reason == "wrong_value"
    assert field in refused.value.message


def test_a_foreign_name_is_shown_safely(make_entry):
    with pytest.raises(CorruptEntry) as refused:
        ProfileEntry.from_json({**make_entry().to_json(), "\x1b[2J\n" + "x" * 10_000: 1})
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("kind", "seconds", "token"),
    [
        ("access", 0, "planted-access"),
        ("access", 3299, "planted-access"),
        ("access", 3300, None),
        ("id", 59, "planted-id"),
        ("id", 60, None),
    ],
)
def test_a_token_is_given_while_it_is_fresh(make_entry, now, kind, seconds, token):
    found = make_entry().fresh_token(kind, now=now + seconds)
    assert (found and found.reveal()) == token


def test_a_token_that_is_not_there_is_not_fresh(make_entry, now):
    assert make_entry(id_token=None, id_token_expires_at=None).fresh_token("id", now=now) is None


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ({"refresh_token": None, "ended_at": None}, Secret("planted-access")),
        ({"ended_at": None}, None),
        ({"refresh_token": None}, None),
    ],
    ids=["the last there is", "another can be had", "the session has ended"],
)
def test_a_token_whose_end_is_not_told_is_fresh_without_end_only_as_the_last_one(make_entry, now, fields, token):
    entry = make_entry(**{"ended_at": now, "access_token_expires_at": None, **fields})
    assert entry.fresh_token("access", now=now + 1e9) == token
