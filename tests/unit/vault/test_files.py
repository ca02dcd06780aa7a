"""Private files: who may read them, what replaces them, and what is refused."""

import os
import resource
import socket
import stat

import pytest

from doorward.errors import CorruptEntry, DoorwardError, StoreError, UnsafePermissions
from doorward.vault.files import (
    MAX_FILE_BYTES,
    check_room,
    list_private_files,
    open_lock_file,
    original_name,
    put_back,
    read_private_file,
    remove_private_file,
    set_aside,
    write_private_file,
)

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def mode_of(*path):
    return stat.S_IMODE(os.lstat(os.path.join(*path)).st_mode)


def code_of(function, *arguments):
    try:
        return function(*arguments)
    except DoorwardError as error:
        return f"{error.code}: {error.reason}"


def code_and_message(function, *arguments):
    with pytest.raises(DoorwardError) as refused:
        function(*arguments)
    return refused.value.reason, refused.value.message


@pytest.fixture
def no_permissions(monkeypatch):
    """A file system without permission bits, as Linux shows it: everything is open to all, and chmod does nothing."""

    class FileSystem:
        only = staticmethod(lambda _: True)

    class Status:
        def __init__(self, status):
            self.status = status

        def __getattr__(self, name):
            value = getattr(self.status, name)
            return value | 0o777 if name == "st_mode" and FileSystem.only(value) else value

    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: Status(fstat(fd)))
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    return FileSystem


@pytest.fixture
def steps(monkeypatch):
    """What is made durable, and what is renamed or removed, in order."""
    taken = []

    def noting(name, call, what):
        def noted(*arguments, **options):
            result = call(*arguments, **options)
            taken.append(f"{name} {what(arguments[0])}" if what else name)
            return result

        monkeypatch.setattr(os, name, noted)

    noting("fsync", os.fsync, lambda fd: "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
    for name in ("replace", "link", "unlink"):
        noting(name, getattr(os, name), None)
    return taken


class TestDurability:
    """What we have said is kept must be there after a power cut: each step is on disk before the next one counts."""

    def test_a_file_is_on_disk_before_it_gets_its_name_and_the_name_before_we_return(self, folder, steps):
        write_private_file(folder, "a", b"x")
        assert steps == ["fsync file", "replace", "fsync folder"]

    def test_a_removal_is_on_disk_before_we_return(self, folder, steps):
        write_private_file(folder, "a", b"x")
        steps.clear()
        remove_private_file(folder, "a")
        assert steps == ["unlink", "fsync folder"]

    def test_so_is_a_file_that_gets_its_name_back(self, folder, steps):
        write_private_file(folder, "a", b"x")
        aside = set_aside(folder, "a", now=0)
        steps.clear()
        put_back(folder, aside, "a")
        assert steps == ["link", "unlink", "fsync folder"]

    def test_a_file_is_never_written_into_one_that_is_there_already(self, folder, monkeypatch):
        """Whoever has that one open could read along."""
        os.makedirs(folder, 0o700)
        monkeypatch.setattr(os, "urandom", lambda count: b"R" * count)
        planted = os.path.join(folder, f".a.{'52' * 8}.tmp")
        with open(planted, "wb") as somebodys, open(planted, "rb") as reader:
            somebodys.flush()
            with pytest.raises(StoreError):
                write_private_file(folder, "a", b"secret")
            assert reader.read() == b""


@pytest.fixture
def umask():
    def change(mask):
        os.umask(mask)

    old = os.umask(0o022)
    os.umask(old)
    yield change
    os.umask(old)


class TestWriting:
    def test_what_is_written_is_read(self, folder):
        assert read_private_file(folder, "a") is None
        write_private_file(folder, "a", b"one")
        write_private_file(folder, "a", memoryview(b"two"))
        assert read_private_file(folder, "a") == b"two"
        assert list_private_files(folder) == ["a"]

    def test_reading_makes_no_folder(self, folder):
        assert read_private_file(folder, "a") is None
        assert remove_private_file(folder, "a") is False
        assert set_aside(folder, "a", now=0) is None
        assert list_private_files(folder) == []
        assert not os.path.exists(folder)

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o177, 0o777])
    def test_modes_do_not_depend_on_the_umask(self, folder, umask, mask):
        umask(mask)
        inner = os.path.join(folder, "made", "too")
        write_private_file(inner, "a", b"")
        os.close(open_lock_file(inner, "a.lock"))
        found = [
            mode_of(folder),
            mode_of(folder, "made"),
            mode_of(inner),
            mode_of(inner, "a"),
            mode_of(inner, "a.lock"),
        ]
        assert found == [0o700, 0o700, 0o700, 0o600, 0o600]

    def test_a_folder_is_ours_alone_from_its_first_moment(self, folder, umask, monkeypatch):
        umask(0)
        mkdir, modes = os.mkdir, []

        def noted(path, mode):
            mkdir(path, mode)
            modes.append(mode_of(path))

        monkeypatch.setattr(os, "mkdir", noted)
        write_private_file(os.path.join(folder, "inner"), "a", b"")
        assert modes == [0o700, 0o700]

    def test_a_umask_that_takes_our_own_rights_does_no_harm(self, nobodys_folder, without_privileges):
        folder = os.path.join(nobodys_folder, "new", "vault")

        def use():
            os.umask(0o777)
            write_private_file(folder, "a", b"data")
            write_private_file(folder, "a", b"more")
            os.close(open_lock_file(folder, "lock"))
            os.chmod(os.path.join(folder, "lock"), 0)  # as a maker leaves it that is killed before its fchmod
            os.close(open_lock_file(folder, "lock"))
            return read_private_file(folder, "a"), list_private_files(folder)

        assert without_privileges(use) == repr((b"more", ["a", "lock"]))

    def test_a_folder_that_may_not_be_written_keeps_its_file(self, nobodys_folder, without_privileges):
        def use():
            write_private_file(nobodys_folder, "a", b"old")
            os.chmod(nobodys_folder, 0o500)
            outcome = code_of(write_private_file, nobodys_folder, "a", b"new")
            return outcome, read_private_file(nobodys_folder, "a"), list_private_files(nobodys_folder)

        assert without_privileges(use) == repr(("store: no_access", b"old", ["a"]))

    def test_a_write_that_the_disk_refuses_midway_keeps_the_old_value(self, nobodys_folder, without_privileges):
        def use():
            write_private_file(nobodys_folder, "a", b"old")
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            outcome = code_of(write_private_file, nobodys_folder, "a", b"x" * 5000)
            return outcome, read_private_file(nobodys_folder, "a"), list_private_files(nobodys_folder)

        assert without_privileges(use) == repr(("store: io", b"old", ["a"]))

    def test_room_is_room_for_an_entry_with_long_tokens_and_leaves_nothing(self, nobodys_folder, without_privileges):
        def use():
            check_room(nobodys_folder)
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
            return code_of(check_room, nobodys_folder), os.listdir(nobodys_folder)

        assert without_privileges(use) == repr(("store: io", []))

    def test_a_folder_above_that_is_a_file_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UnsafePermissions, match="no folder") as refused:
            write_private_file(str(tmp_path / "file" / "vault"), "a", b"")
        assert refused.value.reason == "not_a_folder"

    @pytest.mark.parametrize("place", ["/proc/vault", "/dev/full/vault", "/proc/self/mem"])
    def test_an_impossible_place_is_a_typed_error(self, place):
        with pytest.raises((StoreError, UnsafePermissions)):
            write_private_file(place, "a", b"")

    def test_a_folder_in_place_of_the_file_is_left_alone(self, folder):
        os.makedirs(os.path.join(folder, "a", "inner"))
        with pytest.raises(StoreError, match="directory"):
            write_private_file(folder, "a", b"")
        with pytest.raises(StoreError):
            remove_private_file(folder, "a")
        assert list_private_files(folder) == ["a"]

    def test_old_leftovers_of_killed_writers_go_and_young_ones_stay(self, folder):
        write_private_file(folder, "a", b"")
        leftovers = [".a.0123456789abcdef.tmp", ".other.0123456789abcdef.tmp", ".notes.tmp", "x.0123456789abcdef.tmp"]
        for name in leftovers:
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write("secret")
            os.utime(path, (0, 0))
        with open(os.path.join(folder, ".a.fedcba9876543210.tmp"), "w") as file:
            file.write("being written")
        os.mkdir(os.path.join(folder, ".d.0123456789abcdef.tmp"))
        write_private_file(folder, "a", b"")
        assert list_private_files(folder) == [
            ".a.fedcba9876543210.tmp",
            ".d.0123456789abcdef.tmp",
            ".notes.tmp",
            "a",
            "x.0123456789abcdef.tmp",
        ]


class TestTheFolder:
    @pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777, 0o770, 0o701, 0o2755])
    def test_one_that_was_wider_is_narrowed_by_whatever_looks_first(self, folder, mode):
        for use in (list_private_files, lambda path: read_private_file(path, "a")):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, mode)
            use(folder)
            assert mode_of(folder) & 0o777 == 0o700

    @pytest.mark.parametrize("suffix", ["", "/", "/.", "//"])
    def test_a_symbolic_link_is_refused(self, tmp_path, suffix):
        (tmp_path / "real").mkdir(mode=0o700)
        (tmp_path / "vault").symlink_to("real")
        folder = str(tmp_path / "vault") + suffix
        for use in (lambda: write_private_file(folder, "a", b""), lambda: read_private_file(folder, "a")):
            with pytest.raises(UnsafePermissions, match="rm ") as refused:
                use()
            assert refused.value.reason == "symbolic_link"
        assert list((tmp_path / "real").iterdir()) == []

    def test_a_dangling_link_is_refused_too(self, tmp_path):
        (tmp_path / "vault").symlink_to("nowhere")
        with pytest.raises(UnsafePermissions) as refused:
            write_private_file(str(tmp_path / "vault"), "a", b"")
        assert refused.value.reason == "symbolic_link"
        assert not (tmp_path / "nowhere").exists()

    def test_a_linked_folder_above_is_a_matter_of_taste(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "home").symlink_to("disk")
        write_private_file(str(tmp_path / "home" / "vault"), "a", b"x")
        assert read_private_file(str(tmp_path / "disk" / "vault"), "a") == b"x"

    def test_a_foreign_one_is_refused_with_the_way_to_mend_it(self, nobodys_folder, without_privileges):
        told = without_privileges(lambda: code_and_message(read_private_file, "/usr", "a"))
        assert "foreign_owner" in told
        assert f"sudo chown -R {NOBODY if os.geteuid() == 0 else os.geteuid()} /usr" in told

    @needs_root
    def test_root_is_told_to_become_the_one_whose_it_is_and_not_to_take_it(self, folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, NOBODY, NOBODY)
        code, message = code_and_message(read_private_file, folder, "a")
        assert code == "foreign_owner"
        assert f"sudo -u '#{NOBODY}' -H" in message
        assert "chown" not in message

    def test_a_disk_that_keeps_no_permissions_is_told_as_what_it_is(self, folder, no_permissions):
        """WSL's /mnt/c, CIFS, exFAT: no chmod helps there, nor a new sign-in."""
        os.makedirs(folder)
        for call in ((read_private_file, folder, "a"), (write_private_file, folder, "a", b"x")):
            code, message = code_and_message(*call)
            assert code == "no_permissions"
            assert "DOORWARD_HOME" in message
            assert "chmod" not in message
        assert os.listdir(folder) == []

    def test_nor_is_a_file_written_where_files_alone_keep_none(self, folder, no_permissions):
        """As vfat does that is mounted with dmask=077."""
        no_permissions.only = stat.S_ISREG
        code, _ = code_and_message(write_private_file, folder, "a", b"x")
        assert code == "no_permissions"
        assert os.listdir(folder) == []

    def test_the_command_that_mends_is_quoted_and_printable(self, tmp_path):
        folder = str(tmp_path / "a; rm -rf $HOME \x1b[2J")
        os.symlink("nowhere", folder)
        with pytest.raises(UnsafePermissions) as refused:
            read_private_file(folder, "a")
        assert refused.value.message.isprintable()
        assert refused.value.message.endswith("'")


class TestWhatIsNotOurFile:
    @pytest.fixture
    def ours(self, folder):
        write_private_file(folder, "a", b"secret")
        return os.path.join(folder, "a")

    def refused(self, folder):
        with pytest.raises(UnsafePermissions) as reading:
            read_private_file(folder, "a")
        with pytest.raises(UnsafePermissions) as locking:
            open_lock_file(folder, "a")
        assert reading.value.reason == locking.value.reason
        return reading.value.reason

    def test_a_symbolic_link(self, folder, ours, tmp_path):
        (tmp_path / "b").write_bytes(b"other")
        os.remove(ours)
        os.symlink(tmp_path / "b", ours)
        assert self.refused(folder) == "symbolic_link"
        write_private_file(folder, "a", b"new")
        assert (tmp_path / "b").read_bytes() == b"other"
        assert read_private_file(folder, "a") == b"new"

    def test_a_fifo_does_not_keep_us_waiting(self, folder, ours):
        os.remove(ours)
        os.mkfifo(ours, 0o600)
        assert self.refused(folder) == "not_a_file"

    def test_a_socket(self, folder, ours, monkeypatch):
        os.remove(ours)
        monkeypatch.chdir(folder)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("a")
            assert self.refused(folder) == "not_a_file"

    def test_a_folder(self, folder, ours):
        os.remove(ours)
        os.mkdir(ours, 0o700)
        assert self.refused(folder) == "not_a_file"

    @needs_root
    def test_a_device(self, folder, ours):
        os.remove(ours)
        try:
            os.mknod(ours, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            os.close(os.open(ours, os.O_RDONLY))
        except PermissionError:
            pytest.skip("this container allows no devices")
        assert self.refused(folder) == "not_a_file"

    @needs_root
    def test_one_of_another_user(self, folder, ours):
        os.chown(ours, NOBODY, NOBODY)
        assert self.refused(folder) == "foreign_owner"

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o610])
    def test_one_that_others_could_read(self, folder, ours, mode):
        os.chmod(ours, mode)
        assert self.refused(folder) == "file_mode"
        assert mode_of(ours) == mode  # not hidden by mending it
        write_private_file(folder, "a", b"new")
        assert mode_of(ours) == 0o600

    def test_a_hard_link(self, folder, ours, tmp_path):
        os.link(ours, tmp_path / "b")
        assert self.refused(folder) == "hard_link"
        write_private_file(folder, "a", b"new")
        assert (tmp_path / "b").read_bytes() == b"secret"
        assert read_private_file(folder, "a") == b"new"

    def test_one_of_the_largest_size_is_read_and_a_larger_one_is_not(self, folder):
        write_private_file(folder, "a", b"x" * MAX_FILE_BYTES)
        assert len(read_private_file(folder, "a")) == MAX_FILE_BYTES
        write_private_file(folder, "a", b"x" * (MAX_FILE_BYTES + 1))
        with pytest.raises(CorruptEntry) as refused:
            read_private_file(folder, "a")
        assert refused.value.reason == "too_large"

    def test_one_that_we_may_not_open(self, nobodys_folder, without_privileges):
        def use():
            write_private_file(nobodys_folder, "a", b"old")
            os.chmod(os.path.join(nobodys_folder, "a"), 0)
            return code_of(read_private_file, nobodys_folder, "a")

        assert without_privileges(use) == repr("store: no_access")


class TestSettingAside:
    def test_the_content_is_kept_under_a_name_that_tells_the_time(self, folder):
        write_private_file(folder, "a", b"odd")
        aside = set_aside(folder, "a", now=1_795_300_000)
        assert aside.startswith("a.corrupt-20261121T222640Z-")
        assert read_private_file(folder, aside) == b"odd"
        assert list_private_files(folder) == [aside]
        assert original_name(aside) == "a"

    def test_only_the_newest_ten_are_kept(self, folder):
        write_private_file(folder, "b", b"")
        other = set_aside(folder, "b", now=0)
        for number in range(15):
            write_private_file(folder, "a", str(number).encode())
            set_aside(folder, "a", now=1_795_300_000 + number)
        kept = [name for name in list_private_files(folder) if original_name(name) == "a"]
        assert [read_private_file(folder, name) for name in kept] == [str(number).encode() for number in range(5, 15)]
        assert other in list_private_files(folder)

    def test_the_one_just_set_aside_is_kept_even_if_the_clock_went_back(self, folder):
        for number in range(12):
            write_private_file(folder, "a", b"")
            aside = set_aside(folder, "a", now=1_795_300_000 - number)
            assert aside in list_private_files(folder)

    def test_it_can_be_undone(self, folder):
        write_private_file(folder, "a", b"good")
        put_back(folder, set_aside(folder, "a", now=0), "a")
        assert list_private_files(folder) == ["a"]
        assert read_private_file(folder, "a") == b"good"

    def test_undoing_never_takes_the_place_of_a_newer_file(self, folder):
        write_private_file(folder, "a", b"old")
        aside = set_aside(folder, "a", now=0)
        write_private_file(folder, "a", b"new")
        put_back(folder, aside, "a")
        assert list_private_files(folder) == ["a"]
        assert read_private_file(folder, "a") == b"new"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "",
        ".",
        ".tmp",
        "a.corrupt-",
        "a.corrupt-20261121T222640Z-0123456g",
        "a.corrupt-20261121T222640Z-0123.json",
        ".a.0123456789abcdeg.tmp",
        "a.0123456789abcdef.tmp",
        ".a.0123456789abcdef.tmp.json",
    ],
)
def test_other_names_are_their_own(name):
    assert original_name(name) == name
