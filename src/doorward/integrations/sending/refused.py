"""For clients that hear of a refusal too late to send the call again: the next call has another token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.integrations.sending.sender import checked_source, headers_for
from doorward.model import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.ports import TokenSource

__all__ = ["RenewingSource"]


class RenewingSource:
    """A source that is told when a call was refused. Safe to share between threads.

    Raises:
        ConfigurationError: field ``source``.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = checked_source(source)
        self._refused = Secret("")
        self._last = (0, Secret(""))  # how many were renewed so far, and what was given last: changed together

    @property
    def renewals(self) -> int:
        """How many tokens were renewed so far."""
        return self._last[0]

    def token(self) -> Secret:
        """Return a token that was not refused, if one can be had. Raises what the source raises."""
        token, renewals = Secret(self._source.token()), self.renewals
        if token == self._refused:
            token, renewals = Secret(self._source.renew(token.reveal())), renewals + 1
        self._last = renewals, token
        return token

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Return the headers for a call, with names in lower case."""
        headers = headers_for(self._source, self.token(), method, url, None)
        return {name.lower(): value for name, value in headers.items()}

    def refused(self, *, since: int | None = None) -> None:
        """Note that a call was refused as unauthenticated.

        Args:
            since: How many were renewed when it began, if known. If it is more by now, the call had an older token.
        """
        renewals, token = self._last
        if since in (None, renewals):
            self._refused = token
