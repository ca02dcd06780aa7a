"""The token that another program gets. Every helper (git, docker, kubectl, pip) gets it here and nowhere else.

Nobody is asked anything: what needs a person is an error (decision 21).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.record.noting import note_use
from doorward.signin.held import who_of
from doorward.signin.registration import read_client_key
from doorward.signin.session import Session
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from doorward.model import TokenKind
    from doorward.vault.entries import ProfileEntry

__all__ = ["Handed", "hand", "refuse_bound", "session_for", "session_of"]


@dataclass(frozen=True, slots=True)
class Handed:
    """A token, and when it ends in epoch seconds; None where nobody knows."""

    token: Secret
    expires_at: float | None


def hand(  # noqa: PLR0913 - what is asked for, and for the record
    profile: str,
    kind: TokenKind = "access",
    *,
    to: str,
    by: str,
    rejected: str | None = None,
    proves: bool = False,
) -> Handed:
    """Return a token of a profile for another program, renewed if it has to be. Nobody is asked anything.

    Args:
        profile: Whose.
        kind: ``"access"`` or ``"id"``.
        to: Where it goes: an origin, or the program that gets it. For the record.
        by: The helper, such as ``"git"``. For the record.
        rejected: A token that was refused there; then another one is returned.
        proves: The helper sends a proof along (``Session.authorization``), so that a token may be bound to a key.

    Raises what ``Session.token`` and ``refuse_bound`` do, and ``RecordUnavailable`` where the record can't be written.
    """
    vault = Vault()
    session = session_of(profile, vault)
    if kind == "access" and not proves:
        refuse_bound(vault.get(profile))
    token = Secret(session.token(kind) if rejected is None else session.renew(rejected, kind))
    entry = vault.get(profile)
    note_use(f"doorward {by}", profile=profile, to=to, **who_of(entry))
    held, _, expires_at = entry.held(kind) if entry is not None else (None, None, None)
    return Handed(token, expires_at if held == token else None)


def session_for(profile: str, *, to: str, by: str) -> Session:
    """Return a profile's session with a token that is good, for a helper that sends the request itself.

    Such a helper can do what ``hand`` can't: renew after a refusal, and prove the key that a token is bound to.

    Args and errors are those of ``hand``.
    """
    vault = Vault()
    session = session_of(profile, vault)
    session.token()
    note_use(f"doorward {by}", profile=profile, to=to, **who_of(vault.get(profile)))
    return session


def session_of(profile: str, vault: Vault) -> Session:
    """Return the session of a profile, with its client's key if it is one that signs.

    Raises:
        ConfigurationError: That key can't be read.
        VaultError: The entry can't be read.
    """
    entry = vault.get(profile)
    signs = entry is not None and entry.client_authentication == "private_key_jwt" and not entry.client_key_name
    return Session(profile, client_key=read_client_key() if signs else None, vault=vault)


def refuse_bound(entry: ProfileEntry | None) -> None:
    """Give nobody a token that they can't use who are given it alone (decision 18).

    Raises:
        ConfigurationError: ``token_bound``.
    """
    if entry is not None and entry.dpop_key is not None:
        message = (
            f"The access token of profile {entry.profile!r} is bound to a key (DPoP): no program that is given it "
            "alone can use it. Call the API with 'doorward curl', or from Python with the session itself; or, if the "
            "provider allows it, sign in with --dpop never."
        )
        raise ConfigurationError(message, field="--dpop", reason="token_bound")
