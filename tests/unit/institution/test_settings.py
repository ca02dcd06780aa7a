"""Safe ranges, and institutions named in doorward.toml."""

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
    assert wrong.value.reason == "file_unreadable"
