"""The token that another program gets. Every helper (git, docker, kubectl, pip) gets it here and nowhere else.

Nobody is asked anything: what needs a person is an error (decision 21).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.model import Secret
from doorward.signin.registration import read_client_key
from doorward.signin.session import Session
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.model import TokenKind

__all__ = ["Handed", "hand", "session_for", "session_of"]


@dataclass(frozen=True, slots=True)
class Handed:
    """A token, and when it ends in epoch seconds; None where nobody knows."""

    token: Secret
    expires_at: float | None


def hand(profile: str, kind: TokenKind = "access", *, to: str, by: str, rejected: str | None = None) -> Handed:
    """Return a token of a profile for another program, renewed if it has to be. Nobody is asked anything.

    Args:
        profile: Whose.
        kind: ``"access"`` or ``"id"``.
        to: Where it goes: an origin, or the program that gets it. For the record.
        by: The helper, such as ``"git"``. For the record.
        rejected: A token that was refused there; then another one is returned.

    Raises what ``Session.token`` does.
    """
    vault = Vault()
    session = session_of(profile, vault)
    token = Secret(session.token(kind) if rejected is None else session.renew(rejected, kind))
    _note_use(profile, to=to, by=by)
    entry = vault.get(profile)
    held, _, expires_at = entry.held(kind) if entry is not None else (None, None, None)
    return Handed(token, expires_at if held == token else None)


def session_for(profile: str, *, to: str, by: str) -> Session:
    """Return a profile's session with a token that is good, for a helper that sends the request itself.

    Such a helper can do what ``hand`` can't: renew after a refusal, and prove the key that a token is bound to.

    Args and errors are those of ``hand``.
    """
    session = session_of(profile, Vault())
    session.token()
    _note_use(profile, to=to, by=by)
    return session


def session_of(profile: str, vault: Vault) -> Session:
    """Return the session of a profile, with its client's key if it is one that signs.

    Raises:
        ConfigurationError: That key can't be read.
        VaultError: The entry can't be read.
    """
    entry = vault.get(profile)
    signs = entry is not None and entry.client_authentication == "private_key_jwt"
    return Session(profile, client_key=read_client_key() if signs else None, vault=vault)


def _note_use(profile: str, *, to: str, by: str) -> None:
    """Note that a helper used a profile's token. The one place: a record of the near door begins here."""
