"""Safe ranges, and institutions named in doorward.toml."""

import os
import tempfile
from pathlib import Path

import pytest

from doorward.errors import ConfigurationError
from doorward.institution.settings import InstitutionSettings, read_institutions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("poll_s", 0.19),
        ("poll_s", 11),
        ("page_timeout_s", 0),
        ("login_timeout_s", 4),
        ("login_timeout_s", 3601),
        ("session_max_age_h", 168.1),
        ("session_max_age_h", -1),
        ("session_cache_ttl_s", 901),
        ("human_check_wait_s", 0),
        ("poll_s", True),
        ("poll_s", "0.5"),
        ("poll_s", float("nan")),
        ("login_timeout_s", float("inf")),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=name) as wrong:
        InstitutionSettings(**{name: value})
    assert (wrong.value.field, wrong.value.reason) == (name, "out_of_range")


def test_the_edges_are_allowed():
    InstitutionSettings(poll_s=0.2, session_max_age_h=168, session_cache_ttl_s=900, patterns=("institution_auth_.*",))


@pytest.mark.parametrize("patterns", [(".*",), ("(a+)+",), ("",)])
def test_a_pattern_that_says_nothing_or_explodes_is_refused(patterns):
    with pytest.raises(ConfigurationError) as wrong:
        InstitutionSettings(patterns=patterns)
    assert wrong.value.field == "cookie_patterns"


@pytest.mark.parametrize("patterns", ["x_.*", ["x_.*"], (1,)])
def test_patterns_are_texts_in_a_tuple(patterns):
    with pytest.raises(ConfigurationError) as wrong:
        InstitutionSettings(patterns=patterns)
    assert (wrong.value.field, wrong.value.reason) == ("patterns", "wrong_value")


@pytest.fixture
def write(doorward_home):
    def write(text):
        doorward_home.mkdir(exist_ok=True)
        (doorward_home / "doorward.toml").write_text(text)

    return write


def test_no_file_means_no_institutions():
    assert read_institutions() == {}


def test_a_file_without_any_too(write):
    write("")
    assert read_institutions() == {}


def test_an_institution_has_a_name_a_place_and_settings(write):
    write("""
        [institutions.JCU]
        where = "jcu.edu.au"
        target = "https://publisher.example/paper"
        session_cache_ttl_s = 30
        patterns = ["institution_auth_.*"]
        [institutions.other]
        where = "https://portal.example"
    """)
    found = read_institutions()
    assert list(found) == ["jcu", "other"]
    assert (found["jcu"].name, found["jcu"].where) == ("JCU", "jcu.edu.au")
    assert found["jcu"].target == "https://publisher.example/paper"
    assert found["jcu"].settings == InstitutionSettings(session_cache_ttl_s=30, patterns=("institution_auth_.*",))
    assert found["other"].target is None


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("[", "doorward.toml", "toml_syntax"),
        ("x = '\ud800'".encode("utf-8", "surrogatepass"), "doorward.toml", "toml_syntax"),
        ("[institution.jcu]\nwhere = 'a'", "institution", "unknown_setting"),
        ("institutions = 1", "institutions", "not_a_table"),
        ("[institutions]\njcu = 'jcu.edu.au'", "institutions.jcu", "not_a_table"),
        ("[institutions.jcu]", "institutions.jcu.where", "missing_setting"),
        ("[institutions.jcu]\nwhere = 1", "institutions.jcu.where", "missing_setting"),
        ("[institutions.jcu]\nwhere = 'a'\ntarget = 1", "institutions.jcu.target", "wrong_value"),
        ("[institutions.jcu]\nwhere = 'a'\npol_s = 1", "institutions.jcu.pol_s", "unknown_setting"),
        ("[institutions.jcu]\nwhere = 'a'\npoll_s = 0.1", "institutions.jcu.poll_s", "out_of_range"),
        ("[institutions.jcu]\nwhere = 'a'\npatterns = 'x'", "institutions.jcu.patterns", "wrong_value"),
        ("[institutions.jcu]\nwhere = 'a'\npatterns = [1]", "institutions.jcu.patterns", "wrong_value"),
        ("[institutions.jcu]\nwhere='a'\n[institutions.JCU]\nwhere='a'", "institutions.JCU", "given_twice"),
        ("[institutions.'../x']\nwhere='a'", "institution", "institution_name"),
        ("#" + " " * 1_100_000, "doorward.toml", "file_unreadable"),
    ],
)
def test_a_mistake_is_named_by_its_place(doorward_home, text, field, reason):
    doorward_home.mkdir()
    (doorward_home / "doorward.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as wrong:
        read_institutions()
    assert (wrong.value.field, wrong.value.reason) == (field, reason)


def test_what_is_misspelt_is_guessed(write):
    write("[institutions.jcu]\nwhere = 'a'\nlogin_timeout = 10")
    with pytest.raises(ConfigurationError, match="did you mean login_timeout_s"):
        read_institutions()


def test_a_folder_in_place_of_the_file_is_told(doorward_home):
    (doorward_home / "doorward.toml").mkdir(parents=True)
    with pytest.raises(ConfigurationError) as wrong:
        read_institutions()
    assert wrong.value.reason in {"file_unreadable", "not_a_file"}


NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def give_away(path):
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


class TestWhoseFile:
    """Whoever can write doorward.toml says where a person types their password."""

    @pytest.fixture
    def file(self, doorward_home, write):
        write("[institutions.jcu]\nwhere = 'jcu.edu.au'")
        return doorward_home / "doorward.toml"

    def link(self, file):
        kept = file.with_name("kept.toml")
        file.rename(kept)
        file.symlink_to(kept.name)
        return kept

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o444])
    def test_one_that_others_may_read_is_taken(self, file, mode):
        file.chmod(mode)
        assert list(read_institutions()) == ["jcu"]

    def test_so_is_one_of_ours_behind_a_link_of_ours(self, file):
        """Programs that keep people's settings make such links."""
        self.link(file)
        assert list(read_institutions()) == ["jcu"]

    @needs_root
    def test_so_is_roots_of_a_team(self, monkeypatch):
        with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
            Path(folder).chmod(0o755)
            file = Path(folder, "doorward.toml")
            file.write_text("[institutions.jcu]\nwhere = 'jcu.edu.au'")
            file.chmod(0o644)
            monkeypatch.setenv("DOORWARD_HOME", folder)
            os.seteuid(NOBODY)
            try:
                assert list(read_institutions()) == ["jcu"]
            finally:
                os.seteuid(0)

    @pytest.mark.parametrize("mode", [0o602, 0o646, 0o666])
    def test_one_that_everybody_may_write_is_refused(self, file, mode):
        file.chmod(mode)
        self.refused("file_mode")

    @needs_root
    def test_one_that_a_group_may_write_is_refused(self, file):
        file.chmod(0o664)
        os.chown(file, 0, 4711)
        self.refused("file_mode")

    def test_a_group_with_its_users_number_is_nobody_else(self, file):
        """Where each user has a group alone, umask 002 is the custom."""
        file.chmod(0o664)
        if file.stat().st_uid != file.stat().st_gid:
            pytest.skip("this user's group has another number")
        assert list(read_institutions()) == ["jcu"]

    @needs_root
    @pytest.mark.parametrize("foreign", ["file", "folder", "link", "what the link leads to"])
    def test_one_of_another_user_is_refused(self, file, doorward_home, foreign):
        kept = self.link(file) if "link" in foreign else file
        give_away({"file": file, "folder": doorward_home, "link": file}.get(foreign, kept))
        self.refused("foreign_owner")

    def refused(self, reason):
        with pytest.raises(ConfigurationError, match=r"doorward\.toml") as refused:
            read_institutions()
        assert refused.value.reason == reason
