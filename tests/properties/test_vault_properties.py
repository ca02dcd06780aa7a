"""What holds of the vault for any name, entry and file content."""

import json
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.errors import ConfigurationError, CorruptEntry, VaultError
from doorward.model import Secret
from doorward.vault.entries import ProfileEntry
from doorward.vault.files import original_name
from doorward.vault.folders import profile_file
from doorward.vault.glance import fresh_token
from doorward.vault.times import format_instant, is_fresh, parse_instant, refresh_margin_s
from doorward.vault.vault import Vault

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SECRETS = TEXTS.map(Secret)
INSTANTS = st.integers(-(10**15), 4 * 10**15).map(lambda microseconds: microseconds / 1e6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=10,
)
CLAIMS = st.builds(
    lambda rest, issuer, subject: {**rest, "iss": issuer, "sub": subject},
    st.dictionaries(TEXTS, JSON, max_size=4),
    TEXTS,
    TEXTS,
)
METHODS = st.sampled_from(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])


on_disk = settings(deadline=None)  # a disk takes the time it takes


def or_none(values):
    return st.none() | values


ENTRIES = st.builds(
    ProfileEntry,
    profile=st.just("work"),
    issuer=TEXTS,
    client_id=TEXTS,
    client_authentication=METHODS,
    created_at=INSTANTS,
    scopes=st.lists(TEXTS, max_size=3).map(tuple),
    audience=or_none(TEXTS),
    resource=or_none(TEXTS),
    insecure_loopback_http=st.booleans(),
    redirect_uri=or_none(TEXTS),
    access_token=or_none(SECRETS),
    access_token_issued_at=or_none(INSTANTS),
    access_token_expires_at=or_none(INSTANTS),
    granted_scopes=or_none(st.lists(TEXTS, max_size=3).map(tuple)),
    id_token=or_none(SECRETS),
    id_token_issued_at=or_none(INSTANTS),
    id_token_expires_at=or_none(INSTANTS),
    id_token_renewable=st.booleans(),
    nonce=or_none(SECRETS),
    claims=or_none(CLAIMS),
    refresh_token=or_none(SECRETS),
    refreshed_at=or_none(INSTANTS),
    ended_at=or_none(INSTANTS),
    ended_reason=or_none(TEXTS),
    retry_at=or_none(INSTANTS),
    failures=st.integers(0, 1000),
)


@pytest.fixture(scope="module")
def vault():
    with tempfile.TemporaryDirectory() as folder:
        yield Vault(str(Path(folder) / "vault"))


def place(vault, content):
    path = Path(vault.folder) / "profile-work.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


@on_disk
@given(ENTRIES)
def test_an_entry_comes_back_as_it_was_put(vault, entry):
    vault.put(entry)
    assert vault.get("work") == entry


@on_disk
@given(ENTRIES, INSTANTS, st.sampled_from(["access", "id"]))
def test_the_quick_look_gives_what_the_entry_gives(vault, entry, now, kind):
    vault.put(entry)
    token = entry.fresh_token(kind, now=now)
    expected = None if token is None or entry.ended_at is not None else token.reveal()
    if expected is not None and not (expected.isascii() and expected.isprintable()):
        expected = None  # no token; the whole path says so
    found = fresh_token(vault.folder, "work", kind, now=now)
    assert (found and found[0]) == expected


@on_disk
@given(st.binary(max_size=200))
@example(b"\x80\x04\x95")
def test_any_bytes_are_an_entry_or_a_typed_error(vault, content):
    place(vault, content)
    assert fresh_token(vault.folder, "work", "access", now=0) is None
    with pytest.raises(CorruptEntry):
        vault.get("work")
    assert vault.get("work") is None


@on_disk
@given(ENTRIES, st.data())
def test_a_damaged_file_is_an_entry_or_a_typed_error(vault, entry, data):
    content = bytearray(json.dumps(entry.to_json()).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 20)))
        content[start:end] = data.draw(st.binary(max_size=20))
    place(vault, bytes(content))
    fresh_token(vault.folder, "work", "access", now=0)
    try:
        found = vault.get("work")
    except CorruptEntry:
        assert vault.get("work") is None
    except VaultError as error:
        assert error.reason == "newer_version"  # noqa: PT017 - one of three outcomes
    else:
        assert isinstance(found, ProfileEntry)


@given(st.dictionaries(TEXTS, JSON) | JSON)
def test_any_json_is_a_typed_error(document):
    with pytest.raises(CorruptEntry):
        ProfileEntry.from_json(document)


@given(NAMES, NAMES)
def test_names_share_a_file_only_if_they_differ_in_case_alone(one, other):
    assert (profile_file(one) == profile_file(other)) == (one.lower() == other.lower())
    assert original_name(profile_file(one)) == profile_file(one)


@given(st.text(max_size=70))
def test_what_is_no_name_is_refused(text):
    allowed = set(string.ascii_letters + string.digits + "._@+-")
    if 0 < len(text) <= 64 and set(text) <= allowed and text[0] not in "._@+-":
        assert Path(profile_file(text)).name == profile_file(text)
    else:
        with pytest.raises(ConfigurationError):
            profile_file(text)


@given(INSTANTS)
def test_instants_are_a_round_trip(at):
    assert parse_instant(format_instant(at)) == at


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", fullmatch=True)
)
def test_only_what_we_write_is_read(text):
    try:
        at = parse_instant(text)
    except ValueError:
        return
    assert format_instant(at) == text


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_token_just_issued_is_fresh_if_it_lives_at_all_and_an_expired_one_never(issued_at, lifetime_s):
    expires_at = issued_at + lifetime_s
    assert is_fresh(issued_at, expires_at, now=issued_at, bounded=True) == (expires_at > issued_at)
    assert not is_fresh(issued_at, expires_at, now=expires_at, bounded=False)
    assert 0 <= refresh_margin_s(lifetime_s) <= 300
