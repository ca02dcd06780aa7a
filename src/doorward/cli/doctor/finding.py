"""What a check found: how bad it is, a stable name for programs, and words for people, with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from doorward.errors import DoorwardError

__all__ = ["Finding", "Level", "failed", "from_error", "ok", "warning"]

Level: TypeAlias = Literal["ok", "warning", "failed"]


class Finding(NamedTuple):
    """One of them. ``reason`` is stable; ``message`` is not."""

    level: Level
    reason: str
    message: str


def ok(reason: str, message: str) -> Finding:
    """Say that something is as it should be."""
    return Finding("ok", reason, message)


def warning(reason: str, message: str) -> Finding:
    """Say that something works, but not as well as it might."""
    return Finding("warning", reason, message)


def failed(reason: str, message: str) -> Finding:
    """Say that something does not work."""
    return Finding("failed", reason, message)


def from_error(error: DoorwardError, message: str = "{}", level: Level = "failed") -> Finding:
    """Say what an error says, within a sentence of one's own."""
    return Finding(level, error.reason, message.format(error.message))
