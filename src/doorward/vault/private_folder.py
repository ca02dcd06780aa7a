"""A folder that is ours alone, opened. Which files lie in it, and what they mean, is decided elsewhere.

A folder is opened once, its owner and mode are looked at through that descriptor, and names are resolved against it, so
nobody can exchange it in between. A folder or file that is a symbolic link, belongs to another user, or is of another
kind is refused. A folder with a wider mode is narrowed, which loses nothing. A file with a wider mode is refused:
others may know what it holds, and a person should hear of that. A folder above that others may write is accepted: they
could take ours away, but neither read it nor pass off theirs as ours.

Windows has no modes, owners or folder descriptors in this sense: there the access list of the user's own folder
protects the files, and these checks fall away. That branch is type-checked and not tested.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress

from doorward.errors import StoreError, UnsafePermissions, printable

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["PrivateFolder", "ensured_folder", "give_back", "opened_folder", "unsafe"]

_CAREFULLY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO in place of a file must not keep us waiting
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_OWNERS = stat.S_IRUSR | stat.S_IWUSR
_SEE = "See what it is, and move it away: ls -ld"


class PrivateFolder:
    """An open folder that was found to be ours alone. In its ``with`` block an ``OSError`` becomes a ``StoreError``.

    A call that takes ``dir_fd=folder.fd`` gets ``folder.where(name)`` beside it.
    """

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
                raise unsafe(path, "is a symbolic link", "Remove it: rm", "symbolic_link") from None
            if error.errno in (errno.ENXIO, errno.EISDIR):  # a socket; a folder
                raise unsafe(path, "is no regular file", _SEE, "not_a_file") from None
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
            give_back(fd)
            _check_bits(self.path, os.fstat(fd))
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


def give_back(fd: int) -> None:
    """Give a file of ours back what a umask took of our own rights; never wider than 0600."""
    if sys.platform != "win32" and os.fstat(fd).st_mode & _OWNERS != _OWNERS:
        os.fchmod(fd, 0o600)


def ensured_folder(path: str) -> PrivateFolder:
    """Open a folder, making it and what is missing above it with mode 0700.

    Raises:
        UnsafePermissions: It is not ours alone; the message holds the command that mends it.
        StoreError: The file system refused.
    """
    opened = opened_folder(path)
    if opened is None:
        try:
            _make_folder(os.path.normpath(path))
        except OSError as error:
            raise _refused(path, error) from error
        opened = opened_folder(path)
    if opened is None:
        raise StoreError(f"{printable(path)} went away while it was being made. Try again.", reason="folder_gone")
    return opened


def _make_folder(path: str) -> None:
    parent = os.path.dirname(path)
    if parent != path and not os.path.isdir(parent):
        _make_folder(parent)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
        if stat.S_IMODE(os.lstat(path).st_mode) != stat.S_IRWXU:  # a umask that takes even our own rights
            os.chmod(path, 0o700)


if sys.platform == "win32":

    def opened_folder(path: str) -> PrivateFolder | None:
        """Open a folder. None if there is none."""
        return PrivateFolder(path, None) if os.path.isdir(path) else None

    def _check_file(path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise unsafe(path, "is no regular file", "See what it is, and move it away: dir", "not_a_file")

    def _check_bits(path: str, status: os.stat_result) -> None:
        pass

else:

    def opened_folder(path: str) -> PrivateFolder | None:
        """Open a folder, narrowing it to 0700 if it is wider.

        Returns:
            None if there is none.

        Raises:
            UnsafePermissions: It is not ours alone; the message holds the command that mends it.
            StoreError: The file system refused.
        """
        path = os.path.normpath(path)  # a trailing slash would follow a symbolic link
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if os.path.islink(path):
                remedy = "Set DOORWARD_HOME to a real folder, or remove the link: rm"
                raise unsafe(path, "is a symbolic link", remedy, "symbolic_link") from None
            if error.errno == errno.ENOTDIR:
                raise unsafe(path, "is no folder, or is below a file", _SEE, "not_a_folder") from None
            raise _refused(path, error) from error
        try:
            _check_folder(path, fd)
        except UnsafePermissions:
            os.close(fd)
            raise
        return PrivateFolder(path, fd)

    def _check_folder(path: str, fd: int) -> None:
        status = os.fstat(fd)
        _check_owner(path, status, "-R ")
        if status.st_mode & 0o077:
            try:
                os.fchmod(fd, 0o700)
            except OSError:
                raise unsafe(path, "is open to others", "Close it: chmod 700", "folder_mode") from None
            _check_bits(path, os.fstat(fd))

    def _check_bits(path: str, status: os.stat_result) -> None:
        """Refuse a file system where no mode can be set: what we have just made or closed is open all the same."""
        if status.st_mode & 0o077:
            message = (
                f"{printable(path)} is on a disk that keeps no permissions (such as /mnt/c in WSL, or a FAT or Windows "
                "share), so every user of this machine could read what is kept there. Set DOORWARD_HOME to a folder on "
                "a disk of this machine's own, such as one in /home, and sign in again."
            )
            raise UnsafePermissions(message, reason="no_permissions")

    def _check_owner(path: str, status: os.stat_result, option: str = "") -> None:
        owner, us = status.st_uid, os.geteuid()
        if owner == us:
            return
        if us == 0:  # to give it to root would take it from whom it belongs to
            message = (
                f"{printable(path)} belongs to another user ({owner}), and you are root. Run this as that user: "
                f"without sudo, with sudo -u '#{owner}' -H, or in a container with --user {owner}. For a vault of "
                "root's own, set DOORWARD_HOME to another folder."
            )
            raise UnsafePermissions(message, reason="foreign_owner")
        remedy = f"Run as that user, set DOORWARD_HOME to a folder of yours, or: sudo chown {option}{us}"
        raise unsafe(path, f"belongs to another user ({owner})", remedy, "foreign_owner")

    def _check_file(path: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise unsafe(path, "is no regular file", _SEE, "not_a_file")
        _check_owner(path, status)
        if status.st_mode & 0o077:
            remedy = "Sign in again, which replaces it; or, if you know that nobody looked: chmod 600"
            raise unsafe(path, f"is open to others (mode {stat.S_IMODE(status.st_mode):04o})", remedy, "file_mode")
        if status.st_nlink > 1:
            remedy = "Sign in again, which replaces it; the other name keeps the old content. Or remove it: rm"
            raise unsafe(path, "has another name elsewhere (a hard link)", remedy, "hard_link")


def unsafe(path: str, does: str, remedy: str, reason: str) -> UnsafePermissions:
    """Build the error for a file or folder that is not ours alone. ``remedy`` ends where the path comes."""
    import shlex  # noqa: PLC0415 - for the command to mend it; needless otherwise

    return UnsafePermissions(f"{printable(path)} {does}. {remedy} {printable(shlex.quote(path))}", reason=reason)


_REFUSALS = {
    errno.ENOSPC: ("disk_full", "Make room on the disk."),
    errno.EDQUOT: ("disk_full", "Your quota is used up: make room."),
    errno.EROFS: ("read_only", "The disk is read-only: set DOORWARD_HOME to a folder that can be written."),
    errno.EACCES: ("no_access", "See who may read and write there, or set DOORWARD_HOME to a folder of your own."),
    errno.EPERM: ("no_access", "See who may read and write there, or set DOORWARD_HOME to a folder of your own."),
}


def _refused(path: str, error: OSError) -> StoreError:
    reason, remedy = _REFUSALS.get(error.errno or 0, ("io", "Look at the disk, then try again."))
    what = os.strerror(error.errno) if error.errno else "unknown"
    return StoreError(f"{printable(path)} could not be used: {what}. {remedy}", reason=reason)
