"""A paper on its way to disk: the ``.part`` file beside where it will be, what lets it go on later, and its last step.

Every name is resolved against the descriptor of its folder, and none
through a symbolic link: whatever lies in the folder, nothing is written outside it. The folder itself may be a link.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from doorward.errors import StoreError, printable
from doorward.papers.naming import candidates

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import Self

__all__ = ["InUse", "Part", "Resume", "SavedFile", "digest_of"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # nothing planted there may keep us waiting
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_VALIDATOR = re.compile(r'"[!#-~]{0,500}"|[A-Z][a-z]{2}, [0-9A-Za-z: ]{10,40} GMT')
_NOTE_BYTES = 4096
_BLOCK = 65536


class InUse(Exception):
    """Another download of the same paper is under way. Never leaves this room."""


class Resume(NamedTuple):
    """From where a download goes on: bytes that are there, and what says that they still belong to it."""

    offset: int
    validator: str
    total: int | None


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that is complete and has its name."""

    path: Path
    size: int
    sha256: str


class Part:
    """The beginning of a paper in ``folder/subfolder/stem.part``; a context manager.

    Nothing is made before ``begin``. What was received stays for the next time if it can be gone on with, and is
    removed otherwise. One download at a time has it, across processes.

    Raises:
        InUse: by entering or ``begin``: another download has it.
        StoreError: the file system refused; reason ``disk_full``, ``not_a_folder``, ``not_a_file`` or
            ``folder_refused``.
    """

    def __init__(self, folder: Path, subfolder: str, stem: str) -> None:
        self._folder = folder
        self._subfolder = subfolder
        self._name = f"{stem}.part"
        self._note = f"{stem}.part.json"
        self._opened = ExitStack()
        self._at = -1
        self._fd = -1
        self._size = 0
        self._validator: str | None = None
        self._total: int | None = None

    def __enter__(self) -> Self:
        with ExitStack() as opening, self._telling():
            opening.callback(self._opened.close)
            if self._find():
                self._read_note()
            opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._opened:
            if self._fd >= 0 and self._validator is None:
                self._remove()

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self._size

    @property
    def resume(self) -> Resume | None:
        """From where to go on, None if from nowhere."""
        return Resume(self._size, self._validator, self._total) if self._validator and self._size else None

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start with nothing. ``validator``: a strong ETag, or a date that is as good; None if there is none."""
        with self._telling():
            if self._fd < 0:
                self._make()
            self._forget_note()
            os.ftruncate(self._fd, 0)
            self._size = 0
            if validator and _VALIDATOR.fullmatch(validator):
                self._write_note(validator, total)

    def write(self, data: bytes) -> None:
        """Add what came next."""
        rest = memoryview(data)
        with self._telling():
            while rest:
                written = os.pwrite(self._fd, rest, self._size)
                self._size += written
                rest = rest[written:]

    def tail(self, length: int, padding: bytes) -> bytes:
        """Return the last ``length`` bytes before any of ``padding``."""
        end = self._size
        with self._telling():
            while end > 0:
                begin = max(end - _BLOCK, 0)
                if kept := os.pread(self._fd, end - begin, begin).rstrip(padding):
                    end = begin + len(kept)
                    break
                end = begin
            begin = max(end - length, 0)
            return os.pread(self._fd, end - begin, begin)

    def discard(self) -> None:
        """Remove what is there: it is of no use."""
        if self._fd >= 0:
            with self._telling():
                self._remove()

    @contextmanager
    def opened(self) -> Generator[int]:
        """Give a descriptor to read what is there from its beginning."""
        with self._telling():
            fd = os.open(self._name, os.O_RDONLY | _FILE, dir_fd=self._at)
        try:
            yield fd
        finally:
            os.close(fd)

    def finish(self, stem: str, subfolder: str | None = None) -> SavedFile:
        """Give the file its name, or the next that is free; durably. The same paper under that name is kept instead.

        Args:
            stem: the name without its ending.
            subfolder: where it goes, if that is not where it came in.
        """
        with self._telling():
            to = self._at if subfolder is None else self._folder_for(subfolder)
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
            digest = digest_of(self._fd)
            for name in candidates(stem):
                if self._is_same(to, name, digest) or self._link(to, name):
                    self._remove()
                    os.fsync(to)
                    return SavedFile(self._folder / (subfolder or self._subfolder) / name, self._size, digest)
        message = f"There are a thousand papers called {stem} in {printable(str(self._folder))}. Move some elsewhere."
        raise StoreError(message, reason="too_many_of_a_name")

    def _find(self) -> bool:
        """Open and lock what an earlier download left. False if there is nothing."""
        try:
            root = self._keep(os.open(self._folder, _FOLDER))
            self._at = self._keep(os.open(self._subfolder, _FOLDER | os.O_NOFOLLOW, dir_fd=root))
            fd = self._keep(os.open(self._name, os.O_RDWR | _FILE, dir_fd=self._at))
        except FileNotFoundError:
            return False
        self._take(fd)
        found = os.fstat(fd)
        if found.st_nlink > 1:  # killed before it could go: it is the paper itself; or a file of somebody else's
            self._remove()
            return False
        self._size = found.st_size
        return True

    def _make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._at = self._folder_for(self._subfolder)
        try:
            fd = self._keep(os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE, 0o666, dir_fd=self._at))
        except FileExistsError:
            raise InUse from None
        self._take(fd)

    def _folder_for(self, subfolder: str) -> int:
        root = self._keep(os.open(self._folder, _FOLDER))
        with suppress(FileExistsError):
            os.mkdir(subfolder, dir_fd=root)
        return self._keep(os.open(subfolder, _FOLDER | os.O_NOFOLLOW, dir_fd=root))

    def _take(self, fd: int) -> None:
        """Lock the file. Whoever had it before may have given it its name meanwhile, or removed it."""
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            message = f"{self._name} in {printable(str(self._folder))} is not a file. Move it away."
            raise StoreError(message, reason="not_a_file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = os.stat(self._name, dir_fd=self._at, follow_symlinks=False)
        except (BlockingIOError, FileNotFoundError):
            raise InUse from None
        if (named.st_dev, named.st_ino) != (found.st_dev, found.st_ino):
            raise InUse
        self._fd = fd

    def _keep(self, fd: int) -> int:
        self._opened.callback(os.close, fd)
        return fd

    def _read_note(self) -> None:
        """Read what lets this part be gone on with. A note that is not as we write it is as good as none."""
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            fd = os.open(self._note, os.O_RDONLY | _FILE, dir_fd=self._at)
            with os.fdopen(fd, "rb") as file:
                note = json.loads(file.read(_NOTE_BYTES))
            validator, total = note["validator"], note["total"]
            if _VALIDATOR.fullmatch(validator) and (total is None or (type(total) is int and total >= self._size)):
                self._validator, self._total = validator, total

    def _write_note(self, validator: str, total: int | None) -> None:
        fd = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o666, dir_fd=self._at)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump({"validator": validator, "total": total}, file)
        self._validator, self._total = validator, total

    def _forget_note(self) -> None:
        self._validator = self._total = None
        with suppress(FileNotFoundError):
            os.unlink(self._note, dir_fd=self._at)

    def _remove(self) -> None:
        self._forget_note()
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._at)
        self._fd = -1  # still open, and closed with the rest

    def _link(self, to: int, name: str) -> bool:
        """Give the file this name. False if it is taken: a file that is there is never replaced."""
        try:
            os.link(self._name, name, src_dir_fd=self._at, dst_dir_fd=to, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with suppress(FileNotFoundError):  # no hard links here: look, and rename
                os.stat(name, dir_fd=to, follow_symlinks=False)
                return False
            os.rename(self._name, name, src_dir_fd=self._at, dst_dir_fd=to)
        return True

    def _is_same(self, at: int, name: str, digest: str) -> bool:
        try:
            fd = os.open(name, os.O_RDONLY | _FILE, dir_fd=at)
        except OSError:
            return False
        try:
            found = os.fstat(fd)
            return stat.S_ISREG(found.st_mode) and found.st_size == self._size and digest_of(fd) == digest
        finally:
            os.close(fd)

    @contextmanager
    def _telling(self) -> Generator[None]:
        """Turn what the file system says into an error of ours."""
        try:
            yield
        except OSError as error:
            where = printable(str(self._folder / self._subfolder))
            if error.errno in _NO_ROOM:
                message = (
                    f"There is no room for the paper in {where}. Free some, and fetch it again: it goes on from there."
                )
                raise StoreError(message, reason="disk_full") from error
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                message = f"{where} is not a folder, or has a symbolic link in place of one. Move that away."
                raise StoreError(message, reason="not_a_folder") from error
            message = (
                f"The paper can't be written in {where}: {os.strerror(error.errno or 0)}. Check who may write there."
            )
            raise StoreError(message, reason="folder_refused") from error


def digest_of(fd: int) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    at = 0
    while block := os.pread(fd, _BLOCK, at):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()
