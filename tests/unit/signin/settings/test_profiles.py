"""Profiles that doorward.toml names."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import doorward
from doorward.errors import ConfigurationError
from doorward.signin.settings.profiles import read_profile, read_profiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = "[profiles.Work]\nissuer = 'https://id.example.org'\nclient_id = 'cli'\n"


@pytest.fixture
def write(doorward_home: Path) -> Callable[[str], None]:
    def do(text: str) -> None:
        doorward_home.mkdir(exist_ok=True)
        (doorward_home / "doorward.toml").write_text(text)

    return do


def test_no_file_names_none() -> None:
    assert read_profiles() == {}


def test_a_profile_gives_keywords_of_sign_in(write: Callable[[str], None]) -> None:
    write(
        HEAD
        + """
        scopes = ["openid"]
        audience = "api"
        resource = "https://api.example.org"
        mode = "device"
        ports = [8400]
        redirect_uri = "http://localhost/callback"
        timeout_s = 60
        max_age_s = 3600
        secret_method = "client_secret_post"
        insecure_loopback_http = true
        confidential = true
        origins = ["https://git.example.org", "http://127.0.0.1:8000"]
        basic_username = "me"
        [institutions.jcu]
        where = "jcu.edu.au"
        """
    )
    named = read_profile("work")
    assert (named.name, named.confidential) == ("Work", True)
    assert named.keywords["scopes"] == ("openid",)
    assert named.keywords["ports"] == (8400,)
    assert sorted(map(str, named.origins)) == ["http://127.0.0.1:8000", "https://git.example.org"]
    assert named.basic_username == "me"
    assert set(named.keywords) <= set(inspect.signature(doorward.sign_in).parameters)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("profiles = 1", "profiles", "not_a_table"),
        ("[profiles]\nwork = 1", "profiles.work", "not_a_table"),
        ("[profile.work]", "profile", "unknown_setting"),
        ("[profiles.work]\nclient_id = 'cli'", "profiles.work.issuer", "missing_setting"),
        ("[profiles.work]\nissuer = 'https://id.example.org'", "profiles.work.client_id", "missing_setting"),
        (HEAD + "client_secret = 'x'", "profiles.Work.client_secret", "secret_in_settings"),
        (HEAD + "client_key = 'x'", "profiles.Work.client_key", "secret_in_settings"),
        (HEAD + "scope = ['openid']", "profiles.Work.scope", "unknown_setting"),
        (HEAD + "scopes = 'openid'", "profiles.Work.scopes", "wrong_value"),
        (HEAD + "scopes = ['']", "profiles.Work.scopes", "wrong_value"),
        (HEAD + "audience = 1", "profiles.Work.audience", "wrong_value"),
        (HEAD + "audience = ''", "profiles.Work.audience", "wrong_value"),
        (HEAD + "ports = 8400", "profiles.Work.ports", "wrong_value"),
        (HEAD + "ports = [true]", "profiles.Work.ports", "wrong_value"),
        (HEAD + "timeout_s = true", "profiles.Work.timeout_s", "wrong_value"),
        (HEAD + "max_age_s = 1.5", "profiles.Work.max_age_s", "wrong_value"),
        (HEAD + "origins = 'https://git.example.org'", "profiles.Work.origins", "wrong_value"),
        (HEAD + "origins = ['git.example.org']", "profiles.Work.origins", "no_host"),
        (HEAD + "origins = ['http://127.0.0.1']", "profiles.Work.origins", "not_https"),  # signed in by https
        (HEAD + "origins = ['https://*.example.org']", "profiles.Work.origins", "wildcard"),
        (HEAD + "basic_username = 'a:b'", "profiles.Work.basic_username", "wrong_value"),
        (HEAD + "basic_username = 'a b'", "profiles.Work.basic_username", "wrong_value"),
        (HEAD + "confidential = 'yes'", "profiles.Work.confidential", "wrong_value"),
        (HEAD + HEAD.replace("Work", "WORK"), "profiles.WORK", "given_twice"),
        (HEAD.replace("Work", "'../x'"), "profile", "profile_name"),
    ],
)
def test_a_mistake_is_named_by_its_place(write: Callable[[str], None], text: str, place: str, reason: str) -> None:
    write(text)
    with pytest.raises(ConfigurationError) as wrong:
        read_profiles()
    assert (wrong.value.field, wrong.value.reason) == (place, reason)


def test_a_secret_is_not_repeated_and_its_place_is_told(write: Callable[[str], None]) -> None:
    write(HEAD + "client_secret = 'planted'")
    with pytest.raises(ConfigurationError, match="doorward secret set") as wrong:
        read_profiles()
    assert "planted" not in wrong.value.message


@pytest.mark.parametrize(("name", "told"), [("wrok", "Did you mean work?"), ("zzz", "Known: work.")])
def test_a_name_that_is_not_there_is_told_what_is(write: Callable[[str], None], name: str, told: str) -> None:
    write(HEAD)
    with pytest.raises(ConfigurationError, match="is none of the profiles") as wrong:
        read_profile(name)
    assert told in wrong.value.message


@pytest.mark.parametrize(
    ("arguments", "field"), [({"client_id": "cli"}, "issuer"), ({"issuer": "https://id.example.org"}, "client_id")]
)
def test_half_a_client_is_none(arguments: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigurationError, match="is missing") as wrong:
        doorward.sign_in(**arguments)
    assert wrong.value.field == field
