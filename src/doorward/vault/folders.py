"""Where things are: the data and configuration folders, and the names of an entry's files. Nothing is opened here.

On the path of ``doorward token``: imports nothing heavy, and ``platformdirs`` only where the answer needs it.
"""

from __future__ import annotations

import os
import sys

from doorward.errors import ConfigurationError, printable

__all__ = [
    "config_folder",
    "data_folder",
    "institution_file",
    "key_file",
    "profile_file",
    "unanswered_file",
    "vault_folder",
]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_OTHERS = frozenset("._@+-")
_LONGEST_NAME = 64


def data_folder() -> str:
    """Return the absolute path of the folder for data: ``DOORWARD_HOME``, or the platform's.

    Raises:
        ConfigurationError: ``DOORWARD_HOME`` is not an absolute path, or there is no home folder.
    """
    return _folder("XDG_DATA_HOME", "~/.local/share", "user_data_dir")


def config_folder() -> str:
    """Return the absolute path of the folder of ``doorward.toml``: ``DOORWARD_HOME``, or the platform's.

    Raises:
        ConfigurationError: ``DOORWARD_HOME`` is not an absolute path, or there is no home folder.
    """
    return _folder("XDG_CONFIG_HOME", "~/.config", "user_config_dir")


def vault_folder() -> str:
    """Return the absolute path of the default vault: ``vault`` in the data folder.

    Raises:
        ConfigurationError: The same as ``data_folder``.
    """
    return os.path.join(data_folder(), "vault")


def profile_file(profile: str) -> str:
    """Return the name of a profile's file. Names that differ only in case are one profile, as on macOS and Windows.

    Args:
        profile: 1 to 64 of ``A-Z a-z 0-9 . _ @ + -``, beginning with a letter or digit.

    Raises:
        ConfigurationError: Not such a name.
    """
    return _entry_file("profile", profile)


def institution_file(name: str) -> str:
    """Return the name of an institution's file. The rules are those for the name of a profile.

    Raises:
        ConfigurationError: Not such a name.
    """
    return _entry_file("institution", name)


def key_file(name: str) -> str:
    """Return the name of a client key's file. The rules are those for the name of a profile.

    Raises:
        ConfigurationError: Not such a name.
    """
    return _entry_file("key", name)


def unanswered_file(profile: str) -> str:
    """Return the name of the file that counts the sign-ins of a profile that nobody answered.

    Raises:
        ConfigurationError: Not a name of a profile.
    """
    return "unanswered-" + profile_file(profile)


def _entry_file(noun: str, name: str) -> str:
    if not (0 < len(name) <= _LONGEST_NAME and name[0] in _LETTERS and set(name) <= _LETTERS | _OTHERS):
        article = "an" if noun == "institution" else "a"
        message = (
            f"{printable(name)!r} can't be the name of {article} {noun}. Take 1 to {_LONGEST_NAME} letters, digits and "
            "any of . _ @ + - beginning with a letter or digit."
        )
        raise ConfigurationError(message, field=noun, reason=f"{noun}_name")
    return f"{noun}-{name.lower()}.json"


def _folder(xdg: str, default: str, function: str) -> str:
    home = os.environ.get("DOORWARD_HOME", "")
    if home:
        if not os.path.isabs(home):
            message = f"DOORWARD_HOME is {printable(home)!r}. Set it to an absolute path, or unset it."
            raise ConfigurationError(message, field="DOORWARD_HOME", reason="home_not_absolute")
        return os.path.normpath(home)
    # The answer of platformdirs, without the 15 ms that importing it takes, wherever it is this simple.
    base = os.environ.get(xdg, "")
    if sys.platform == "linux" and not os.path.isabs(base) and os.path.isabs(os.environ.get("HOME", "")):
        base = os.path.expanduser(default)
    if sys.platform != "win32" and os.path.isabs(base):
        return os.path.normpath(os.path.join(base, "doorward"))
    import platformdirs  # noqa: PLC0415 - heavy, and seldom needed

    try:
        return str(getattr(platformdirs, function)("doorward", appauthor=False))
    except RuntimeError as error:
        message = "There is no home folder to keep data in. Set DOORWARD_HOME to an absolute path."
        raise ConfigurationError(message, field="DOORWARD_HOME", reason="no_home") from error
