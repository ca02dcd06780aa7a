"""The lists of ``scripts/mutants`` fit the code, and the tool says what no test notices. Running them takes long."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import mutants

LISTED = mutants.read_lists(mutants.ROOT / "tests" / "mutants")
ROOMS = ("cli", "protocol", "guard", "http", "integrations", "vault", "signin", "institution", "papers")

CODE = """
def may_enter(age):
    if age < 18:
        return False
    return age < 150
"""
TESTS = """
import sys
sys.path.insert(0, "src")
from room import may_enter

def test_children_stay_out():
    assert not may_enter(17)
    assert may_enter(18)
"""
FILE, TEST = "src/room.py", "tests/test_room.py"


@pytest.mark.parametrize("file", sorted({each.file for each in LISTED}))
def test_each_change_can_be_made(file):
    wrong = [f"{each}\n  {why}" for each in LISTED if each.file == file and (why := mutants.misfit(each, mutants.ROOT))]
    assert not wrong, "The code has moved on: make the list in tests/mutants fit it.\n" + "\n".join(wrong)


def test_every_room_that_security_rests_on_is_listed():
    assert len(LISTED) >= 200
    assert {Path(each.file).parts[2] for each in LISTED} == set(ROOMS)
    assert len(set(LISTED)) == len(LISTED)


@pytest.fixture
def tree(tmp_path):
    for name, content in ((FILE, CODE), (TEST, TESTS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def run(tree, *changes, tests=TEST):
    (tree / "tests" / "mutants").mkdir(exist_ok=True)
    (tree / "tests" / "mutants" / "room.txt").write_text(f"# a list\n@ {FILE} | {tests}\n" + "\n".join(changes))
    listed = mutants.read_lists(tree / "tests" / "mutants")
    return mutants.run(listed, tree, workers=2, known=tree / "build" / "mutants.jsonl")


NOTICED = "- if age < 18:\n+ if False:"
LIVES = "- age < 150\n+ True"


def test_what_no_test_notices_is_told(tree, capsys):
    (fault,) = run(tree, NOTICED, LIVES)
    assert "age < 150" in fault
    assert "lives" in fault
    assert "noticed" in capsys.readouterr().out
    assert run(tree, NOTICED) == []
    assert (tree / FILE).read_text() == CODE, "the tree itself stays as it is"


def test_a_reason_explains_who_lives_and_no_other(tree):
    assert run(tree, LIVES, "? nobody is as old") == []
    (fault,) = run(tree, NOTICED, "? nobody knows")
    assert "was noticed" in fault


@pytest.mark.parametrize(
    ("change", "tests", "says"),
    [
        ("- if age < 81:\n+ if False:", TEST, "stands 0 times"),
        ("- age\n+ years", TEST, "stands 3 times"),
        (NOTICED, "tests/test_gone.py", "no such tests"),
        (NOTICED, f"{TEST} -k nothing_like_it", "fails without any change"),
    ],
)
def test_a_list_that_does_not_fit_is_told(change, tests, says, tree):
    (fault,) = run(tree, change, tests=tests)
    assert says in fault


def test_what_was_seen_is_not_run_again_until_file_or_tests_change(tree, capsys):
    run(tree, LIVES)
    capsys.readouterr()
    (fault,) = run(tree, LIVES)
    assert "lives" in fault
    assert capsys.readouterr().out == ""
    with (tree / TEST).open("a") as more:
        more.write(
            textwrap.dedent("""
            def test_nobody_is_as_old():
                assert not may_enter(150)
            """)
        )
    assert run(tree, LIVES) == []
    assert "noticed" in capsys.readouterr().out


def test_what_never_ends_was_noticed(tree, tmp_path_factory):
    copy = mutants.Copy(tree, tmp_path_factory.mktemp("copies"))
    endless = mutants.Mutant(FILE, TEST, "return False", "\n        while True: pass")
    assert copy.run(TEST, endless, limit_s=5.0) == 1
    assert copy.run(TEST) == 0
