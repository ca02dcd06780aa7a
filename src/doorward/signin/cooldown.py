"""One question, then quiet: a program that keeps asking leaves a person alone who does not answer.

After a sign-in that nobody answered, the next one of that profile is refused for a minute, then two, four, up to an
hour, in whatever process. A person who asks for a sign-in themselves is not held up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from doorward.errors import CorruptEntry, Malformed, SignInRequired
from doorward.protocol.reading.strict_json import loads_object
from doorward.vault.files import read_private_file, remove_private_file, write_private_file
from doorward.vault.folders import unanswered_file

if TYPE_CHECKING:
    from doorward.ports import Clock
    from doorward.vault.vault import Vault

__all__ = ["Cooldown"]

_FIRST_S = 60
_LONGEST_S = 3600


class Cooldown:
    """What is known of the unanswered sign-ins of one profile. Use it while holding the profile's sign-in lock."""

    def __init__(self, vault: Vault, profile: str, clock: Clock) -> None:
        self._folder = vault.folder
        self._file = unanswered_file(profile)
        self._profile = profile
        self._clock = clock

    def check(self) -> None:
        """Refuse to ask again so soon.

        Raises:
            SignInRequired: ``reason`` is ``cooling_down``.
        """
        unanswered, last_at = self._read()
        quiet_s = min(_FIRST_S * 2 ** min(unanswered - 1, 10), _LONGEST_S) if unanswered else 0
        left_s = last_at + quiet_s - self._clock.now()
        if 0 < left_s <= _LONGEST_S:
            profile = "" if self._profile == "default" else f" --profile {self._profile}"
            message = (
                f"Nobody answered the last sign-in of profile {self._profile!r}, so no program asks again for "
                f"{left_s:.0f} s. Wait, or sign in yourself in a terminal: `doorward login{profile}`, with --device "
                "if no browser is there."
            )
            raise SignInRequired(message, reason="cooling_down")

    def unanswered(self) -> None:
        """Remember that nobody answered."""
        unanswered, _ = self._read()
        record = {"unanswered": unanswered + 1, "last_at": int(self._clock.now())}
        write_private_file(self._folder, self._file, json.dumps(record).encode())

    def answered(self) -> None:
        """Forget about it."""
        remove_private_file(self._folder, self._file)

    def _read(self) -> tuple[int, int]:
        try:
            record = loads_object(read_private_file(self._folder, self._file) or b"{}", what="The file")
        except (Malformed, CorruptEntry):
            return 0, 0
        unanswered, last_at = record.get("unanswered"), record.get("last_at")
        return (unanswered, last_at) if type(unanswered) is int and type(last_at) is int else (0, 0)
