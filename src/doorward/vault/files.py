"""Private files: 0600 in a 0700 folder, replaced atomically, read with distrust. The one way of the vault to disk.

What the files mean is decided elsewhere. On the path of ``doorward token``: imports nothing heavy.

A folder is opened once per call, its owner and mode are looked at through that descriptor, and names are resolved
against it, so nobody can exchange it in between. A folder or file that is a symbolic link, belongs to another user, or
is no regular file is refused. A folder with a wider mode is narrowed, which loses nothing. A file with a wider mode is
refused: others may know what it holds, and a person should hear of that. A folder above the vault that others may write
is accepted: they could take the vault away, but neither read it nor pass off theirs as ours.

Windows has no modes, owners or folder descriptors in this sense: there the access list of the user's own folder
protects the files, and these checks fall away. That branch is type-checked and not tested.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from doorward.errors import CorruptEntry, StoreError, UnsafePermissions, printable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = [
    "MAX_FILE_BYTES",
    "copies_of",
    "ensure_private_folder",
    "list_private_files",
    "open_lock_file",
    "put_back",
    "read_private_file",
    "remove_private_file",
    "set_aside",
    "write_private_file",
]

MAX_FILE_BYTES = 1_048_576
"""A larger file is not ours, and is not read."""

_SET_ASIDE_KEPT = 10
_LEFTOVER_AGE_S = 3600.0
"""No writer takes that long: a temporary file this old was left by one that was killed."""

_CAREFULLY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO in place of a file must not keep us waiting
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


def ensure_private_folder(folder: str) -> None:
    """Make the folder and what is missing above it, all 0700, or narrow the one that is there.

    Raises:
        UnsafePermissions: It is a symbolic link, no folder, or another user's.
        StoreError: The file system refused.
    """
    with _ensured(folder):
        pass


def read_private_file(folder: str, name: str) -> bytes | None:
    """Return the content of a file, None if there is no such file or folder.

    Raises:
        UnsafePermissions: Folder or file is a link, another user's, open to others, or of another kind.
        CorruptEntry: The file is larger than ``MAX_FILE_BYTES``.
        StoreError: The file system refused.
    """
    opened = _opened(folder)
    if opened is None:
        return None
    with opened as at:
        try:
            fd = at.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            data = b""
            while len(data) <= MAX_FILE_BYTES and (chunk := os.read(fd, MAX_FILE_BYTES + 1)):
                data += chunk
        finally:
            os.close(fd)
    if len(data) > MAX_FILE_BYTES:
        raise CorruptEntry(f"{printable(at.path_of(name))} is larger than any file of ours.", reason="too_large")
    return data


def write_private_file(folder: str, name: str, data: bytes | memoryview) -> None:
    """Replace a file, or make it, durably: whoever reads meanwhile sees the old content or the new, whole.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused; the old content is untouched.
    """
    with _ensured(folder) as at:
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
        at.sweep(written_at)


def remove_private_file(folder: str, name: str) -> bool:
    """Remove a file durably. Return whether there was one.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused.
    """
    opened = _opened(folder)
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
    """Return the names in a folder, sorted; none if there is no such folder.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused.
    """
    opened = _opened(folder)
    if opened is None:
        return []
    with opened as at:
        return at.names()


def copies_of(folder: str, name: str) -> list[str]:
    """Return the names of a file's other traces: what was set aside of it, and what killed writers of it left.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused.
    """
    return [other for other in list_private_files(folder) if name in (_target_of(other), _origin_of(other))]


def set_aside(folder: str, name: str, *, now: float) -> str | None:
    """Rename a file to ``NAME.corrupt-TIME-RANDOM``, and keep only the newest ten of those.

    Returns:
        The new name, None if there was no such file.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused.
    """
    opened = _opened(folder)
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
        at.sync()
    return aside


def put_back(folder: str, aside: str, name: str) -> None:
    """Give a file that was set aside its name back, unless a newer file has taken it.

    Raises:
        UnsafePermissions: The folder is a link, no folder, or another user's.
        StoreError: The file system refused.
    """
    with _ensured(folder) as at:
        with suppress(FileExistsError):
            os.link(at.where(aside), at.where(name), src_dir_fd=at.fd, dst_dir_fd=at.fd)
        os.unlink(at.where(aside), dir_fd=at.fd)
        at.sync()


def open_lock_file(folder: str, name: str) -> int:
    """Open a file that exists only to be locked, making it if needed. Return its descriptor.

    Raises:
        UnsafePermissions: Folder or file is a link, another user's, open to others, or of another kind.
        StoreError: The file system refused.
    """
    with _ensured(folder) as at:
        try:
            fd = at.open(name, os.O_RDWR | os.O_CREAT)
        except PermissionError:  # made under a umask that takes even our own rights
            os.chmod(at.where(name), 0o600, dir_fd=at.fd)
            fd = at.open(name, os.O_RDWR | os.O_CREAT)
        if sys.platform != "win32":
            os.fchmod(fd, 0o600)
        return fd


class _Folder:
    """An open folder that was found to be ours. In its ``with`` block an ``OSError`` becomes a ``StoreError``."""

    __slots__ = ("fd", "path")

    def __init__(self, path: str, fd: int | None) -> None:
        self.path = path
        self.fd = fd  # None on Windows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.fd is not None:
            os.close(self.fd)
        if isinstance(error, OSError):
            raise _refused(self.path, error) from error

    def path_of(self, name: str) -> str:
        return os.path.join(self.path, name)

    def where(self, name: str) -> str:
        """Return what to give to a call that also takes ``dir_fd=self.fd``."""
        return name if self.fd is not None else self.path_of(name)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path if self.fd is None else self.fd))

    def open(self, name: str, flags: int) -> int:
        """Open a file and make sure it is a regular one that is ours alone."""
        path = self.path_of(name)
        try:
            fd = os.open(self.where(name), flags | _CAREFULLY, 0o600, dir_fd=self.fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _unsafe(path, "is a symbolic link", "Remove it: rm", "symbolic_link") from None
            if error.errno in (errno.ENXIO, errno.EISDIR):
                raise _unsafe(path, "is no regular file", "Remove it: rm -r", "not_a_file") from None
            raise
        try:
            _check_file(path, os.fstat(fd))
        except UnsafePermissions:
            os.close(fd)
            raise
        return fd

    def write_new(self, name: str, data: bytes | memoryview) -> float:
        """Make a file, write it, and return when that was on the clock of the file system."""
        fd = os.open(self.where(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFULLY, 0o600, dir_fd=self.fd)
        try:
            if sys.platform != "win32":
                os.fchmod(fd, 0o600)  # never widens: gives back what a umask took of our own rights
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
            return os.fstat(fd).st_mtime
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make renames durable, where the file system can."""
        if self.fd is None:
            return
        try:
            os.fsync(self.fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def sweep(self, now: float) -> None:
        """Remove the temporary files of writers that were killed long ago."""
        for name in self.names():
            if _target_of(name) is None:
                continue
            with suppress(OSError):  # another writer sweeps too
                status = os.stat(self.where(name), dir_fd=self.fd, follow_symlinks=False)
                if now - status.st_mtime > _LEFTOVER_AGE_S:
                    os.unlink(self.where(name), dir_fd=self.fd)


def _opened(path: str) -> _Folder | None:
    """Open a folder and make sure it is ours alone. None if there is none."""
    path = os.path.normpath(path)  # without a trailing slash, which would follow a symbolic link
    if sys.platform == "win32":
        return _Folder(path, None) if os.path.isdir(path) else None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.path.islink(path):
            raise _unsafe(
                path, "is a symbolic link", "Set DOORWARD_HOME to a real folder, or remove it: rm", "symbolic_link"
            ) from None
        raise _refused(path, error) from error
    try:
        _check_folder(path, fd)
    except UnsafePermissions:
        os.close(fd)
        raise
    return _Folder(path, fd)


def _ensured(path: str) -> _Folder:
    opened = _opened(path)
    if opened is None:
        try:
            _make_folder(os.path.normpath(path))
        except OSError as error:
            raise _refused(path, error) from error
        opened = _opened(path)
    if opened is None:
        raise StoreError(f"{printable(path)} went away while it was being made. Try again.", reason="folder_gone")
    return opened


def _make_folder(path: str) -> None:
    parent = os.path.dirname(path)
    if parent != path and not os.path.isdir(parent):
        _make_folder(parent)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # gives back what a umask took of our own rights


if sys.platform == "win32":

    def _check_folder(path: str, fd: int) -> None:
        """Check nothing: see the head of this module."""

    def _check_file(path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise _unsafe(path, "is no regular file", "Remove it: del", "not_a_file")

else:

    def _check_folder(path: str, fd: int) -> None:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            does = f"belongs to another user ({status.st_uid})"
            remedy = f"Run as that user, set DOORWARD_HOME to a folder of your own, or: sudo chown -R {os.geteuid()}"
            raise _unsafe(path, does, remedy, "foreign_owner")
        if status.st_mode & 0o077:
            try:
                os.fchmod(fd, 0o700)
            except OSError:
                raise _unsafe(path, "is open to others", "Close it: chmod 700", "folder_mode") from None

    def _check_file(path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise _unsafe(path, "is no regular file", "Remove it: rm -r", "not_a_file")
        if status.st_uid != os.geteuid():
            remedy = f"Make it yours: sudo chown {os.geteuid()}"
            raise _unsafe(path, f"belongs to another user ({status.st_uid})", remedy, "foreign_owner")
        if status.st_mode & 0o077:
            remedy = "Sign in again, which replaces it; or, if you know that nobody looked: chmod 600"
            raise _unsafe(path, f"is open to others (mode {stat.S_IMODE(status.st_mode):04o})", remedy, "file_mode")
        if status.st_nlink > 1:
            remedy = "Sign in again, which replaces it; the other name keeps what it has. Or remove it: rm"
            raise _unsafe(path, "has another name elsewhere (a hard link)", remedy, "hard_link")


def _target_of(name: str) -> str | None:
    """Return the name that a temporary file was to get, None if it is none."""
    return name[1:-21] if name.startswith(".") and name.endswith(".tmp") else None


def _origin_of(name: str) -> str | None:
    """Return the name that a file had before it was set aside, None if it was not."""
    is_aside = name[-34:-25] == ".corrupt-" and name[-9] == "-" and set(name[-8:]) <= set("0123456789abcdef")
    return name[:-34] if is_aside else None


def _unsafe(path: str, does: str, remedy: str, reason: str) -> UnsafePermissions:
    import shlex  # noqa: PLC0415 - heavy, and only needed when something is wrong

    return UnsafePermissions(f"{printable(path)} {does}. {remedy} {printable(shlex.quote(path))}", reason=reason)


_REFUSALS = {
    errno.ENOSPC: ("disk_full", "Make room on the disk."),
    errno.EDQUOT: ("disk_full", "Your quota is used up: make room."),
    errno.EROFS: ("read_only", "The disk is read-only: set DOORWARD_HOME to a folder that can be written."),
    errno.EACCES: ("no_access", "See who may write there, or set DOORWARD_HOME to a folder of your own."),
    errno.EPERM: ("no_access", "See who may write there, or set DOORWARD_HOME to a folder of your own."),
}


def _refused(path: str, error: OSError) -> StoreError:
    reason, remedy = _REFUSALS.get(error.errno or 0, ("io", "Look at the disk, then try again."))
    what = os.strerror(error.errno) if error.errno else "unknown"
    return StoreError(f"{printable(path)} could not be used: {what}. {remedy}", reason=reason)
