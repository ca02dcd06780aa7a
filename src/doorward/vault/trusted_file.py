"""Reads a file that we act on, but that holds no secret: anybody may read it, and nobody else may have written it.

It may be root's: an administrator puts one file there for everybody. It may be a symbolic link, as programs make that
keep people's settings; then the link and what it leads to are held to the same rule. Windows has no owners in this
sense, see ``private_folder``.
"""

from __future__ import annotations

import os
import stat
import sys

from doorward.vault.private_folder import unsafe

__all__ = ["read_trusted_file"]

_CHECKED = sys.platform != "win32"


def read_trusted_file(path: str, *, most: int) -> bytes:
    """Return the first ``most`` bytes of a file that only we or root can have written.

    Raises:
        UnsafePermissions: Somebody else can have written it; the message holds the command that mends it.
        OSError: It is not there, or can't be read.
    """
    if _CHECKED:
        folder = os.path.dirname(path) or "."
        _check_owner(folder, os.stat(folder))
        if os.path.islink(path):
            _check_owner(path, os.lstat(path))
    # A FIFO must not keep us waiting.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise unsafe(path, "is no regular file", "See what it is, and move it away: ls -ld", "not_a_file")
        if _CHECKED:
            _check_owner(path, status)
            _check_writers(path, status)
        return file.read(most)


def _check_owner(path: str, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        remedy = f"See what it says; then make it yours, or root's, or set DOORWARD_HOME: sudo chown {os.geteuid()}"
        raise unsafe(path, f"belongs to another user ({status.st_uid})", remedy, "foreign_owner")


def _check_writers(path: str, status: os.stat_result) -> None:
    """Refuse what others may write. A group with its user's number is theirs alone, where umask 002 is the custom."""
    private = status.st_uid == status.st_gid
    if status.st_mode & (stat.S_IWOTH if private else stat.S_IWOTH | stat.S_IWGRP):
        remedy = (
            "See what it says; then keep others from writing it (where chmod changes nothing, as on /mnt/c in WSL, set "
            "DOORWARD_HOME to a folder in your home): chmod go-w"
        )
        raise unsafe(path, f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})", remedy, "file_mode")
