"""One exit code for each way to fail, one line for people, one object for programs."""

from __future__ import annotations

import json

import pytest

from doorward.cli import ending
from doorward.errors import (
    ConfigurationError,
    CorruptEntry,
    InvalidResponse,
    LockTimeout,
    ProviderUnavailable,
    SignInCancelled,
    SignInRequired,
    StoreError,
    TransportError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("Set it.", field="x"), 2),
        (SignInRequired("Sign in."), 3),
        (TransportError("Try again."), 4),
        (ProviderUnavailable("Try again."), 4),
        (StoreError("Try again."), 4),
        (LockTimeout("Try again."), 4),
        (SignInCancelled("You said no."), 1),
        (InvalidResponse("Tell the provider."), 1),
        (CorruptEntry("Sign in again."), 1),
    ],
)
def test_the_exit_code_and_the_line(error, code, capsys):
    assert ending.failed(error, []) == code
    assert capsys.readouterr() == ("", f"doorward: {error.message}\n")


def test_programs_get_an_object(capsys):
    error = ProviderUnavailable("Try again.", reason="backing_off", retry_after_s=7)
    assert ending.failed(error, ["token", "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {
            "code": "provider_unavailable",
            "reason": "backing_off",
            "message": "Try again.",
            "retry_after_s": 7,
        }
    }
    assert err == ""


def test_ctrl_c_is_said_shortly(capsys):
    assert ending.stopped([]) == 1
    assert capsys.readouterr().err == "Stopped.\n"
    assert ending.stopped(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "stopped"
