"""Runs one-line changes, each of which a test must notice: ``scripts/mutants``. The lists are in tests/mutants.

A list has blocks: ``@ FILE | WHAT PYTEST RUNS``, and below it changes of two lines, ``- OLD`` and ``+ NEW``, where OLD
is a part of one line, and stands once in the file. A line ``? WHY`` after it explains a change that no test can see.
Each change is made in a copy of the tree. What was seen is kept in build/mutants.jsonl, and not run again as long as
the file and those tests stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".peers", "build", ".coverage*", ".*_cache", ".hypothesis", "__pycache__"
)
_LIMIT_S = 120.0
_KILLED, _NOTHING_FAILED = 1, 0  # what pytest exits with; anything else says that the change or the tests are no good


@dataclass(frozen=True)
class Mutant:
    """One change: ``old`` in ``file`` becomes ``new``, and one of ``tests`` has to fail. ``why`` it need not."""

    file: str
    tests: str
    old: str
    new: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.file}\n  - {self.old}\n  + {self.new}"


def read_lists(folder: Path) -> list[Mutant]:
    """Return the changes that the lists in a folder hold."""
    found: list[Mutant] = []
    for path in sorted(folder.glob("*.txt")):
        file = tests = old = ""
        for line in path.read_text().splitlines():
            kind, text = line[:2].strip(), line[2:].strip()
            if kind == "@":
                file, tests = (part.strip() for part in text.split("|"))
            elif kind == "-":
                old = text
            elif kind == "+":
                found.append(Mutant(file, tests, old, text))
            elif kind == "?":
                last = found.pop()
                found.append(Mutant(last.file, last.tests, last.old, last.new, text))
            elif line.strip() and kind != "#":
                raise ValueError(f"{path.name}: what is this line? {line}")
    return found


def misfit(mutant: Mutant, root: Path) -> str:
    """Say what is wrong with a change, nothing if it can be made."""
    path = root / mutant.file
    times = path.read_text().count(mutant.old) if path.is_file() and mutant.old else 0
    if times != 1:
        return f"stands {times} times in the file"
    missing = [word for word in mutant.tests.split() if word.startswith("tests/") and not (root / word).exists()]
    return f"no such tests: {', '.join(missing)}" if missing else ""


def digest(mutant: Mutant, root: Path) -> str:
    """Name a change together with the file and the tests as they are now."""
    content = [repr(mutant), (root / mutant.file).read_text()]
    for word in mutant.tests.split():
        path = root / word.partition("::")[0]
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.is_file() else []
        content += [each.read_text() for each in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Copy:
    """A copy of the tree, in which one change at a time is made."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = folder / "tree"
        shutil.copytree(root, self._root, ignore=_LEFT_OUT, symlinks=True)
        if (root / ".peers").exists():
            (self._root / ".peers").symlink_to(root / ".peers")

    def run(self, tests: str, mutant: Mutant | None = None, *, limit_s: float = _LIMIT_S) -> int:
        """Run tests with a change, or without, and return pytest's exit code. What takes too long was noticed."""
        path = self._root / mutant.file if mutant else None
        whole = path.read_text() if path else ""
        try:
            if path and mutant:
                self._write(path, whole.replace(mutant.old, mutant.new))
            return self._pytest(tests, limit_s)
        finally:
            if path:
                self._write(path, whole)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # its files tell by the second

    def _pytest(self, tests: str, limit_s: float) -> int:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(tests)]
        # A change may leave a process that never ends: all go with the group.
        process = subprocess.Popen(
            command,
            cwd=self._root,
            env={**os.environ, "PYTHONPATH": str(self._root / "src")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return _KILLED
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()


def run(mutants: list[Mutant], root: Path, *, workers: int, known: Path) -> list[str]:
    """Make the changes, and return what is wrong: who lives without a reason, and what could not be tried."""
    faults = [f"{mutant}\n  {wrong}" for mutant in mutants if (wrong := misfit(mutant, root))]
    seen = dict(map(json.loads, known.read_text().splitlines())) if known.exists() else {}
    wanted = [each for each in mutants if not misfit(each, root)]
    named = {each: digest(each, root) for each in wanted}  # now: somebody may change a test while they run
    known.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, known.open("a") as notes:
        todo = [each for each in wanted if named[each] not in seen]
        copies: queue.Queue[Copy] = queue.Queue()
        for number in range(min(workers, len(todo))):
            (Path(folder) / str(number)).mkdir()
            copies.put(Copy(root, Path(folder) / str(number)))
        lock, began_at = threading.Lock(), time.monotonic()

        def attempt(tests: str, mutant: Mutant | None = None) -> int:
            copy = copies.get()
            try:
                return copy.run(tests, mutant)
            finally:
                copies.put(copy)

        def decide(mutant: Mutant) -> None:
            code = attempt(mutant.tests, mutant)
            with lock:
                seen[named[mutant]] = code
                notes.write(json.dumps([named[mutant], code]) + "\n")
                notes.flush()
                _say(f"{time.monotonic() - began_at:5.0f} s  {_word(code):9} {mutant.file}: {mutant.old}")

        with ThreadPoolExecutor(workers) as pool:
            all_tests = sorted({each.tests for each in todo})
            good = dict(zip(all_tests, pool.map(attempt, all_tests), strict=True))
            faults += [f"{tests}\n  fails without any change" for tests in all_tests if good[tests] != _NOTHING_FAILED]
            list(pool.map(decide, [each for each in todo if good[each.tests] == _NOTHING_FAILED]))
    for mutant in wanted:
        code = seen.get(named[mutant], _KILLED)
        if code not in (_KILLED, _NOTHING_FAILED):
            faults.append(f"{mutant}\n  can't be run (pytest ended with {code})")
        elif (code == _KILLED) == bool(mutant.why):
            faults.append(f"{mutant}\n  {'was noticed, though it is said why not' if mutant.why else 'lives'}")
    return faults


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _word(code: int) -> str:
    return {_KILLED: "noticed", _NOTHING_FAILED: "LIVES"}.get(code, f"ended {code}")


def main() -> int:
    """Run the lists whose files contain what is named, all by default."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="*", help="parts of paths, such as guard/policy")
    parser.add_argument("--workers", type=int, default=max(2, os.cpu_count() or 2))
    chosen = parser.parse_args()
    mutants = read_lists(ROOT / "tests" / "mutants")
    if chosen.files:
        mutants = [each for each in mutants if any(part in each.file for part in chosen.files)]
    faults = run(mutants, ROOT, workers=chosen.workers, known=ROOT / "build" / "mutants.jsonl")
    _say("\n\n".join(faults) or f"Each of {len(mutants)} changes was noticed, or it is said why it can't be.")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
