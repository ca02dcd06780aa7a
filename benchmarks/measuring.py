"""How the guard's benchmarks measure, and how they tell of it. Nothing here knows what is measured.

Within a section every round runs one short batch of every case, in an order of its own, so that a busy machine slows
all of them alike. What is shown is the median over the rounds: of the processor's time of this thread for one
operation, and of its ratio to the first case in the same round. Goals are ratios wherever they can be.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import time
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import __version__ as cryptography_version
from cryptography.hazmat.backends.openssl import backend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Case", "Report", "Row", "each", "measure", "options", "percentile", "same"]

_NS_PER_US = 1000


@dataclass(frozen=True)
class Case:
    """Something to measure: ``run(n)`` does it n times, at most ``most`` times in one batch."""

    name: str
    run: Callable[[int], None]
    note: str = ""
    most: int = 10**7


@dataclass(frozen=True)
class Row:
    """What came of one case."""

    name: str
    us: float
    ratio: float
    note: str = ""


def same(function: Callable[..., object], *arguments: object) -> Callable[[int], None]:
    """Do one thing over and over."""

    def run(times: int) -> None:
        for _ in repeat(None, times):
            function(*arguments)

    return run


def each(function: Callable[[Any], object], things: Sequence[Any]) -> Callable[[int], None]:
    """Do it to the first of many things, once to each: set ``most`` to their number."""

    def run(times: int) -> None:
        for thing in things[:times]:
            function(thing)

    return run


def options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run: shows that it works, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def measure(cases: Sequence[Case], *, quick: bool, rounds: int = 31, batch_ms: float = 10) -> list[Row]:
    rounds, batch_ms = (3, 1.0) if quick else (rounds, batch_ms)
    sizes = {case.name: _batch_size(case, batch_ms) for case in cases}
    taken: dict[str, list[float]] = {case.name: [] for case in cases}
    gc.collect()
    gc.freeze()  # what is there by now is no garbage, and need not be looked at again
    for _ in range(rounds):
        for case in random.sample(cases, len(cases)):
            taken[case.name].append(_time_ns(case, sizes[case.name]))
    first = taken[cases[0].name]
    return [
        Row(
            case.name,
            statistics.median(taken[case.name]) / _NS_PER_US,
            statistics.median(own / reference for own, reference in zip(taken[case.name], first, strict=True)),
            case.note,
        )
        for case in cases
    ]


def _batch_size(case: Case, batch_ms: float) -> int:
    size, wanted_ns = 1, batch_ms * 1e6
    while True:
        took_ns = _time_ns(case, size) * size
        if took_ns >= wanted_ns / 4 or size == case.most:
            return max(1, min(case.most, int(size * wanted_ns / max(took_ns, 1))))
        size = min(case.most, size * 4)


def _time_ns(case: Case, times: int) -> float:
    began_ns = time.thread_time_ns()
    case.run(times)
    return (time.thread_time_ns() - began_ns) / times


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Report:
    """Prints sections and goals as they come, and keeps them for ``save``."""

    def __init__(self) -> None:
        self._surroundings = (
            f"Python {platform.python_version()}, cryptography {cryptography_version},"
            f" {backend.openssl_version_text()}, {platform.machine()}"
        )
        self._sections: dict[str, list[dict[str, Any]]] = {}
        self._goals: list[dict[str, Any]] = []
        print(self._surroundings)

    def table(self, title: str, rows: Sequence[Row], *, reference: str = "ratio") -> None:
        """Show times. ``reference`` says what the ratios are to."""
        self._sections[title] = [asdict(row) for row in rows]
        width = max(len(row.name) for row in rows) + 2
        print(f"\n{title}\n{'':{width}}{'µs':>10}{reference:>14}")
        for row in rows:
            print(f"{row.name:{width}}{row.us:10.2f}{row.ratio:14.3f}  {row.note}".rstrip())

    def figures(self, title: str, figures: dict[str, str]) -> None:
        """Show figures that are no times."""
        self._sections[title] = [{"name": name, "figure": figure} for name, figure in figures.items()]
        width = max(map(len, figures)) + 2
        print(f"\n{title}")
        for name, figure in figures.items():
            print(f"{name:{width}}{figure}")

    def goal(self, what: str, measured: float, *, most: float | None = None, least: float | None = None) -> None:
        held = (most is None or measured <= most) and (least is None or measured >= least)
        self._goals.append({"what": what, "measured": measured, "most": most, "least": least, "held": held})
        bound = f"at most {most:g}" if most is not None else f"at least {least:g}"
        print(f"goal {'held' if held else 'MISSED'}: {what}: {measured:.3g}, {bound}")

    def save(self, path: Path | None) -> None:
        if path is not None:
            found = {"surroundings": self._surroundings, "sections": self._sections, "goals": self._goals}
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
