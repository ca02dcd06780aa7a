"""The page about the architecture names rooms, files and functions that exist, and leaves no room out."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from operator import attrgetter

import pytest
from markdown_it import MarkdownIt
from markdown_pages import ROOT, blocks_of

PAGE = "docs/architecture.md"
PACKAGE = ROOT / "src" / "doorward"

_PATH = re.compile(r"[\w./-]+(?:\.pyi?|\.toml|/)")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_BETWEEN_NAMES = {"", ",", "and"}


def named_in(text):
    """Return each file that a page names, and each name in it: those right after it, as in ``a.py`` ``f`` and ``g``."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        path = None
        for child in token.children or ():
            if child.type == "code_inline" and _PATH.fullmatch(child.content):
                path = child.content
                found.append((path, ""))
            elif child.type == "code_inline" and path and _NAME.fullmatch(child.content):
                found.append((path, child.content))
            elif child.type != "softbreak" and child.content.strip() not in _BETWEEN_NAMES:
                path = None
    return found


def rooms_in(picture):
    """Return the folders and files of the picture, each below the one it is set in."""
    found, above = [], []
    for line in picture.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name]
        found.append("".join(above))
    return found


def check(path, name):
    """Raise AssertionError where there is no such file, or no such name in it."""
    in_package = (PACKAGE / path).exists()
    assert in_package or (ROOT / path).exists(), path
    if not name:
        return
    if in_package:
        attrgetter(name)(importlib.import_module("doorward." + path.removesuffix(".py").replace("/", ".")))
    else:
        tree = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


NAMED = named_in((ROOT / PAGE).read_text())


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_what_the_page_names_exists(path, name):
    check(path, name)


def test_the_picture_has_each_room_and_no_other():
    (picture,) = blocks_of(PAGE)
    shown = rooms_in(picture.text)
    there = {str(path.parent.relative_to(PACKAGE)) + "/" for path in PACKAGE.rglob("*/__init__.py")} - {"./"}
    there |= {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert sorted(shown) == sorted(there)


def test_each_function_of_the_table_of_types_makes_its_type():
    rows = re.findall(r"^\| `(\w+)` \| (`\w.*?`) \|", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert len(rows) > 5
    for made, makers in rows:
        for path, name in named_in(makers):
            if name:
                module = importlib.import_module("doorward." + path.removesuffix(".py").replace("/", "."))
                returned = inspect.signature(attrgetter(name)(module)).return_annotation
                assert re.search(rf"\b{made}\b", returned), f"{name} returns {returned}"


def test_what_stands_right_after_a_path_is_a_name_in_it():
    text = "`a/b.py` `f`, `C.m` and\n`g` take `aud`; see `x.py`, `a/` then `h`."
    names = [("a/b.py", each) for each in ("", "f", "C.m", "g")]
    assert named_in(text) == [*names, ("x.py", ""), ("a/", "")]


@pytest.mark.parametrize(
    "wrong",
    [
        ("guard/nothing.py", ""),
        ("guard/decide.py", "nothing"),
        ("guard/guard.py", "Guard.nothing"),
        ("tests/test_architecture.py", "test_nothing"),
    ],
)
def test_what_is_not_there_is_found(wrong):
    with pytest.raises((AssertionError, AttributeError)):
        check(*wrong)


def test_each_folder_of_a_picture_stands_in_the_one_above():
    assert rooms_in("a/  x\n  b/  y\n    c/\n  d/\ne.py  z\n") == ["a/", "a/b/", "a/b/c/", "a/d/", "e.py"]
