"""A keyring as ``keyring`` loads them: a file, or what a real one can't be made to do. See ``use``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from keyring import backend, errors


class Small(backend.KeyringBackend):
    priority = 1

    def __init__(self) -> None:
        super().__init__()
        mood = os.environ.get("SMALL_KEYRING_MOOD")
        if mood == "hangs":
            time.sleep(60)
        if mood == "locked":
            raise errors.KeyringLocked("planted")
        if mood == "fails":
            raise RuntimeError("planted")
        self._file = Path(os.environ["SMALL_KEYRING"])

    def _held(self) -> dict[str, str]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._held().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        if os.environ.get("SMALL_KEYRING_MOOD") != "forgets":
            self._file.write_text(json.dumps(self._held() | {f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        held = self._held()
        del held[f"{service} {username}"]
        self._file.write_text(json.dumps(held))
