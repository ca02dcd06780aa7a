"""An institution's session as a value, as JSON, and at rest."""

import copy
import dataclasses
import json
import os
import pickle
import stat

import pytest

from doorward.errors import ConfigurationError, CorruptEntry, VaultError
from doorward.model import Secret
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie

NOW = 1_795_300_000.0
FILE = "institution-jcu.json"


def make_entry(**changes):
    full = InstitutionEntry(
        name="JCU",
        where="jcu.edu.au",
        institution_url="https://go.openathens.net/redirector/jcu.edu.au",
        target="https://sp.example.org/paper?x=1#page",
        user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/140",
        signed_in_at=NOW - 7200.5,
        created_at=NOW - 60,
        proven_at=NOW,
        cookies=(
            KeptCookie(
                name="_shibsession_1", value=Secret("planted-sp"), domain="sp.example.org", http_only=True, secure=True
            ),
            KeptCookie(
                name="x", value=Secret(""), domain=".example.org", path="/a", expires=NOW + 0.5, same_site="None"
            ),
        ),
    )
    return dataclasses.replace(full, **changes)


def test_the_file_holds_what_was_promised():
    document = make_entry().to_json()
    assert document["created_at"] == "2026-11-21T22:25:40.000000Z"
    assert document["institution_url"] == "https://go.openathens.net/redirector/jcu.edu.au"
    assert document["user_agent"].startswith("Mozilla/5.0")
    assert document["cookies"][0] == {
        "name": "_shibsession_1",
        "value": "planted-sp",
        "domain": "sp.example.org",
        "path": "/",
        "expires": -1,
        "httpOnly": True,
        "secure": True,
        "sameSite": "Lax",
    }
    assert (document["version"], document["kind"]) == (1, "institution")
    assert document.keys() - {"version", "kind"} == {field.name for field in dataclasses.fields(InstitutionEntry)}
    assert InstitutionEntry.from_json(json.loads(json.dumps(document))) == make_entry()


def test_a_browsers_cookie_goes_there_and_back():
    cookie = make_entry().cookies[1].to_browser()
    assert KeptCookie.from_browser({**cookie, "partitionKey": "https://elsewhere"}).to_browser() == cookie


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda entry: repr(dataclasses.asdict(entry)),
        lambda entry: repr(copy.deepcopy(entry)),
        lambda entry: repr(pickle.dumps(entry)),
        lambda entry: json.dumps(entry.masked()),
    ],
)
def test_no_cookie_shows(show):
    assert "planted" not in show(make_entry())


def _wrong_members():
    cookie = make_entry().cookies[0].to_browser()
    urls = (None, 1, "", "jcu.edu.au", "http://jcu.edu.au", "file:///etc/passwd", "https://a b", "https://u:p@a")
    wrong = {
        "name": (None, 1, "", "../x", "a/b", "-x", "x" * 65),
        "where": (None, "", 1, ["jcu.edu.au"]),
        "institution_url": urls,
        "target": urls,
        "user_agent": (None, 1, []),
        "cookies": (
            *(None, {}, "x", [None], [[]], [{}], [cookie, 1], {"0": cookie}),
            [{**cookie, "partitionKey": "x"}],
            *([{key: value for key, value in cookie.items() if key != name}] for name in cookie),
            *([{**cookie, name: 1}] for name in cookie if name != "expires"),
            *([{**cookie, "expires": wrong}] for wrong in (-2, True, "1", None, float("nan"), float("inf"))),
            [{**cookie, "sameSite": "lax"}],
            [{**cookie, "domain": ""}],
        ),
    }
    times = (None, 0, "", "2026-11-21T22:25:40Z", "2026-11-21T22:25:40.000000", "2026-11-21T22:25:40.000000+00:00")
    for name in ("signed_in_at", "created_at", "proven_at"):
        wrong[name] = times
    return [(name, value) for name, values in wrong.items() for value in values]


@pytest.mark.parametrize(("name", "value"), _wrong_members())
def test_a_wrong_member_is_named(name, value):
    with pytest.raises(CorruptEntry) as corrupt:
        InstitutionEntry.from_json({**make_entry().to_json(), name: value})
    assert corrupt.value.reason == "wrong_value"
    assert name in corrupt.value.message
    assert "planted" not in corrupt.value.message


class TestAtRest:
    def test_what_was_put_is_got_by_any_case_and_beside_a_profile_of_that_name(self, vault, folder):
        vault.institutions.put(make_entry())
        assert vault.institutions.get("jcu") == vault.institutions.get("JCU") == make_entry()
        assert vault.institutions.names() == ["jcu"]
        assert vault.names() == []
        assert vault.get("jcu") is None
        assert os.listdir(folder) == [FILE]
        assert stat.S_IMODE(os.stat(os.path.join(folder, FILE)).st_mode) == 0o600

    def test_the_old_one_stays_where_the_new_one_can_not_be_kept(self, vault):
        vault.institutions.put(make_entry())
        huge = KeptCookie(name="a", value=Secret("x" * 2_000_000), domain="a.example")
        for odd in ({"cookies": (huge,)}, {"created_at": float("nan")}, {"target": "http://plain.example"}):
            with pytest.raises(VaultError) as refused:
                vault.institutions.put(make_entry(**odd))
            assert refused.value.reason == "not_storable"
        assert vault.institutions.get("jcu") == make_entry()

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda data: data[:-1], "json_syntax"),
            (lambda data: b"[" + data + b"]", "json_not_object"),
            (lambda data: data.replace(b'"version":1', b'"version":1,"version":1'), "json_repeated_name"),
            (
                lambda data: data.replace(b'"version":1', b'"version":1,"__reduce__":["os.system","true"]'),
                "unknown_field",
            ),
            (lambda data: data.replace(b'"name":"JCU"', b'"name":"other"'), "wrong_institution"),
            (lambda data: data.replace(b'"kind":"institution"', b'"kind":"profile"'), "wrong_kind"),
            (lambda data: data.replace(b'.000000Z"', b'.000000"'), "wrong_value"),
            (lambda data: data.replace(b"-1.0", b"NaN"), "json_syntax"),
            (lambda data: data.replace(b"-1.0", b"9" * 30), "json_integer_range"),
            (lambda data: b"{" + b" " * 1_100_000 + data[1:], "too_large"),
        ],
    )
    def test_a_tampered_file_is_set_aside_and_reported_once(self, vault, folder, spoil, reason):
        vault.institutions.put(make_entry())
        path = os.path.join(folder, FILE)
        with open(path, "r+b") as file:
            content = spoil(file.read())
            file.seek(0)
            file.truncate()
            file.write(content)
        with pytest.raises(CorruptEntry, match=r"set aside as .*Sign in again at 'jcu'") as corrupt:
            vault.institutions.get("jcu")
        assert corrupt.value.reason == reason
        assert "planted" not in corrupt.value.message
        (aside,) = os.listdir(folder)
        assert aside.startswith(f"{FILE}.corrupt-")
        assert vault.institutions.get("jcu") is None

    def test_a_newer_version_stays(self, vault, folder):
        vault.institutions.put(make_entry())
        path = os.path.join(folder, FILE)
        with open(path, "r+b") as file:
            newer = file.read().replace(b'"version":1', b'"version":2')
            file.seek(0)
            file.write(newer)
        with pytest.raises(VaultError, match="Upgrade this one, or sign in again at 'jcu'") as refused:
            vault.institutions.get("jcu")
        assert refused.value.reason == "newer_version"
        assert os.listdir(folder) == [FILE]

    def test_export_shows_all_that_is_held_and_no_secret(self, vault, folder):
        vault.institutions.put(make_entry())
        shown = vault.institutions.export("jcu")
        assert shown == {
            "institution": "jcu",
            "entry": make_entry().masked(),
            "files": [os.path.join(folder, FILE)],
        }
        assert shown["entry"]["cookies"][0]["value"] == "<secret>"

    def test_forget_leaves_nothing(self, vault, folder):
        vault.institutions.put(make_entry())
        with open(os.path.join(folder, FILE), "wb") as file:
            file.write(b"{")
        with pytest.raises(CorruptEntry):
            vault.institutions.get("jcu")
        vault.institutions.put(make_entry())
        vault.institutions.put(make_entry(name="other"))
        assert vault.institutions.forget("jcu")
        assert os.listdir(folder) == ["institution-other.json"]
        assert not vault.institutions.forget("jcu")

    def test_its_lock_excludes_and_is_not_the_profiles(self, vault):
        with (
            vault.institutions.lock("jcu") as held,
            vault.institutions.lock("JCU") as other,
            vault.lock("jcu") as third,
        ):
            assert held.try_acquire()
            assert not other.try_acquire()
            assert third.try_acquire()

    def test_a_name_that_is_none_is_refused(self, vault):
        with pytest.raises(ConfigurationError, match="can't be the name of an institution") as wrong:
            vault.institutions.get("../etc/passwd")
        assert (wrong.value.field, wrong.value.reason) == ("institution", "institution_name")
