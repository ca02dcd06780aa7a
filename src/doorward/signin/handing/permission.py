"""Whose token may go to an origin: what ``doorward.toml`` and the caller say, and nothing that looks alike."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError
from doorward.signin.settings.profiles import BASIC_USERNAME, read_profiles
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Collection

    from doorward.protocol.reading.origins import Origin

__all__ = ["Permission", "may_go_to", "permitted_origins"]


@dataclass(frozen=True, slots=True)
class Permission:
    """A profile whose token may go to an origin, and the user name that stands beside it there."""

    profile: str
    username: str


def may_go_to(origin: Origin, *, profile: str | None, named: Collection[Origin] = ()) -> Permission | None:
    """Return the profile whose token may go to ``origin``; None if none may.

    Args:
        origin: Where the token would go.
        profile: The profile, where the caller names one. Left out, it is the one whose ``origins`` in ``doorward.toml``
            have this one; of several, that of ``DOORWARD_PROFILE``.
        named: Origins that the caller allows besides.

    Raises:
        ConfigurationError: ``doorward.toml`` is wrong, or several profiles may and none of them is named.
    """
    profiles = read_profiles()
    if profile is None:
        listed = [name for name, each in profiles.items() if origin in each.origins]
        preferred = os.environ.get("DOORWARD_PROFILE", "").lower()
        if len(listed) > 1 and preferred not in listed:
            message = f"Several profiles may use {origin}: {', '.join(listed)}. Name one with DOORWARD_PROFILE."
            raise ConfigurationError(message, field="profile", reason="ambiguous_profile")
        profile = preferred if preferred in listed else next(iter(listed), preferred or "default")
    mine = profiles.get(profile.lower())
    if origin not in named and (mine is None or origin not in mine.origins):
        return None
    return Permission(profile, BASIC_USERNAME if mine is None else mine.basic_username)


def permitted_origins() -> dict[Origin, str]:
    """Return each origin that a signed-in profile of ``doorward.toml`` lists, with the user name for it."""
    held = {name.lower() for name in Vault().names()}
    profiles = read_profiles().items()
    return {origin: each.basic_username for name, each in profiles if name in held for origin in sorted(each.origins)}
