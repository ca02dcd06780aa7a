"""Where peppers come from, and that a file of them is private or not used."""

from __future__ import annotations

import os
import threading

import pytest

from doorward.errors import ConfigurationError, StoreError
from doorward.guard.api_keys.peppers import (
    generate_pepper,
    make_pepper_file,
    parse_peppers,
    peppers_of,
    read_pepper_file,
)
from doorward.model import Secret

ONE, TWO = "1" * 32, "2" * 32


def test_the_newest_comes_first():
    assert [each.key for each in parse_peppers(f" {ONE},\n{TWO} ", field="pepper")] == [ONE.encode(), TWO.encode()]
    assert parse_peppers(Secret(ONE), field="pepper")[0].id == parse_peppers(ONE, field="pepper")[0].id
    assert len(parse_peppers(generate_pepper(), field="pepper")) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "pepper_length"),
        ("x" * 31, "pepper_length"),
        (f"{ONE} short", "pepper_length"),
        ("x" * 1025, "pepper_length"),
        (" ".join([ONE] * 9), "too_many_peppers"),
    ],
)
def test_other_text_is_refused_and_not_repeated(text, reason):
    with pytest.raises(ConfigurationError) as caught:
        parse_peppers(text, field="MY_PEPPER")
    assert (caught.value.reason, caught.value.field) == (reason, "MY_PEPPER")
    assert "xxx" not in str(caught.value)


def test_the_environment_may_hold_some():
    assert peppers_of({}) == ()
    assert peppers_of({"DOORWARD_API_KEY_PEPPER": ""}) == ()
    assert len(peppers_of({"MY_API_KEY_PEPPER": ONE}, "MY_API_KEY_PEPPER")) == 1


def test_a_file_is_made_once_and_private(tmp_path):
    path = str(tmp_path / "keys.db.pepper")
    assert read_pepper_file(path) == ()
    start = threading.Barrier(8)
    made = []

    def make():
        start.wait(10)
        made.append(make_pepper_file(path)[0].id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 8
    assert set(made) == {read_pepper_file(path)[0].id}
    assert [each.name for each in tmp_path.iterdir()] == ["keys.db.pepper"]
    assert (tmp_path / "keys.db.pepper").stat().st_mode & 0o777 == 0o600


def _link(path):
    path.with_name("other").write_text(ONE)
    path.symlink_to("other")


def _write(text, mode=0o600):
    def write(path):
        path.write_bytes(text)
        path.chmod(mode)

    return write


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_write(ONE.encode(), 0o640), "file_mode"),
        (_write(ONE.encode(), 0o606), "file_mode"),
        (_link, "io"),
        (lambda path: path.mkdir(), "not_a_file"),
        (lambda path: os.mkfifo(path, 0o600), "not_a_file"),
        (_write(b""), "pepper_damaged"),
        (_write(b"\xff" * 40), "pepper_damaged"),
        (_write(b"x" * 100_000), "pepper_damaged"),
    ],
)
def test_a_doubtful_file_is_not_used(make, reason, tmp_path):
    path = tmp_path / "keys.db.pepper"
    make(path)
    with pytest.raises(StoreError) as caught:
        read_pepper_file(str(path))
    assert caught.value.reason == reason
    assert ONE not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_used(tmp_path):
    path = tmp_path / "keys.db.pepper"
    _write(ONE.encode())(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(StoreError) as caught:
        read_pepper_file(str(path))
    assert caught.value.reason == "foreign_owner"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="missing"):
        make_pepper_file(str(tmp_path / "missing" / "keys.db.pepper"))
