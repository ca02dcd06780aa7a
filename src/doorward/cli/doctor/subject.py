"""What is examined: a provider and a client, as the command line, ``doorward.toml`` or the vault names them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from doorward.errors import DoorwardError, UnavailableError
from doorward.http.client import HttpClient
from doorward.http.exchange import run
from doorward.protocol.metadata import check_issuer_url
from doorward.signin.exchanges import discover
from doorward.signin.registration import Registration
from doorward.signin.settings.profiles import read_profiles, unknown_profile
from doorward.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest, HttpResponse
    from doorward.signin.settings.profiles import NamedProfile
    from doorward.vault.vault import Vault

__all__ = ["Asked", "Subject", "find_subject", "may_look"]

_DEADLINE_S = 15.0
_CLIENT = "doctor"  # where none is named: the metadata is the same for every client


@dataclass
class Asked:
    """What came of asking the provider for its metadata. ``answer`` is its last one, with the times around it."""

    answer: HttpResponse | None = None
    asked_at: float = 0.0
    answered_at: float = 0.0
    error: DoorwardError | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request as a transport does, and remember what came back."""
        with HttpClient(insecure_loopback_http=True) as client:
            self.asked_at = SystemClock().now()
            self.answer = client.send(request, timeout_s=_DEADLINE_S)
            self.answered_at = SystemClock().now()
        return self.answer

    @property
    def unreachable(self) -> bool:
        """Whether the provider gave no answer, or said "not now"."""
        return isinstance(self.error, UnavailableError)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """All that the provider says of itself, with what Doorward does not read; empty if it said nothing good."""
        if self.answer is None or self.error is not None:
            return {}
        document: dict[str, Any] = json.loads(self.answer.body)  # strictly read by then
        return document


@dataclass(frozen=True)
class Subject:
    """A provider and a client there. ``settings`` are keywords of ``sign_in``."""

    vault: Vault
    issuer: str | None = None
    client_id: str | None = None
    authentication: str = "none"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_https(self) -> bool:
        """Whether the provider is asked by https, as it is everywhere but on this computer."""
        return self.issuer is not None and urlsplit(self.issuer).scheme == "https"

    @cached_property
    def registration(self) -> Registration | None:
        """The client, None where no provider is named. Raises ``ConfigurationError`` where a setting is wrong."""
        if self.issuer is None:
            return None
        return Registration(
            self.issuer,
            self.client_id or _CLIENT,
            provider=self.settings.get("provider"),
            insecure_loopback_http=True,
        )

    @cached_property
    def asked(self) -> Asked | None:
        """What the provider answered, asked once; None where none is named."""
        asked = Asked()
        try:
            if self.registration is None:
                return None
            run(discover(self.registration, now=SystemClock().now()), asked)
        except DoorwardError as error:
            asked.error = error
        return asked


def may_look(vault: Vault) -> bool:
    """Say whether the vault can be read, if it is there, without being changed: opening it closes it to others."""
    try:
        return sys.platform == "win32" or not os.lstat(vault.folder).st_mode & 0o077
    except FileNotFoundError:
        return True
    except (OSError, DoorwardError):
        return False


def find_subject(vault: Vault, issuer: str | None, profile: str, *, must_be: bool) -> Subject:
    """Find what the words of the command line mean.

    Args:
        vault: Where profiles are kept.
        issuer: An issuer, or the name of a profile.
        profile: The name of one, where ``issuer`` is none.
        must_be: Whether a person has named that profile.

    Raises:
        ConfigurationError: It is neither.
    """
    named: dict[str, NamedProfile] = {}
    kept: list[str] = []
    with suppress(DoorwardError):  # what is wrong with them, other checks say
        named = read_profiles()
    with suppress(DoorwardError):
        kept = vault.names() if may_look(vault) else []
    if issuer is not None and issuer.lower() in {*named, *kept}:
        return find_subject(vault, None, issuer, must_be=True)
    if issuer is not None:
        check_issuer_url(issuer, insecure_loopback_http=True)
    profile = profile.lower()
    if profile in named and issuer in (None, named[profile].keywords["issuer"]):
        keywords = dict(named[profile].keywords)
        method = keywords.get("secret_method") or ("client_secret" if named[profile].confidential else "none")
        return Subject(vault, keywords.pop("issuer"), keywords.pop("client_id"), method, keywords)
    entry = None
    with suppress(DoorwardError):
        entry = vault.profiles.peek(profile) if profile in kept else None
    if entry is not None and issuer in (None, entry.issuer):
        settings = {"provider": entry.provider}
        return Subject(vault, entry.issuer, entry.client_id, entry.client_authentication, settings)
    if issuer is None and must_be and profile not in kept and may_look(vault):
        raise unknown_profile(profile, {*named, *kept})
    return Subject(vault, issuer)
