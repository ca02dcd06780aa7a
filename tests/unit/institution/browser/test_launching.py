"""What is refused before any browser starts; how one starts and ends is shown in tests/browser."""

from __future__ import annotations

import sys

import pytest

from doorward.errors import ConfigurationError, SignInError
from doorward.institution.browser.launching import check_display, check_playwright


def test_without_playwright_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'doorward\[browser\]'") as caught:
        check_playwright({})
    assert caught.value.reason == "playwright_missing"


@pytest.mark.parametrize(
    "environment",
    [
        {"DEBUG": "pw:protocol"},
        {"DEBUG": "a, pw:*"},
        {"DEBUG": "*,-pw:api"},
        {"DEBUG": "pw*"},
        {"DEBUG": "p*l"},
        {"DEBUGP": "1"},
        {"PWDEBUG": "console"},
    ],
)
def test_a_log_that_would_hold_cookies_is_refused_by_its_name(environment):
    with pytest.raises(ConfigurationError) as caught:
        check_playwright(environment)
    assert (caught.value.reason, caught.value.field) == ("playwright_debug", *environment)


@pytest.mark.parametrize("value", ["", "1", "true", "express:*,http", "-pw:*", "pwd:*,pwd"])
def test_the_logs_of_others_are_their_own(value):
    check_playwright({"DEBUG": value})


@pytest.mark.parametrize(
    ("platform", "environment"),
    [("linux", {"DISPLAY": ":0"}), ("linux", {"WAYLAND_DISPLAY": "wayland-0"}), ("darwin", {}), ("win32", {})],
)
def test_a_window_can_be_shown(platform, environment):
    check_display(environment, platform)


def test_a_window_can_be_shown_nowhere():
    with pytest.raises(SignInError, match="computer you sit at") as caught:
        check_display({"DISPLAY": ""}, "linux")
    assert caught.value.reason == "no_display"
