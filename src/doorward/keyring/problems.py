"""What a keyring can't do, by name, each with its remedy."""

from __future__ import annotations

from doorward.errors import KeyringLocked, KeyringUnavailable, printable

__all__ = ["DEADLINE_S", "NO_KEYRING", "problem"]

DEADLINE_S = 5.0
"""How long a keyring is waited for, with all that is asked of it."""

NO_KEYRING = ("keyring_absent", "keyring_no_bus", "keyring_package_missing")
"""The reasons that most machines without a person have, and need not mend."""

_PROBLEMS = {
    "locked": (
        "The keyring is locked. Unlock it, by signing in to your desktop or in the keyring's own program (Passwords "
        "and Keys, KWallet, KeePassXC, Keychain Access), and try again. Nothing is lost."
    ),
    "hung": (
        f"The keyring did not answer, or not within {DEADLINE_S:g} s. See whether it waits for you in a window; else "
        "restart it, or sign out of your desktop and in again. Nothing is lost."
    ),
    "no_bus": "This session has no D-Bus session bus, and so no keyring: as in a container, by SSH, or in cron.",
    "absent": "No keyring service runs in this session. Start one, such as gnome-keyring.",
    "empty": "The keyring service has no default keyring. Make one in its settings.",
    "refused": "The keyring refused: {}. See in its own program whether it works, and whether its disk is full.",
    "too_small": (
        "The keyring took a value and gives back something else, as one does that is full or takes only short values. "
        "Nothing was kept. Make room in it."
    ),
    "package_missing": "The package that talks to the keyring is missing: pip install 'doorward[keyring]'.",
}


def problem(name: str, said: str = "") -> KeyringLocked | KeyringUnavailable:
    """Build the error for a problem, with what the keyring said of it."""
    error = KeyringLocked if name == "locked" else KeyringUnavailable
    return error(_PROBLEMS[name].format(printable(said)), reason=f"keyring_{name}")
