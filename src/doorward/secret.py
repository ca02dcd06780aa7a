"""A string that does not show itself, alone in its module so that the vault is read without what ``model`` imports."""

from __future__ import annotations

from doorward.errors import ConfigurationError

TYPE_CHECKING = False  # importing `typing` for it would cost 8 ms; type checkers take it for true
if TYPE_CHECKING:
    from typing import Any, NoReturn
    from typing import final as _final
else:

    def _final(kind: type) -> type:
        return kind


__all__ = ["Secret", "shows_nothing"]

_HIDDEN = "<secret>"


def shows_nothing(_self: object) -> list[tuple[str, Any]]:
    """Be the ``__rich_repr__`` of a struct whose ``__repr__`` hides something: msgspec's own shows every field."""
    return []


@_final
class Secret:
    """A string that does not show itself. ``reveal()`` is the one way to read it.

    ``repr``, ``str``, f-strings and logging show ``<secret>``; so does a pickle, which leaves the value behind: reading
    an unpickled ``Secret`` raises ``ConfigurationError``. Comparison takes the same time wherever two values differ.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: str | None = value

    def reveal(self) -> str:
        """Return the value itself. Keep it out of logs, messages and process arguments."""
        if self._value is None:
            message = "This secret was pickled, which leaves its value behind: give it again in this process."
            raise ConfigurationError(message, field="secret", reason="secret_pickled")
        return self._value

    def __repr__(self) -> str:
        return _HIDDEN

    def __format__(self, format_spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415 - loads OpenSSL, and secrets are seldom compared

        mine, theirs = (secret.reveal().encode(errors="surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_pickled_secret, (_HIDDEN,))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __bool__(self) -> bool:
        return self._value != ""  # of one that was pickled nobody knows; reading it says so

    def __iter__(self) -> NoReturn:
        message = "a Secret is not a sequence; call reveal()"
        raise TypeError(message)


def _pickled_secret(_hidden: str) -> Secret:
    secret = Secret("")
    secret._value = None  # noqa: SLF001 - same module: this is the second constructor
    return secret
