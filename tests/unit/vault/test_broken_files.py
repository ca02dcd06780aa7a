"""Files that are not what we wrote: each gives a typed error, is set aside untouched, and runs nothing."""

import gzip
import hashlib
import json
import marshal
import os
import pickle

import pytest

from doorward.errors import CorruptEntry
from doorward.vault.glance import fresh_token
from doorward.vault.vault import Vault

NAME = "profile-work.json"

TEXT = [None, True, 7, 1.5, [], {}, ["x"], {"x": "y"}]
OPTIONAL_TEXT = TEXT[1:]
TEXTS = [None, "x", 7, True, {}, [1], [None], [["x"]], ["x", {}]]
INSTANT = [
    *[True, 7, 1_795_300_000.25, [], {}, "", "now", "1795300000"],
    *["2026-11-21", "2026-11-21T22:26:40Z", "2026-11-21T22:26:40.250000", "2026-11-21T22:26:40.250000+00:00"],
    *["2026-11-21T22:26:40.250000+02:00", "2026-11-21 22:26:40.250000Z", "2026-02-30T22:26:40.250000Z"],
]
TRUTH = [None, 0, 1, "true", [], {}]
COUNT = [None, True, -1, 1.5, "3", [], 2**64]
CLAIMS = [True, 7, "x", [], {}, {"iss": "i"}, {"iss": 1, "sub": "s"}, {"iss": "i", "sub": ["s"]}]
METHOD = [None, 1, [], {}, "", "client_secret_jwt", "None"]
PROFILE = [*TEXT, "", "home", "../work", "work\0", "w" * 65]

WRONG = {
    "profile": PROFILE,
    "issuer": TEXT,
    "client_id": TEXT,
    "client_authentication": METHOD,
    "created_at": [None, *INSTANT],
    "scopes": TEXTS,
    "audience": OPTIONAL_TEXT,
    "resource": OPTIONAL_TEXT,
    "insecure_loopback_http": TRUTH,
    "redirect_uri": OPTIONAL_TEXT,
    "access_token": OPTIONAL_TEXT,
    "access_token_issued_at": INSTANT,
    "access_token_expires_at": INSTANT,
    "granted_scopes": TEXTS[1:],
    "id_token": OPTIONAL_TEXT,
    "id_token_issued_at": INSTANT,
    "id_token_expires_at": INSTANT,
    "id_token_renewable": TRUTH,
    "nonce": OPTIONAL_TEXT,
    "claims": CLAIMS,
    "refresh_token": OPTIONAL_TEXT,
    "refreshed_at": INSTANT,
    "ended_at": INSTANT,
    "ended_reason": OPTIONAL_TEXT,
    "retry_at": INSTANT,
    "failures": COUNT,
    "version": [None, True, 0, -1, 1.0, "1", [1]],
    "kind": [None, 1, "", "Profile", ["profile"]],
}


class Bomb:
    """Unpickling one runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def broken_files(document, marker):
    """Yield several hundred contents, none of which is an entry."""
    text = json.dumps(document)
    data = text.encode()
    for name, values in WRONG.items():
        for value in values:
            yield json.dumps({**document, name: value}).encode()
        yield json.dumps({key: value for key, value in document.items() if key != name}).encode()
        yield text.replace(f'"{name}":', f'"{name}": {json.dumps(document[name])}, "{name}":', 1).encode()
        yield text.replace(f'"{name}"', f'"{name.upper()}"', 1).encode()
    for end in range(0, len(data), 29):
        yield data[:end]
    for position in range(0, len(data), 61):
        yield data[:position] + b"\0" + data[position:]
        yield data[:position] + b"\xff" + data[position:]
    command = f"touch {marker}"
    for key in ("__reduce__", "__class__", "py/object", "py/reduce", "__proto__", "$type", "!!python/object", "", "\0"):
        yield json.dumps({**document, key: ["os.system", command]}).encode()
    for protocol in range(6):
        yield pickle.dumps(Bomb(command), protocol=protocol)
        yield pickle.dumps(document, protocol=protocol)
    yield f"!!python/object/apply:os.system ['{command}']".encode()
    yield f"__import__('os').system('{command}')".encode()
    yield f"#!/bin/sh\n{command}\n".encode()
    yield marshal.dumps(document)
    yield gzip.compress(data)
    yield from (b"\xef\xbb\xbf" + data, *(text.encode(code) for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")))
    yield from (
        b"\0" * 100,
        os.urandom(500),
        b"\n",
        b" ",
        data + b"x",
        data + b"{}",
        data + data,
        b"x" + data,
        b"[" + data + b"]",
    )
    yield from (json.dumps(value).encode() for value in (None, True, 7, "x", [], {}, [document], {"entry": document}))
    for odd in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"9" * 400,
        b"9" * 10_000,
        b"'x'",
        b"undefined",
        b"01",
        b"+1",
    ):
        yield data.replace(b'"failures": 3', b'"failures": ' + odd)
    for depth in (30, 1_000, 100_000):
        yield data.replace(b'"claims": {', b'"claims": {"x": ' + b"[" * depth + b"]" * depth + b", ")
        yield data.replace(b'"claims": {', b'"claims": {"x": ' + b'{"x":' * depth + b"1" + b"}" * depth + b", ")
        yield b"[" * depth
        yield b'{"x":' * depth
    yield data.replace(b"planted-access", b"\\ud800")
    yield data.replace(b"planted-access", b"\\x41")
    yield data.replace(b"planted-access", b"a\nb")
    yield data.replace(b'": ', b'" = ')
    yield data.replace(b"}", b",}")
    yield b"// comment\n" + data
    yield data.replace(b"{", b"{" + b" " * 1_100_000, 1)


def place(folder, content):
    path = os.path.join(folder, NAME)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def test_each_is_refused_set_aside_and_runs_nothing(folder, make_entry, now, tmp_path):
    vault = Vault(folder)
    marker = tmp_path / "executed"
    vault.put(make_entry(failures=3))
    vault.forget("work")
    seen, reasons = set(), set()
    for content in broken_files(make_entry(failures=3).to_json(), marker):
        seen.add(hashlib.sha256(content).digest())
        place(folder, content)
        assert fresh_token(folder, "work", "id", now=now) is None  # the session has ended
        with pytest.raises(CorruptEntry) as corrupt:
            vault.get("work")
        reasons.add(corrupt.value.reason)
        assert corrupt.value.message.isprintable()
        assert "planted" not in corrupt.value.message
        (aside,) = os.listdir(folder)
        with open(os.path.join(folder, aside), "rb") as file:
            assert file.read() == content
        assert vault.get("work") is None
        vault.forget("work")
    assert len(seen) >= 200
    assert not marker.exists()
    assert reasons >= {
        *{"json_syntax", "json_not_object", "json_repeated_name", "json_too_deep", "json_integer_range", "too_large"},
        *{"wrong_kind", "wrong_version", "unknown_field", "missing_field", "wrong_value", "wrong_profile"},
    }


def test_a_file_of_100_megabytes_is_not_read(folder, make_entry):
    vault = Vault(folder)
    vault.put(make_entry())
    os.truncate(os.path.join(folder, NAME), 100 * 1024 * 1024)
    with pytest.raises(CorruptEntry) as corrupt:
        vault.get("work")
    assert corrupt.value.reason == "too_large"
    (aside,) = os.listdir(folder)
    assert os.path.getsize(os.path.join(folder, aside)) == 100 * 1024 * 1024


def test_what_the_bomb_would_do_works(tmp_path):
    """The corpus can fail: unpickled, its bomb leaves the mark that is looked for."""
    pickle.loads(pickle.dumps(Bomb(f"touch {tmp_path / 'executed'}")))  # noqa: S301 - shows that the bomb would go off
    assert (tmp_path / "executed").exists()
