"""Search with coverage for bytes that break a target: ``python tests/fuzz/fuzz.py TARGET [SECONDS]``, or ``all``.

Needs atheris (``pip install "atheris>=3"``; CPython on Linux, so it is no dependency of the tests), and leaves in
tests/fuzz/corpus/TARGET.jsonl the fewest inputs that reach every edge. A finding ends it, with the input in the working
directory (``crash-…``); put it into the corpus once it is mended.
"""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

with atheris.instrument_imports(include=["doorward", "fuzz_targets"]):
    import fuzz_targets

MAX_BYTES = 2048

# What has been taken for a time, a name, a list or an end of text, by somebody, somewhere.
NASTY = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64 - 1, 1_800_000_000, 1_800_003_600, 1.5, 1e308, -0.0, "",
    " ", "0", "1800003600", "api", "api ", "https://id.example", "https://id.example/", "none", "EdDSA", "ES256",
    "RS256", "at+jwt", "JWT", "\x00", "\u202e", "\ufeff", "é", "*", [], {}, [None], ["api"], [["api"]], ["api", 7],
    {"api": 1}, "a" * 300, "dw_", "Bearer", "k", "user:alice", "group:eng", "user:a@b", "root@id.example",
]  # fmt: skip
NASTY_TEXT = [
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1" + b"0" * 400, b"1.0", b"01", b"+1", b'"\\ud800"', b'"\\u0061"',
    b"[" * 40 + b"]" * 40, b'{"a":' * 20 + b"1" + b"}" * 20, b"\xff", b"\xc0\xaf", b"/**/", b"\xef\xbb\xbf", b"\x00",
]  # fmt: skip


def _bend(value: object, dice: random.Random) -> object:
    """Change one thing in a JSON value: a member, an item, or the whole."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(list(value))
        match dice.randrange(5):
            case 0:
                return {key: each for key, each in value.items() if key != name}
            case 1:
                return {
                    **value,
                    dice.choice([name.upper(), "crit", "nbf", "azp", "jwk"]): dice.choice(NASTY),
                }
            case 2:
                return {**value, name: _bend(value[name], dice)}
            case _:
                return {**value, name: dice.choice(NASTY)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], _bend(value[at], dice), *value[at + dice.randrange(2) :]]
    return dice.choice([[value], [value, value], {"a": value}, dice.choice(NASTY)])


def _bend_json(text: bytes, dice: random.Random) -> bytes:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text + dice.choice(NASTY_TEXT)
    if dice.random() < 0.7:
        try:
            return json.dumps(_bend(value, dice), ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
        except RecursionError:
            return text
    old = json.dumps(dice.choice(list(value.values()))).encode() if isinstance(value, dict) and value else b"1"
    return text.replace(old, dice.choice(NASTY_TEXT), 1)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time as libFuzzer does, half of the time in the shape of JSON, line by line."""
    dice = random.Random(seed)  # noqa: S311 - a search that can be repeated
    if dice.random() < 0.5:
        return atheris.Mutate(data, max_size)
    first, newline, rest = data.partition(b"\n")
    if newline and dice.random() < 0.3:
        return (_bend_json(first, dice) + newline + rest)[:max_size]
    if newline:
        return (first + newline + _bend_json(rest, dice))[:max_size]
    head = data[:1] if data[1:2] == b"{" else b""  # the byte that stands for a status
    return (head + _bend_json(data[len(head) :], dice))[:max_size]


def search(name: str, arguments: list[str]) -> None:
    """Run one target in this process, for ever or as libFuzzer's arguments say."""
    fuzz_targets.TARGETS[name]  # a KeyError at once for a name that is none
    again = shlex.join(
        [sys.executable, __file__, "--", name]
    )  # what a merge starts by a shell, for each of its attempts
    atheris.Setup([again, *arguments], lambda data: fuzz_targets.run(name, data), custom_mutator=mutate)
    atheris.Fuzz()


def keep(name: str, seconds: int) -> None:
    """Search for a while from what is kept, then keep the fewest inputs that reach every edge that was reached."""
    with tempfile.TemporaryDirectory() as folder:
        grown, fewest, notes = Path(folder, "grown"), Path(folder, "fewest"), Path(folder, "notes")
        grown.mkdir()
        fewest.mkdir()
        for number, data in enumerate(fuzz_targets.read_corpus(name)):
            (grown / str(number)).write_bytes(data)
        own = [sys.executable, __file__, "--", name]
        limits = [f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
        subprocess.run([*own, str(grown), f"-max_total_time={seconds}", *limits], check=True, timeout=seconds + 120)
        merge = ["-merge=1", f"-merge_control_file={notes}"]
        subprocess.run([*own, *merge, str(fewest), str(grown), *limits], check=True, timeout=600)
        first = _first_at_an_edge(notes.read_text().splitlines())
        fuzz_targets.write_corpus(name, [Path(path).read_bytes() for path in first])


def _first_at_an_edge(notes: list[str]) -> list[str]:
    """Read libFuzzer's notes of a merge: its files, smallest first, with the edges that none before reached."""
    paths = notes[2 : 2 + int(notes[0])]
    first = [int(line.split()[1]) for line in notes if line.startswith("COV ") and len(line.split()) > 2]
    return [paths[place] for place in first]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--", name, *arguments]:
            search(name, arguments)
        case [name, *seconds]:
            for each in fuzz_targets.TARGETS if name == "all" else [name]:
                keep(each, int(seconds[0]) if seconds else 60)
        case _:
            sys.exit(__doc__)
