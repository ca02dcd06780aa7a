"""Small makers of hooks, from which the tables of lies and habits are built."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing.provider.keys import Draft
    from doorward.testing.provider.switches import Hook, Moment
    from doorward.testing.provider.web import Reply

__all__ = [
    "REMOVED",
    "add_pair",
    "change_header",
    "change_payload",
    "change_reply",
    "change_text",
    "put",
    "put_pair",
    "toggle_slash",
]

REMOVED: Final = object()
"""As a member's new value: the member is left out."""


def toggle_slash(url: str) -> str:
    """Add a slash to the end, or take it away."""
    return url[:-1] if url.endswith("/") else f"{url}/"


def put(member: str, value: Any) -> Hook:
    """Set one member of a JSON object. A function of (old value, moment) gives the new value."""

    def hook(members: dict[str, Any], moment: Moment) -> dict[str, Any]:
        new = value(members.get(member), moment) if callable(value) else value
        if new is REMOVED:
            return {name: old for name, old in members.items() if name != member}
        return {**members, member: new}

    return hook


def put_pair(name: str, value: Callable[[str, Moment], str] | str | None) -> Hook:
    """Change one parameter of a list of pairs; None leaves it out."""

    def hook(pairs: list[tuple[str, str]], moment: Moment) -> list[tuple[str, str]]:
        changed = []
        for key, old in pairs:
            new = value(old, moment) if callable(value) else value
            if key != name:
                changed.append((key, old))
            elif new is not None:
                changed.append((key, new))
        return changed

    return hook


def add_pair(name: str, value: str) -> Hook:
    """Add a parameter, also where there is one of that name."""
    return lambda pairs, _moment: [*pairs, (name, value)]


def change_header(**members: Any) -> Hook:
    """Set members of a token's header before it is signed."""

    def hook(draft: Draft, _moment: Moment) -> Draft:
        header = {**draft.header, **members}
        return dataclasses.replace(
            draft, header={name: value for name, value in header.items() if value is not REMOVED}
        )

    return hook


def change_payload(function: Callable[[bytes], bytes]) -> Hook:
    """Change a token's payload before it is signed."""
    return lambda draft, _moment: dataclasses.replace(draft, payload=function(draft.payload))


def change_text(function: Callable[[str], Any]) -> Hook:
    """Change a finished token."""
    return lambda text, _moment: function(text)


def change_reply(**fields: Any) -> Hook:
    """Replace fields of a whole reply."""

    def hook(reply: Reply, _moment: Moment) -> Reply:
        return dataclasses.replace(reply, **fields)

    return hook
