"""Finding the person's browser, on each system (I5)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from doorward.errors import ConfigurationError
from doorward.institution.browser import installed
from doorward.institution.browser.installed import InstalledBrowser, find_browser


@pytest.fixture
def programs(tmp_path):
    """Makes programs in a folder, which is the PATH."""

    def make(*names: str) -> dict[str, str]:
        for name in names:
            (tmp_path / name).touch(mode=0o755)
        return {"PATH": str(tmp_path)}

    return make


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["chromium"], "Chromium"),
        (["chromium-browser", "microsoft-edge"], "Microsoft Edge"),
        (["chromium", "microsoft-edge-stable", "google-chrome-stable"], "Google Chrome"),
    ],
)
def test_the_persons_own_is_found_in_this_order(programs, names, found):
    assert find_browser(programs(*names), platform="linux").name == found


def test_on_macos_the_applications_of_the_person_count_too(tmp_path):
    program = tmp_path / "Applications/Chromium.app/Contents/MacOS/Chromium"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    environment = {"HOME": str(tmp_path), "PATH": ""}
    assert find_browser(environment, platform="darwin") == InstalledBrowser(str(program), "Chromium")


def test_on_windows_it_is_looked_for_where_it_is_installed(monkeypatch):
    asked = []
    monkeypatch.setattr(installed.shutil, "which", lambda name, **_: asked.append(name))  # no Windows here
    with pytest.raises(ConfigurationError, match="Microsoft Edge is usually there"):
        find_browser({"PROGRAMFILES": r"C:\Program Files", "LOCALAPPDATA": r"C:\Users\a\AppData"}, platform="win32")
    assert asked[0] == r"C:\Program Files\Google\Chrome\Application\chrome.exe"
    assert r"C:\Program Files\Microsoft\Edge\Application\msedge.exe" in asked
    assert r"C:\Users\a\AppData\Chromium\Application\chrome.exe" in asked


@pytest.mark.parametrize(("platform", "how"), [("linux", "apt install chromium"), ("darwin", "Applications")])
def test_without_any_the_error_says_how_to_get_one(platform, how, monkeypatch):
    monkeypatch.setattr(installed, "_LINUX", (("Chromium", ("chromium",)),))
    with pytest.raises(ConfigurationError, match=how) as caught:
        find_browser({"PATH": "/nowhere", "HOME": "/nowhere"}, platform=platform)
    assert (caught.value.reason, caught.value.field) == ("no_browser", "browser")


@pytest.mark.parametrize("how", ["name", "path", "home"])
def test_the_one_that_is_chosen_is_taken(programs, tmp_path, monkeypatch, how):
    environment = programs("chromium", "my-chrome")
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = {"name": "my-chrome", "path": str(tmp_path / "my-chrome"), "home": "~/my-chrome"}[how]
    found = find_browser({**environment, "DOORWARD_BROWSER": chosen}, platform="linux")
    assert found == InstalledBrowser(str(tmp_path / "my-chrome"), "my-chrome")


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ("no-such-browser", "browser_not_found"),
        ("/etc/passwd", "browser_not_found"),
        ("firefox", "browser_unsupported"),
        ("/usr/bin/firefox-esr", "browser_unsupported"),
    ],
)
def test_a_choice_that_can_not_be_is_named(programs, chosen, reason):
    with pytest.raises(ConfigurationError) as caught:
        find_browser({**programs("chromium"), "DOORWARD_BROWSER": chosen}, platform="linux")
    assert (caught.value.reason, caught.value.field) == (reason, "DOORWARD_BROWSER")


def test_an_empty_choice_is_none(programs):
    assert find_browser({**programs("chromium"), "DOORWARD_BROWSER": " "}, platform="linux").name == "Chromium"


def test_the_environment_is_that_of_the_process_by_default(programs, monkeypatch):
    monkeypatch.setenv("PATH", programs("google-chrome")["PATH"])
    assert find_browser(platform="linux").name == "Google Chrome"
    assert Path(os.environ["PATH"], "google-chrome").samefile(shutil.which("google-chrome"))
