"""E-mail addresses: which claim holds one, whether its issuer vouches for it, and when two are the same.

Pure. An address is something to show; that it counts at all is decided in ``policy``, by the issuer's settings.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from doorward.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROFILES", "Profile", "email_of", "fold_email", "is_email"]

_LONGEST_EMAIL: Final = 320
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-@"
_DISPLAY_ONLY: Final = ("preferred_username", "upn", "unique_name")
_ASCII_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Profile(msgspec.Struct, frozen=True):
    """Where issuers of one kind say what. The first claim that is there counts.

    E-mail: ``verified_email``, which its name vouches for; ``email``, vouched for by ``email_verified`` or by one of
    ``domain_verified``; where ``namespaced``, the one claim ``https://…/email`` with its ``https://…/email_verified``;
    then what is shown and never trusted: ``preferred_username``, ``upn``, ``unique_name``.
    """

    verified_email: str | None = None
    domain_verified: str | None = None
    namespaced: bool = False


_GENERIC = Profile()
PROFILES = {
    "generic": _GENERIC,
    "google": _GENERIC,
    "okta": _GENERIC,
    "auth0": Profile(namespaced=True),
    "entra": Profile(verified_email="verified_primary_email", domain_verified="xms_edov"),
    "keycloak": _GENERIC,
    "spiffe": _GENERIC,
}


@cache  # compiled when the first unusual address is seen, not when a guard is imported
def _form() -> re.Pattern[str]:
    return re.compile(r'[^\s@()<>\[\]:;,\\"]+@[^\s@()<>\[\]:;,\\"]+')


def is_email(text: str) -> bool:
    """Say whether a text looks like one address that every reader takes for the same: ``a@evil@corp`` does not."""
    if len(text) > _LONGEST_EMAIL:
        return False
    # Nearly all addresses are of plain letters: told in a third of the time that the pattern takes.
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        before, _, after = text.partition("@")
        return bool(before and after) and "@" not in after
    return _form().fullmatch(text) is not None and text.isprintable()


def fold_email(email: str) -> str:
    """Return an address as it is compared: ASCII letters in lower case, all others as they are.

    The lower case of U+212A (Kelvin) is k, and that of U+0130 begins with i: neither may pass for the ASCII letter.
    """
    return email.lower() if email.isascii() else email.translate(_ASCII_LOWER)


def email_of(claims: Mapping[str, Any], profile: Profile) -> tuple[str | None, bool]:
    """Return an address to show, and whether the issuer vouches for it."""
    if profile.verified_email is not None:
        email = _first_text(claims, profile.verified_email)
        if email is not None and is_email(email):
            return email, True
    email = claims.get("email")
    if email is not None and is_email(_text(email, "email")):
        if claims.get("email_verified") is True:  # "true" and 1 are no word to rely on
            return email, True
        return email, profile.domain_verified is not None and _owned(claims.get(profile.domain_verified))
    if profile.namespaced:
        names = [name for name in claims if name.startswith("https://") and name.endswith("/email")]
        if len(names) == 1 and is_email(_text(claims[names[0]], "email")):
            return claims[names[0]], claims.get(names[0] + "_verified") is True
    for name in _DISPLAY_ONLY:
        email = claims.get(name)
        if email is not None and is_email(_text(email, name)):
            return email, False
    return None, False


def _owned(value: object) -> bool:
    return value is True or value in ("1", "true") or (type(value) is int and value == 1)  # Entra has sent each of them


def _text(value: object, name: str) -> str:
    if type(value) is not str:
        raise Malformed(f"The claim {name} is not a string; its issuer must correct it.", reason=f"{name}_malformed")
    return value


def _first_text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if type(value) is list:
        value = value[0] if value else None
    return None if value is None else _text(value, name)
