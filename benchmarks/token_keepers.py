"""Doorward and two ways to keep MSAL's tokens, each used as its own documentation says.

A keeper is a plain value that can be sent to another process: it names its files and the issuer, and holds no token.
Nothing here starts a process, measures or prints.
"""

from __future__ import annotations

import functools
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import doorward.http.trust
import doorward.http.wire  # noqa: F401 - a request imports both when it must; MSAL has all it needs from the start
from doorward import open_session, sign_in
from doorward.errors import DoorwardError
from doorward.signin.prompt import TerminalPrompt
from doorward.vault.vault import Vault

try:
    import msal
    import msal_extensions
except ImportError:
    msal = msal_extensions = None

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CLIENT_ID", "DoorwardKeeper", "ExtensionsKeeper", "Keeper", "MsalFileKeeper", "peers_installed"]

CLIENT_ID = "cli"
_SCOPES = ["email"]  # MSAL adds openid, profile and offline_access by itself
_GOOD = "token"


class Keeper(Protocol):
    """One way to keep a session on disk. Its name is the row of the table."""

    @property
    def name(self) -> str: ...

    def sign_in(self) -> None:
        """Sign in by the device flow at an issuer that answers at once, and save."""

    def ask(self, threads: int) -> list[str]:
        """Open what was saved, ask from many threads, save: ``token``, or why there is none, for each thread."""

    def alive(self) -> bool:
        """Say whether what is saved can still be refreshed at the provider."""


@dataclass(frozen=True)
class DoorwardKeeper:
    """``doorward.sign_in`` and ``open_session(...).token()``."""

    folder: Path
    issuer: str
    name: str = "Doorward"

    def sign_in(self) -> None:
        prompt = TerminalPrompt(io.StringIO())
        options: dict[str, Any] = {"mode": "device", "cool_down": False, "prompt": prompt, "vault": self._vault()}
        sign_in(self.issuer, CLIENT_ID, **options)

    def ask(self, threads: int) -> list[str]:
        session = open_session(vault=self._vault())

        def answer() -> str:
            try:
                return _GOOD if session.token() else "nothing"
            except DoorwardError as error:
                return error.reason or type(error).__name__

        return _from_threads(answer, threads)

    def alive(self) -> bool:
        session = open_session(vault=self._vault())
        try:
            return bool(session.renew(session.token()))
        except DoorwardError:
            return False

    def _vault(self) -> Vault:
        return Vault(str(self.folder / "vault"))


@dataclass(frozen=True)
class MsalFileKeeper:
    """MSAL with the recipe of ``SerializableTokenCache``: read the file first, write it at the end if it changed."""

    folder: Path
    issuer: str
    name: str = "MSAL, SerializableTokenCache in a file"

    def sign_in(self) -> None:
        cache = self._load()
        _sign_in_with_msal(_application(self.issuer, cache))
        self._save(cache)

    def ask(self, threads: int) -> list[str]:
        cache = self._load()
        answers = _ask_msal(_application(self.issuer, cache), threads)
        self._save(cache)
        return answers

    def alive(self) -> bool:
        cache = self._load()
        alive = _can_refresh(_application(self.issuer, cache))
        self._save(cache)
        return alive

    @property
    def _file(self) -> Path:
        return self.folder / "my_cache.bin"

    def _load(self) -> Any:
        cache = msal.SerializableTokenCache()
        if self._file.exists():
            cache.deserialize(self._file.read_text())
        return cache

    def _save(self, cache: Any) -> None:
        if cache.has_state_changed:
            self._file.write_text(cache.serialize())


@dataclass(frozen=True)
class ExtensionsKeeper:
    """MSAL with ``PersistedTokenCache`` of msal-extensions, which reads, locks and writes by itself."""

    folder: Path
    issuer: str
    name: str = "MSAL, PersistedTokenCache"

    def sign_in(self) -> None:
        _sign_in_with_msal(self._application())

    def ask(self, threads: int) -> list[str]:
        return _ask_msal(self._application(), threads)

    def alive(self) -> bool:
        return _can_refresh(self._application())

    def _application(self) -> Any:
        persistence = msal_extensions.FilePersistence(str(self.folder / "token_cache.bin"))
        return _application(self.issuer, msal_extensions.PersistedTokenCache(persistence))


def peers_installed() -> bool:
    return msal is not None


def _from_threads(answer: Callable[[], str], threads: int) -> list[str]:
    with ThreadPoolExecutor(threads) as pool:
        return [asked.result() for asked in [pool.submit(answer) for _ in range(threads)]]


def _application(issuer: str, cache: Any) -> Any:
    return msal.PublicClientApplication(CLIENT_ID, oidc_authority=issuer, token_cache=cache)


def _sign_in_with_msal(application: Any) -> None:
    answer = application.acquire_token_by_device_flow(application.initiate_device_flow(_SCOPES))
    assert "access_token" in answer, answer


def _ask_msal(application: Any, threads: int) -> list[str]:
    return _from_threads(functools.partial(_silent, application), threads)


def _can_refresh(application: Any) -> bool:
    return _silent(application, force_refresh=True) == _GOOD


def _silent(application: Any, **options: Any) -> str:
    accounts = application.get_accounts()
    if not accounts:
        return "no account"
    answer = application.acquire_token_silent_with_error(_SCOPES, accounts[0], **options)
    if answer is None:
        return "no refresh token"
    return _GOOD if "access_token" in answer else str(answer.get("error"))
