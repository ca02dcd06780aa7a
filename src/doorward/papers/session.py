"""What a download asks of a session, and the session of somebody who has none. No network here."""

from __future__ import annotations

from typing import Protocol

from doorward.institution.cookies.jar import CookieJar

__all__ = ["Anonymous", "DownloadSession"]


class DownloadSession(Protocol):
    """A session at an institution, as far as downloads need one."""

    @property
    def jar(self) -> CookieJar:
        """The cookies; those that servers set on the way are stored in it."""
        ...

    def get_user_agent(self) -> str | None:
        """Return what the browser of the sign-in presented itself as; None for ourselves."""
        ...

    def link_to(self, url: str) -> str | None:
        """Return the address that leads to ``url`` by way of the institution; None if there is no other.

        Raises:
            ConfigurationError: There can be none to such an address.
        """
        ...

    def note_login_page(self) -> None:
        """Take note that a login page came where a paper should: what is known of the session may be out of date."""
        ...

    def renew(self) -> bool:
        """Renew the session without asking anybody. Return whether it is worth trying again.

        Raises:
            UnavailableError, SignInError, ConfigurationError: It can't be, for now or on this computer.
        """
        ...


class Anonymous:
    """Nobody: for papers that are open to all. Cookies live as long as this object does."""

    def __init__(self) -> None:
        self.jar = CookieJar()

    def get_user_agent(self) -> str | None:
        return None

    def link_to(self, url: str) -> str | None:  # noqa: ARG002 - part of DownloadSession
        return None

    def note_login_page(self) -> None:
        """Do nothing: there is no session to doubt."""

    def renew(self) -> bool:
        return False
