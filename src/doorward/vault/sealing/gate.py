"""The way of entries to their files and back. A vault without a seal passes here at the cost of one look for it.

Everything about a sealed vault is imported only for one: ``doorward token`` starts by this module.
"""

from __future__ import annotations

from contextlib import suppress

from doorward.errors import CorruptEntry, StoreError, UnsafePermissions, VaultError, printable
from doorward.vault.files import read_private_file, read_private_files, write_private_file
from doorward.vault.sealing.marks import SEAL_FILE, SEALED

__all__ = ["check_writable", "read_entry", "read_seal", "write_entry"]

_LOOKS = 3
_PASSING = ("plain_in_sealed_vault", "seal_missing", "seal_key_unknown")
"""What may be seen for a moment while entry and seal change, one after the other."""


def read_entry(folder: str, file: str, *, as_file: str | None = None) -> bytes | None:
    """Return the content of an entry's file in plain, None if there is no such file.

    Args:
        folder: The vault's folder.
        file: The name that the file has.
        as_file: The name that it had when it was sealed, if it is not the same.

    Raises:
        CorruptEntry: It was altered, or is another entry's, or too large.
        VaultError: It can't be opened, as it is or for now; the message says what to do.
        UnsafePermissions, StoreError: What ``files`` raises.
    """
    for look in range(1, _LOOKS + 1):
        data, seal = _read(folder, file)
        if data is None or (seal is None and not data.startswith(SEALED)):
            return data
        from doorward.vault.sealing.envelope import opened  # noqa: PLC0415 - heavy, and most vaults are plain

        try:
            return opened(data, seal, file=as_file or file)
        except VaultError as error:
            if error.reason not in _PASSING or look == _LOOKS:
                raise
    raise AssertionError("the last look returns or raises")


def read_seal(folder: str) -> bytes | None:
    """Return what stands in the file of a vault's seal, None if there is none.

    Raises:
        VaultError: It is too large to be a seal.
        UnsafePermissions, StoreError: What ``files`` raises.
    """
    try:
        return read_private_file(folder, SEAL_FILE)
    except CorruptEntry:
        pass
    raise VaultError(f"{SEAL_FILE} in {printable(folder)} is no seal that we wrote.", reason="seal_unreadable")


def write_entry(folder: str, file: str, data: bytes | memoryview) -> None:
    """Write an entry's file, sealed if the vault is. A seal that changes meanwhile has it written once more.

    Raises:
        VaultError: The vault is sealed, and the key is not at hand. Nothing was written.
        UnsafePermissions, StoreError: What ``files`` raises.
    """
    for _ in range(_LOOKS):
        seal = read_seal(folder)
        write_private_file(folder, file, _as_kept(folder, file, data, seal))
        if read_seal(folder) == seal:
            return
    raise StoreError(f"The seal of {printable(folder)} keeps changing. Try again.", reason="seal_keeps_changing")


def check_writable(folder: str) -> None:
    """Make sure that an entry could be sealed, if the vault is sealed. Raises what ``write_entry`` does."""
    seal = read_seal(folder)
    if seal is not None:
        from doorward.vault.sealing.envelope import closed  # noqa: PLC0415 - heavy, and most vaults are plain

        closed(b"", seal, file="")


def _read(folder: str, file: str) -> list[bytes | None]:
    try:
        return read_private_files(folder, file, SEAL_FILE)
    except CorruptEntry:
        read_seal(folder)
        raise


def _as_kept(folder: str, file: str, data: bytes | memoryview, seal: bytes | None) -> bytes | memoryview:
    if seal is not None:
        from doorward.vault.sealing.envelope import closed  # noqa: PLC0415 - heavy, and most vaults are plain

        kept = closed(data, seal, file=file)
        if kept is not None:
            return kept
    with suppress(UnsafePermissions, CorruptEntry):  # those are replaced, as ever
        held = read_private_file(folder, file)
        if held is not None and held.startswith(SEALED):
            message = (
                f"{printable(file)} is sealed, and the vault's {SEAL_FILE} is gone: plain text would replace it. "
                f"Put {SEAL_FILE} back from a backup; or sign out first, which removes the sealed entry."
            )
            raise VaultError(message, reason="seal_missing")
    return data
