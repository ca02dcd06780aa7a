"""A client's secret in the keyring: kept, read, forgotten, and each thing that a keyring can't do told by name."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from doorward.errors import KeyringLocked, KeyringUnavailable
from doorward.model import Secret
from doorward.signin.settings import os_keyring
from doorward.signin.settings.os_keyring import forget_secret, keep_secret, read_secret

ISSUER = "https://id.example.org"
SUPPORT = Path(__file__).parents[3] / "support"


@pytest.fixture(params=["process", "thread"])
def keyring(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small keyring in a file, asked as a program and as one that has Python within it."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "small_backend.Small")
    monkeypatch.setenv("SMALL_KEYRING", str(tmp_path / "kept"))
    if request.param == "thread":
        backend = pytest.importorskip("keyring.core")
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "is not started"))
        backend.init_backend()
    return tmp_path / "kept"


def mood(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SMALL_KEYRING_MOOD", name)
    if getattr(sys, "frozen", False):
        monkeypatch.setattr("keyring.core._keyring_backend", None)


def test_what_is_kept_is_read_until_it_is_forgotten(keyring: Path) -> None:
    assert read_secret(ISSUER, "web") is None
    keep_secret(ISSUER, "web", Secret("hunter2 ü"))
    assert read_secret(ISSUER, "web") == Secret("hunter2 ü")
    assert read_secret(ISSUER, "other") is None
    assert "doorward web@https://id.example.org" in keyring.read_text()
    assert forget_secret(ISSUER, "web")
    assert not forget_secret(ISSUER, "web")
    assert read_secret(ISSUER, "web") is None


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("locked", KeyringLocked, "keyring_locked"),
        ("fails", KeyringUnavailable, "keyring_refused"),
        ("hangs", KeyringUnavailable, "keyring_hung"),
    ],
)
def test_what_it_can_not_do_is_told_by_name(
    keyring: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[Exception], reason: str
) -> None:
    mood(monkeypatch, name)
    if name == "hangs":
        monkeypatch.setattr(os_keyring, "_TIMEOUT_S", 1.0)
    began = time.monotonic()
    with pytest.raises(error, match="DOORWARD_CLIENT_SECRET") as told:
        read_secret(ISSUER, "web")
    assert told.value.reason == reason
    assert "planted" not in told.value.message
    assert time.monotonic() - began < 30


def test_one_that_forgets_at_once_is_noticed(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_KEYRING_MOOD", "forgets")
    with pytest.raises(KeyringUnavailable) as told:
        keep_secret(ISSUER, "web", Secret("hunter2"))
    assert told.value.reason == "keyring_refused"
    assert "hunter2" not in told.value.message


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("keyring.backends.fail.Keyring", "keyring_absent"),
        ("doorward.integrations.package_index.PackageIndexKeyring", "keyring_absent"),
        ("keyring.backends.null.Keyring", "keyring_unsafe"),
        ("keyrings.alt.file.PlaintextKeyring", "keyring_unsafe"),
    ],
)
def test_one_that_keeps_nothing_safe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, reason: str
) -> None:
    alt = tmp_path / "keyrings" / "alt"  # as that package has it
    alt.mkdir(parents=True)
    (alt / "file.py").write_text("from small_backend import Small\nclass PlaintextKeyring(Small): pass\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{SUPPORT}")
    monkeypatch.setenv("SMALL_KEYRING", str(tmp_path / "kept"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    with pytest.raises(KeyringUnavailable) as told:
        keep_secret(ISSUER, "web", Secret("hunter2"))
    assert told.value.reason == reason
    assert not (tmp_path / "kept").exists()


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_keyring, "find_spec", lambda _: None)
    with pytest.raises(KeyringUnavailable, match="pip install"):
        read_secret(ISSUER, "web")


def test_no_interpreter_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(KeyringUnavailable, match="ended without an answer"):
        read_secret(ISSUER, "web")


def test_a_file_where_the_person_happens_to_be_is_not_run(
    keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keyring.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    assert read_secret(ISSUER, "web") is None


def test_the_other_process_learns_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\necho \"$@\" > {tmp_path}/asked\necho '{{}}'\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("DOORWARD_API_KEY_PEPPER", "planted")
    with pytest.raises(KeyringUnavailable):
        keep_secret(ISSUER, "web", Secret("hunter2"))
    assert "planted" not in (tmp_path / "environment").read_text()
    assert "hunter2" not in (tmp_path / "environment").read_text() + (tmp_path / "asked").read_text()
