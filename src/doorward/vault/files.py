"""Private files: 0600 in a 0700 folder, replaced atomically, read with distrust. The one way of the vault to disk.

What the files mean is decided elsewhere; what makes a folder or file ours alone, in ``private_folder``. On the path of
``doorward token``: imports nothing heavy.

A folder is given as an absolute path, a file as a plain name. All functions raise ``UnsafePermissions`` for a folder or
file that others could read or exchange, and ``StoreError`` where the file system refuses.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from doorward.errors import CorruptEntry
from doorward.vault.private_folder import PrivateFolder, ensured_folder, give_back, opened_folder

__all__ = [
    "MAX_FILE_BYTES",
    "check_room",
    "list_private_files",
    "open_lock_file",
    "original_name",
    "put_back",
    "read_private_file",
    "read_private_files",
    "remove_private_file",
    "set_aside",
    "write_private_file",
]

MAX_FILE_BYTES = 1_572_864
"""A larger file is not ours, and is not read. It is a mebibyte as base64, and room for what stands around it."""

_ROOM_BYTES = 65_536
_SET_ASIDE_KEPT = 10
_LEFTOVER_AGE_S = 3600.0
"""No writer takes that long: a temporary file this old was left by one that was killed."""


def read_private_file(folder: str, name: str) -> bytes | None:
    """Return the content of a file, None if there is no such file or folder.

    Raises:
        CorruptEntry: The file is larger than ``MAX_FILE_BYTES``.
    """
    return read_private_files(folder, name)[0]


def read_private_files(folder: str, *names: str) -> list[bytes | None]:
    """Return the contents of files of one folder, read in this order. Raises what ``read_private_file`` does."""
    opened = opened_folder(folder)
    if opened is None:
        return [None] * len(names)
    with opened as at:
        return [_content(at, name) for name in names]


def _content(at: PrivateFolder, name: str) -> bytes | None:
    try:
        fd = at.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(fd, "rb", buffering=0) as file:
        if os.fstat(fd).st_size > MAX_FILE_BYTES:
            raise CorruptEntry("The file is larger than any that we write.", reason="too_large")
        return file.readall()


def write_private_file(folder: str, name: str, data: bytes | memoryview) -> None:
    """Replace a file, or make it, durably: whoever reads meanwhile sees the old content or the new, whole."""
    with ensured_folder(folder) as at:
        # The name is random so that writers do not meet, not so that it can't be guessed.
        temporary = f".{name}.{os.urandom(8).hex()}.tmp"
        try:
            written_at = at.write_new(temporary, data)
            os.replace(at.where(temporary), at.where(name), src_dir_fd=at.fd, dst_dir_fd=at.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(at.where(temporary), dir_fd=at.fd)
            raise
        at.sync()
        _sweep(at, written_at)


def check_room(folder: str) -> None:
    """Write as much as an entry may take, and remove it: a disk that is full is found out before anything is asked."""
    with ensured_folder(folder) as at:
        name = f".room.{os.urandom(8).hex()}.tmp"
        try:
            at.write_new(name, bytes(_ROOM_BYTES))
        finally:
            with suppress(OSError):
                os.unlink(at.where(name), dir_fd=at.fd)


def remove_private_file(folder: str, name: str) -> bool:
    """Remove a file durably. Return whether there was one."""
    opened = opened_folder(folder)
    if opened is None:
        return False
    with opened as at:
        try:
            os.unlink(at.where(name), dir_fd=at.fd)
        except FileNotFoundError:
            return False
        at.sync()
    return True


def list_private_files(folder: str) -> list[str]:
    """Return the names in a folder, sorted; none if there is no such folder."""
    opened = opened_folder(folder)
    if opened is None:
        return []
    with opened as at:
        return at.names()


def original_name(name: str) -> str:
    """Return the name that a temporary file was to get, or that one set aside had; of any other, its own."""
    return _target_of(name) or _origin_of(name) or name


def set_aside(folder: str, name: str, *, now: float) -> str | None:
    """Rename a file to ``NAME.corrupt-TIME-RANDOM``, and keep only the newest ten of those.

    Returns:
        The new name, None if there was no such file.
    """
    opened = opened_folder(folder)
    if opened is None:
        return None
    with opened as at:
        aside = f"{name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{os.urandom(4).hex()}"
        try:
            os.rename(at.where(name), at.where(aside), src_dir_fd=at.fd, dst_dir_fd=at.fd)
        except FileNotFoundError:
            return None
        older = [other for other in at.names() if _origin_of(other) == name and other != aside]
        for other in older[: 1 - _SET_ASIDE_KEPT]:
            with suppress(FileNotFoundError):
                os.unlink(at.where(other), dir_fd=at.fd)
    return aside  # not synced: a crash may undo it, and the next look will do it again


def put_back(folder: str, aside: str, name: str) -> None:
    """Give a file that was set aside its name back, unless a newer file has taken it."""
    with ensured_folder(folder) as at:
        with suppress(FileExistsError):
            os.link(at.where(aside), at.where(name), src_dir_fd=at.fd, dst_dir_fd=at.fd)
        os.unlink(at.where(aside), dir_fd=at.fd)
        at.sync()


def open_lock_file(folder: str, name: str) -> int:
    """Open a file that exists only to be locked, making it if needed. Return its descriptor."""
    with ensured_folder(folder) as at:
        try:
            fd = at.open(name, os.O_RDWR | os.O_CREAT)
        except PermissionError:  # made under a umask that takes even our own rights
            with suppress(FileNotFoundError):
                os.chmod(at.where(name), 0o600, dir_fd=at.fd)
            fd = at.open(name, os.O_RDWR | os.O_CREAT)
        give_back(fd)
        return fd


def _sweep(at: PrivateFolder, now: float) -> None:
    """Remove the temporary files of writers that were killed long ago."""
    with suppress(OSError):  # others may sweep too, and what was written stands in any case
        for name in filter(_target_of, at.names()):
            status = os.stat(at.where(name), dir_fd=at.fd, follow_symlinks=False)
            if now - status.st_mtime > _LEFTOVER_AGE_S:
                os.unlink(at.where(name), dir_fd=at.fd)


def _target_of(name: str) -> str | None:
    """Return the name that a temporary file was to get, None if it is none."""
    is_temporary = name[:1] == "." and name[-21:-20] == "." and _is_hex(name[-20:-4]) and name[-4:] == ".tmp"
    return name[1:-21] if is_temporary else None


def _origin_of(name: str) -> str | None:
    """Return the name that a file had before it was set aside, None if it was not."""
    is_aside = name[-34:-25] == ".corrupt-" and name[-9:-8] == "-" and _is_hex(name[-8:])
    return name[:-34] if is_aside else None


def _is_hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")
