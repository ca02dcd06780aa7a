"""README is short, its picture shows what the demo prints, and what it says of installing holds."""

from __future__ import annotations

import html
import re
import runpy
import shutil
import tomllib

import pytest
from markdown_pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()


def test_it_is_short():
    assert len(README.splitlines()) <= 130


def test_it_has_the_two_commands():
    assert "make demo" in README
    assert "make test" in README


def words_of(picture):
    """Return what a picture says, with another word for each number that is of one run."""
    text = html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture)))
    return re.sub(r"(?<=127\.0\.0\.1:)\d+|\d+(?=\s+min)|[\d.]+(?=\s+s:)", "N", text.replace("\xa0", " ")).split()


@pytest.mark.peer
@pytest.mark.slow
def test_the_picture_shows_what_the_demo_prints(require_peer):
    require_peer("Chromium", any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    demo_picture = runpy.run_path(str(ROOT / "docs" / "_tools" / "demo_picture.py"))
    drawn = demo_picture["draw"](demo_picture["run_demo"]())
    assert words_of((ROOT / "docs" / "demo.svg").read_text()) == words_of(drawn)


def test_all_brings_what_users_may_need():
    extras = PROJECT["optional-dependencies"]
    named = {name for line in extras["all"] for name in re.search(r"\[(.*)\]", line)[1].split(",")}
    assert named == extras.keys() - {"all", "bench", "dev", "docs"}


def test_addresses_are_whole():
    clone = re.search(r"git clone (\S+)", README)[1]
    assert PROJECT["urls"]["Source"] == clone
    assert PROJECT["urls"].keys() == {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
    for address in PROJECT["urls"].values():
        assert address.startswith(clone)
        _, found, path = address.partition("/blob/main/")
        assert not found or (ROOT / path).exists()
