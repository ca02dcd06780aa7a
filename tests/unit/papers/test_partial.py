"""A paper on disk outlasts a power cut, and is written into no file that was there already."""

from __future__ import annotations

import os
import stat

import pytest

from doorward.papers.partial import InUse, Part

ETAG = '"v1"'


@pytest.fixture
def steps(monkeypatch):
    """What is made durable, linked or removed, in order."""
    taken = []

    def noting(name, what):
        call = getattr(os, name)

        def noted(*arguments, **options):
            result = call(*arguments, **options)
            taken.append(f"{name} {what(arguments[0])}")
            return result

        monkeypatch.setattr(os, name, noted)

    noting("fsync", lambda fd: "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
    noting("link", lambda name: name)
    noting("unlink", lambda name: name)
    return taken


def test_a_saved_paper_is_on_disk_before_it_gets_its_name_and_the_name_before_we_return(tmp_path, steps):
    with Part(tmp_path, "2024", "x") as part:
        part.begin(None, None)
        part.write(b"%PDF-")
        steps.clear()
        part.finish("paper")
    done = [step for step in steps if not step.endswith(".json")]
    assert done == ["fsync file", "link x.part", "unlink x.part", "fsync folder"]


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_what_somebody_puts_in_its_place_is_not_written_to(tmp_path, link):
    """Where others may write too, a link to one of our own files must not have that one cut off and overwritten."""
    mine = tmp_path / "mine"
    mine.write_text("all of it")
    (tmp_path / "2024").mkdir()
    with Part(tmp_path, "2024", "x") as part:
        link(mine, tmp_path / "2024" / "x.part")
        with pytest.raises(InUse):
            part.begin(None, None)
    assert mine.read_text() == "all of it"


def test_nothing_is_made_over_what_is_there(tmp_path, monkeypatch):
    made, call = [], os.open

    def noted(path, flags, *arguments, **options):
        made.append((path, flags))
        return call(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", noted)
    with Part(tmp_path, "2024", "x") as part:
        part.begin(ETAG, 100)
    created = {path: bool(flags & os.O_EXCL) for path, flags in made if flags & os.O_CREAT}
    assert created == {"x.part": True, "x.part.json": True}
