"""Where peppers come from: an argument, the environment, or a private file beside an SQLite database.

A pepper is what a copy of the database is worthless without. Several may be given, the newest first: keys made with any
of them are good, new ones are made with the first. So a pepper is replaced without a key ceasing to work; when no key
that counts is left of the old one (``doorward keys list`` shows which is whose), it is taken away.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, StoreError, printable
from doorward.guard.api_keys.format import Pepper
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.guard.api_keys.api_key import KeyStore

__all__ = [
    "PEPPER_VARIABLE",
    "Peppers",
    "generate_pepper",
    "make_pepper_file",
    "parse_peppers",
    "peppers_of",
    "read_pepper_file",
]

PEPPER_VARIABLE = "DOORWARD_API_KEY_PEPPER"

_SHORTEST = 32
_LONGEST = 1024
_MOST = 8
_FILE_BYTES = 16_384
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Peppers:
    """The peppers of one store: those given, or else those on file, which are read when first wanted.

    Attributes:
        known: the newest first; none before the file is read.
    """

    __slots__ = ("_file", "known")

    def __init__(self, given: tuple[Pepper, ...], file: str | None) -> None:
        self.known = given
        self._file = file

    def read(self, store: KeyStore) -> tuple[Pepper, ...]:
        """Return what there is; none where no key was ever made.

        Raises:
            StoreError: It can't be read, or it is gone though there are keys.
        """
        if not self.known and self._file is not None:
            self.known = read_pepper_file(self._file)
            if not self.known and not store.is_empty():
                message = f"{printable(self._file)} is gone: no key can be checked without it. Restore it from a copy."
                raise StoreError(message, reason="pepper_gone")
        return self.known

    def newest(self, store: KeyStore) -> Pepper:
        """Return the one to make keys with, making a file for it where there is none.

        Raises:
            StoreError: As above.
        """
        if not self.read(store) and self._file is not None:
            self.known = make_pepper_file(self._file)
        return self.known[0]


def generate_pepper() -> Secret:
    """Make a new pepper: 256 random bits as text."""
    return Secret(secrets.token_urlsafe(32))


def parse_peppers(text: Secret | str, *, field: str) -> tuple[Pepper, ...]:
    """Read peppers, separated by white space or commas, the newest first.

    Raises:
        ConfigurationError: None or more than 8 of them, or one that is not 32 to 1024 characters long.
    """
    words = re.split(r"[\s,]+", (text.reveal() if isinstance(text, Secret) else text).strip())
    if len(words) > _MOST:
        message = f"{field} holds more than {_MOST} peppers. Take away those that no key is made with any more."
        raise ConfigurationError(message, field=field, reason="too_many_peppers")
    for word in words:
        if not _SHORTEST <= len(word.encode(errors="surrogatepass")) <= _LONGEST:
            message = f"A pepper of {field} is not {_SHORTEST} to {_LONGEST} bytes long. Make one: doorward keys pepper"
            raise ConfigurationError(message, field=field, reason="pepper_length")
    return tuple(Pepper(Secret(word)) for word in words)


def peppers_of(environment: Mapping[str, str], variable: str = PEPPER_VARIABLE) -> tuple[Pepper, ...]:
    """Return the peppers that a variable of the environment holds, none if it is not set.

    Raises:
        ConfigurationError: It holds something else.
    """
    text = environment.get(variable, "")
    return parse_peppers(text, field=variable) if text else ()


def read_pepper_file(path: str) -> tuple[Pepper, ...]:
    """Return the peppers in a private file, none if there is no such file.

    Raises:
        StoreError: It can't be read, others can read or change it, or it holds no pepper.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _CAREFULLY)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _refused(path, error) from error
    try:
        _check(path, os.fstat(fd))
        content = os.read(fd, _FILE_BYTES)
    finally:
        os.close(fd)
    try:
        return parse_peppers(content.decode(), field=path)
    except (ConfigurationError, UnicodeDecodeError):
        message = f"{printable(path)} holds no pepper of 32 to 1024 bytes. Restore it from a copy."
        raise StoreError(message, reason="pepper_damaged") from None


def make_pepper_file(path: str) -> tuple[Pepper, ...]:
    """Make a private file with a new pepper, durably, unless there is one; return what it holds.

    Raises:
        StoreError: As above.
    """
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFULLY, 0o600)
        try:
            with open(fd, "w") as file:  # noqa: PTH123 - a descriptor
                file.write(generate_pepper().reveal() + "\n")
                file.flush()
                os.fsync(fd)
            with suppress(FileExistsError):  # another process was faster: its pepper counts
                os.link(temporary, path)
        finally:
            os.unlink(temporary)  # noqa: PTH108 - as text, like all here
        _sync_folder(os.path.dirname(path))  # noqa: PTH120 - the same
    except OSError as error:
        raise _refused(path, error) from error
    return read_pepper_file(path)


def _check(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(
            f"{printable(path)} is no regular file. See what it is, and move it away.", reason="not_a_file"
        )
    if os.name != "posix":
        return
    if status.st_uid not in (os.geteuid(), 0):
        message = f"{printable(path)} belongs to another user ({status.st_uid}). Run as that user, or make it yours."
        raise StoreError(message, reason="foreign_owner")
    if status.st_mode & 0o077:
        message = (
            f"{printable(path)} is open to others (mode {stat.S_IMODE(status.st_mode):04o}). If you know that nobody "
            "looked, close it: chmod 600. Else put a new pepper before it, and rotate every key."
        )
        raise StoreError(message, reason="file_mode")


def _sync_folder(folder: str) -> None:
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _refused(path: str, error: OSError) -> StoreError:
    what = os.strerror(error.errno) if error.errno else "unknown"
    message = f"{printable(path)} could not be used: {what}. Look at its folder and at who may read and write there."
    return StoreError(message, reason="io")
