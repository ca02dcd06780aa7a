"""Where things are."""

import os
import subprocess
import sys

import platformdirs
import pytest

from doorward.errors import ConfigurationError
from doorward.vault.folders import config_folder, data_folder, profile_file, unanswered_file, vault_folder


def test_the_environment_moves_everything(monkeypatch):
    monkeypatch.setenv("DOORWARD_HOME", "/srv/doorward/")
    assert (data_folder(), config_folder(), vault_folder()) == (
        "/srv/doorward",
        "/srv/doorward",
        "/srv/doorward/vault",
    )


@pytest.mark.parametrize("home", ["relative", "./x", "~/doorward", "\x1b[2J"])
def test_a_relative_home_is_refused_by_name(monkeypatch, home):
    monkeypatch.setenv("DOORWARD_HOME", home)
    for place in (data_folder, config_folder, vault_folder):
        with pytest.raises(ConfigurationError, match="absolute") as wrong:
            place()
        assert wrong.value.field == "DOORWARD_HOME"
        assert "\x1b" not in wrong.value.message


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/home/a"},
        {"HOME": "/home/a/"},
        {"HOME": "/home/a", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c/"},
        {"HOME": "/home/a", "XDG_DATA_HOME": "relative", "XDG_CONFIG_HOME": ""},
        {"HOME": ""},
        {"HOME": "relative"},
        {"HOME": "relative", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"},
        {},
    ],
)
def test_otherwise_the_folders_are_those_of_the_platform(monkeypatch, environment):
    for name in ("DOORWARD_HOME", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert data_folder().rstrip("/") == platformdirs.user_data_dir("doorward", appauthor=False).rstrip("/")
    assert config_folder().rstrip("/") == platformdirs.user_config_dir("doorward", appauthor=False).rstrip("/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a home folder")
def test_without_a_home_folder_the_error_names_the_setting(without_privileges, monkeypatch):
    for name in ("DOORWARD_HOME", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def ask():
        try:
            return data_folder()
        except ConfigurationError as error:
            return error.field, error.reason

    assert without_privileges(ask, user=4_294_000_000) == repr(("DOORWARD_HOME", "no_home"))


def test_the_usual_answer_needs_no_platformdirs():
    code = (
        "import sys; from doorward.vault.folders import vault_folder; vault_folder(); "
        "sys.exit(bool({'platformdirs', 'typing'} & set(sys.modules)))"
    )
    environment = {"HOME": "/home/a"}
    subprocess.run([sys.executable, "-c", code], check=sys.platform == "linux", env=environment, timeout=60)


@pytest.mark.parametrize("profile", ["a", "work", "W0rk", "9", "a" * 64, "alice@example.org", "a.b_c+d-e"])
def test_a_name_becomes_a_file(profile):
    assert profile_file(profile) == f"profile-{profile.lower()}.json"
    assert unanswered_file(profile) == f"unanswered-profile-{profile.lower()}.json"


@pytest.mark.parametrize(
    "profile",
    [
        "",
        "a" * 65,
        ".",
        "..",
        ".a",
        "-a",
        "../a",
        "a/b",
        "a\\b",
        "a b",
        "a\0",
        "a\n",
        "ä",
        "\u212a",
        "\u017f",
        "a:b",
        "a%2e",
        "\x1b[2J",
    ],
)
def test_any_other_name_is_refused(profile):
    with pytest.raises(ConfigurationError) as wrong:
        profile_file(profile)
    assert wrong.value.field == "profile"
    assert wrong.value.message.isprintable()
