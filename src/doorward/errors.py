"""Every error that Doorward raises on purpose, and nothing else. Imports only the standard library.

The tree::

    DoorwardError
    ├ ConfigurationError               a setting or an argument is wrong; names the field
    ├ UnavailableError            503  an outage, worth retrying; what is stored stays as it is
    │ ├ TransportError                 the network or TLS failed before an answer was complete
    │ ├ ProviderUnavailable            the provider answered 5xx, 429 or temporarily_unavailable
    │ ├ StoreError                     a store of ours failed
    │ │ └ RecordUnavailable            what the near door does is to be recorded, and can't be
    │ └ LockTimeout                    another process held the lock for too long
    ├ ProviderError               502  the provider answered, but wrongly
    │ ├ InvalidResponse                not what the specification says it must be
    │ └ OAuthError                     an OAuth error response (error, description)
    ├ SignInError
    │ ├ CallbackRejected               the callback does not belong to this sign-in
    │ ├ SignInCancelled                the person said no, or stopped it
    │ ├ SignInTimeout                  nobody answered in time
    │ └ SignInRequired                 there is no session (any more); a person has to sign in
    ├ VaultError
    │ ├ CorruptEntry                   a file is not what we wrote; it was set aside
    │ ├ UnsafePermissions              folder or file could be read or replaced by others
    │ ├ KeyringLocked
    │ └ KeyringUnavailable
    ├ InvalidCredential           401
    │ ├ Malformed   BadSignature   UnknownKey   UnknownIssuer   AlgorithmNotAllowed
    │ ├ Expired   NotYetValid   WrongAudience   WrongType   WrongClaim   MissingClaim
    │ ├ WrongNonce   WrongTokenHash   WrongAuthTime   SubjectChanged
    │ └ Revoked   Inactive   UnknownApiKey   MissingCredential
    ├ Throttled                   429  retry_after_s
    └ Forbidden                   403  missing scopes

Each class has a stable ``code``. ``reason`` narrows it down for logs and tests; it is a slug of our own making, never
text from outside. Messages say what to do next, hold no secret, and hold no control characters.
"""

from __future__ import annotations

import copyreg

TYPE_CHECKING = False  # importing `typing` for it would cost half of what `import doorward` may
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AlgorithmNotAllowed",
    "BadSignature",
    "CallbackRejected",
    "ConfigurationError",
    "CorruptEntry",
    "DoorwardError",
    "Expired",
    "Forbidden",
    "Inactive",
    "InvalidCredential",
    "InvalidResponse",
    "KeyringLocked",
    "KeyringUnavailable",
    "LockTimeout",
    "Malformed",
    "MissingClaim",
    "MissingCredential",
    "NotYetValid",
    "OAuthError",
    "ProviderError",
    "ProviderUnavailable",
    "RecordUnavailable",
    "Revoked",
    "SignInCancelled",
    "SignInError",
    "SignInRequired",
    "SignInTimeout",
    "StoreError",
    "SubjectChanged",
    "Throttled",
    "TransportError",
    "UnavailableError",
    "UnknownApiKey",
    "UnknownIssuer",
    "UnknownKey",
    "UnsafePermissions",
    "VaultError",
    "WrongAudience",
    "WrongAuthTime",
    "WrongClaim",
    "WrongNonce",
    "WrongTokenHash",
    "WrongType",
    "printable",
]

_LONGEST_FOREIGN_TEXT = 300


def printable(text: str) -> str:
    """Make text from outside safe to show: no control or formatting characters, one line, at most 300 characters."""
    clean = "".join(character if character.isprintable() else " " for character in text[: 4 * _LONGEST_FOREIGN_TEXT])
    clean = " ".join(clean.split())
    return clean if len(clean) <= _LONGEST_FOREIGN_TEXT else clean[: _LONGEST_FOREIGN_TEXT - 1] + "…"


class DoorwardError(Exception):
    """The root of the tree. Catch this to catch everything Doorward raises on purpose."""

    code = "error"
    status_hint: int | None = None

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or self.code

    @property
    def message(self) -> str:
        """What happened and what to do next, for a person."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        # What Exception does calls the class with the message alone. Where that fails, the parent of a worker process
        # gets a TypeError instead of this error, or waits for ever.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined] # typeshed


class ConfigurationError(DoorwardError):
    """A setting or argument is wrong. ``field`` names it."""

    code = "configuration"

    def __init__(self, message: str, *, field: str, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.field = field


class UnavailableError(DoorwardError):
    """An outage. Nothing stored was changed; trying again later may work. ``retry_after_s`` is set if known."""

    code = "unavailable"
    status_hint = 503

    def __init__(self, message: str, *, reason: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s


class TransportError(UnavailableError):
    """The network, TLS or the clock ended a request before its answer was complete."""

    code = "transport"


class ProviderUnavailable(UnavailableError):
    """The provider answered that it can't answer now: 5xx, 429, ``temporarily_unavailable``."""

    code = "provider_unavailable"


class StoreError(UnavailableError):
    """A store of ours could not be read or written."""

    code = "store"


class RecordUnavailable(StoreError):
    """What the near door does is to be recorded (decision 20), and can't be. The message says whether it was done."""

    code = "record_unavailable"


class LockTimeout(UnavailableError):
    """Another process held a lock for longer than we wait."""

    code = "lock_timeout"


class ProviderError(DoorwardError):
    """The provider answered, and the answer is wrong."""

    code = "provider"
    status_hint = 502


class InvalidResponse(ProviderError):
    """An answer that the specification does not allow."""

    code = "invalid_response"


class OAuthError(ProviderError):
    """An OAuth 2.0 error response (RFC 6749 section 5.2). Both texts are made printable."""

    code = "oauth_error"

    def __init__(self, message: str, *, error: str, description: str = "", reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.error = printable(error)
        self.description = printable(description)


class SignInError(DoorwardError):
    """A sign-in did not end with a session."""

    code = "sign_in"


class CallbackRejected(SignInError):
    """A callback that does not belong to this sign-in, or that the rules forbid."""

    code = "callback_rejected"


class SignInCancelled(SignInError):
    """The person denied the request or stopped waiting."""

    code = "sign_in_cancelled"


class SignInTimeout(SignInError):
    """Nobody finished the sign-in in time."""

    code = "sign_in_timeout"


class SignInRequired(SignInError):
    """There is no usable session; a person has to sign in (again)."""

    code = "sign_in_required"
    status_hint = 401


class VaultError(DoorwardError):
    """What is at rest can't be used as it is."""

    code = "vault"


class CorruptEntry(VaultError):
    """A vault file is not what we wrote. It was set aside, never executed, never deleted."""

    code = "corrupt_entry"


class UnsafePermissions(VaultError):
    """The vault's folder or a file in it belongs to, or could be changed by, somebody else."""

    code = "unsafe_permissions"


class KeyringLocked(VaultError):
    """The operating system's keyring is there, but locked."""

    code = "keyring_locked"


class KeyringUnavailable(VaultError):
    """The operating system has no usable keyring."""

    code = "keyring_unavailable"


class InvalidCredential(DoorwardError):
    """A token or key that must not be accepted. The reason is for logs, not for the caller."""

    code = "invalid_credential"
    status_hint = 401


class Malformed(InvalidCredential):
    """Not a token of the shape we accept."""

    code = "malformed"


class BadSignature(InvalidCredential):
    """The signature does not verify."""

    code = "bad_signature"


class UnknownKey(InvalidCredential):
    """The issuer's JWK Set has no (single) usable key for this token."""

    code = "unknown_key"


class UnknownIssuer(InvalidCredential):
    """Not an issuer we trust, or not the one asked."""

    code = "unknown_issuer"


class AlgorithmNotAllowed(InvalidCredential):
    """Signed with an algorithm that was not allowed for this issuer."""

    code = "algorithm_not_allowed"


class Expired(InvalidCredential):
    """Past its ``exp``, or older than allowed."""

    code = "expired"


class NotYetValid(InvalidCredential):
    """``nbf`` or ``iat`` lies in the future."""

    code = "not_yet_valid"


class WrongAudience(InvalidCredential):
    """Meant for somebody else (``aud`` or ``azp``)."""

    code = "wrong_audience"


class WrongType(InvalidCredential):
    """A token of another kind, such as an ID token where an access token belongs."""

    code = "wrong_type"


class WrongClaim(InvalidCredential):
    """A claim is not what this service requires of it, or contradicts another."""

    code = "wrong_claim"


class MissingClaim(InvalidCredential):
    """A claim that must be there is not."""

    code = "missing_claim"


class WrongNonce(InvalidCredential):
    """``nonce`` is not the one we sent."""

    code = "wrong_nonce"


class WrongTokenHash(InvalidCredential):
    """``at_hash`` or ``c_hash`` does not belong to the token or code beside it."""

    code = "wrong_token_hash"


class WrongAuthTime(InvalidCredential):
    """The sign-in is older than ``max_age`` allows."""

    code = "wrong_auth_time"


class SubjectChanged(InvalidCredential):
    """A refresh came back for another person."""

    code = "subject_changed"


class Revoked(InvalidCredential):
    """No longer good, though unexpired."""

    code = "revoked"


class Inactive(InvalidCredential):
    """Its issuer says that it is not active: expired, revoked, or never one of its tokens."""

    code = "inactive"


class UnknownApiKey(InvalidCredential):
    """No such API key."""

    code = "unknown_api_key"


class MissingCredential(InvalidCredential):
    """No credential was sent."""

    code = "missing_credential"


class Throttled(DoorwardError):
    """Too many failed attempts. Try again after ``retry_after_s`` seconds."""

    code = "throttled"
    status_hint = 429

    def __init__(self, message: str, *, retry_after_s: float, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s


class Forbidden(DoorwardError):
    """A good credential without the scopes that are needed."""

    code = "forbidden"
    status_hint = 403

    def __init__(self, message: str, *, missing_scopes: tuple[str, ...] = (), reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.missing_scopes = missing_scopes
