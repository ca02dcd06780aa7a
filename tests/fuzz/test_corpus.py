"""What coverage-guided fuzzing has found worth keeping, replayed: a few hundred inputs, without the fuzzer."""

from __future__ import annotations

import fuzz_targets
import pytest


@pytest.mark.parametrize("target", sorted(fuzz_targets.TARGETS))
def test_nothing_that_was_found_breaks_it(target):
    inputs = fuzz_targets.read_corpus(target)
    assert inputs
    for data in inputs:
        try:
            fuzz_targets.run(target, data)
        except Exception as error:
            error.add_note(f"given {data!r}")
            raise


def test_every_kept_input_has_a_target_and_the_corpus_stays_small():
    files = list(fuzz_targets.CORPUS.iterdir())
    assert {path.stem for path in files} == set(fuzz_targets.TARGETS)
    assert sum(path.stat().st_size for path in files) <= 300_000


@pytest.mark.parametrize("data", [b'{"a":', b"\xff", b"", b"\0" * 64])
def test_a_target_takes_any_bytes(data):
    for target in fuzz_targets.TARGETS:
        fuzz_targets.run(target, data)
