from __future__ import annotations

import copy
import pickle

import pytest

from doorward.errors import ConfigurationError, DoorwardError, Forbidden, OAuthError, ProviderUnavailable, Throttled


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])  # noqa: S301 - ours
@pytest.mark.parametrize(
    "error",
    [
        DoorwardError("Do this.", reason="that"),
        ConfigurationError("Do this.", field="issuer", reason="not_https"),
        OAuthError("Do this.", error="invalid_scope", description="no"),
        ProviderUnavailable("Do this.", retry_after_s=7),
        Throttled("Do this.", retry_after_s=7),
        Forbidden("Do this.", missing_scopes=("read",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_reaches_another_process_whole(error: DoorwardError, again: object) -> None:
    copied = again(error)
    assert type(copied) is type(error)
    assert copied.message == "Do this."
    assert vars(copied) == vars(error)
