"""A file that we act on: anybody may read it, and nobody else may have written it."""

import os

import pytest

from doorward.errors import DoorwardError
from doorward.vault.trusted_file import read_trusted_file

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "doorward.toml"
    path.write_bytes(b"0123456789")
    path.chmod(0o644)
    return path


def outcome(path, most=100):
    try:
        return read_trusted_file(str(path), most=most)
    except DoorwardError as refused:
        return refused.reason


def test_one_of_our_own_is_read_as_far_as_was_asked(file):
    assert outcome(file) == b"0123456789"
    assert outcome(file, most=4) == b"0123"
    with pytest.raises(FileNotFoundError):
        read_trusted_file(str(file.with_name("gone")), most=1)


@pytest.mark.parametrize("mode", [0o646, 0o666])
def test_one_that_everybody_can_write_is_refused(file, mode):
    file.chmod(mode)
    assert outcome(file) == "file_mode"


@needs_root
def test_one_that_a_group_can_write_is_refused_but_for_the_user_s_own(file):
    file.chmod(0o664)
    assert outcome(file) == b"0123456789", "root's own group"
    os.chown(file, 0, NOBODY)
    assert outcome(file) == "file_mode"


def foreign_file(file):
    os.chown(file, NOBODY, NOBODY)
    return file


def foreign_folder(file):
    os.chown(file.parent, NOBODY, NOBODY)
    return file


def foreign_link(file):
    link = file.with_name("link")
    link.symlink_to(file)
    os.lchown(link, NOBODY, NOBODY)
    return link


def link_to_a_foreign_file(file):
    link = file.with_name("link")
    link.symlink_to(foreign_file(file))
    return link


@needs_root
@pytest.mark.parametrize("make", [foreign_file, foreign_folder, foreign_link, link_to_a_foreign_file])
def test_another_user_s_is_refused(file, make):
    assert outcome(make(file)) == "foreign_owner"


def test_a_link_of_our_own_is_followed(file):
    link = file.with_name("link")
    link.symlink_to(file)
    assert outcome(link) == b"0123456789"


@needs_root
def test_root_s_is_trusted_by_everybody(file, nobodys_folder, without_privileges):
    shared = os.path.join(os.path.dirname(nobodys_folder), "shared.toml")
    with open(shared, "w") as written:
        written.write("root's")
    os.chmod(shared, 0o644)
    assert without_privileges(lambda: read_trusted_file(shared, most=9)) == repr(b"root's")


def test_what_is_no_file_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert outcome(tmp_path / "fifo") == "not_a_file"
