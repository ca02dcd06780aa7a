"""``doorward institution`` as people and scripts meet it: real processes, a real service over TLS."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loopback_https import Answer, Server, html_page, redirect

from doorward.model import Secret
from doorward.vault.institution_entries import InstitutionEntry, KeptCookie
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loopback_https import Request

DOORWARD = Path(sys.executable).with_name("doorward")
DEADLINE_S = 60.0
PLANTED = "PLANTED-cookie"


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [DOORWARD, "institution", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert PLANTED not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


class Service:
    def __init__(self, certificate: Any, key: Any) -> None:
        self.alive = True
        self.broken = False
        self._server = Server(self._answer, certificate, key)
        self.close = self._server.close
        self.target = f"https://sp.localhost:{self._server.port}/paper.pdf"

    def _answer(self, request: Request) -> Answer:
        if self.broken:
            return Answer(503)
        if request.path == "/Shibboleth.sso/Logout":
            self.alive = False
            return html_page("Logged out")
        if self.alive and PLANTED in request.cookie:
            return Answer(200, [("Content-Type", "application/pdf")], b"%PDF-")
        return redirect("https://idp.localhost/sso?SAMLRequest=x")


@pytest.fixture
def service(test_ca: Any, trust_test_ca: None) -> Iterator[Service]:
    with contextlib.closing(Service(test_ca.certificate, test_ca.key)) as made:
        yield made


def keep(service: Service, name: str = "uni") -> None:
    now = time.time()
    cookie = KeptCookie(name="_shibsession_1", value=Secret(PLANTED), domain="sp.localhost", secure=True)
    Vault().institutions.put(
        InstitutionEntry(
            name=name,
            where="university.example",
            institution_url="https://go.openathens.net/redirector/university.example",
            target=service.target,
            user_agent="Mozilla/5.0",
            signed_in_at=now - 7200,
            created_at=now - 7200,
            proven_at=now - 60,
            cookies=(cookie,),
        )
    )


def test_nobody_is_signed_in() -> None:
    for command in ("status", "list", "logout"):
        done = cli(command)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Nobody is signed in at an institution.")
        assert json_of(cli(command, "--json")) == []


def test_status_asks_the_service(service: Service) -> None:
    keep(service)
    done = cli("status", "UNI")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "UNI: valid. The service showed the page, as to somebody who is signed in.\n"
    service.alive = False
    done = cli("status")
    assert done.returncode == 3
    assert done.stdout.endswith(" Sign in again with: doorward institution login uni\n")
    (told,) = json_of(cli("status", "--json"))
    assert (told["institution"], told["state"], told["reason"]) == ("uni", "expired", "sent_to_login")
    service.broken = True
    done = cli("status")
    assert done.returncode == 4
    assert "unknown" in done.stdout


def test_status_where_nobody_signed_in_yet(doorward_home: Path) -> None:
    doorward_home.mkdir()
    (doorward_home / "doorward.toml").write_text('[institutions.Other]\nwhere = "other.example"\n')
    done = cli("status", "other")
    assert done.returncode == 3
    assert done.stdout == "other: nobody is signed in. Sign in with: doorward institution login other\n"


def test_the_help_says_what_each_command_does() -> None:
    assert "..." not in cli("--help").stdout.partition("Commands:")[2]


def test_status_of_several_is_the_worst(service: Service) -> None:
    keep(service)
    entry = Vault().institutions.get("uni")
    assert entry is not None
    Vault().institutions.put(InstitutionEntry.from_json({**entry.to_json(), "name": "other", "cookies": []}))
    done = cli("status")
    assert done.returncode == 3
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["other", "uni"]


def test_a_name_that_nobody_knows(service: Service) -> None:
    done = cli("status", "nowhere")
    assert done.returncode == 3
    assert "No institution is called 'nowhere'" in done.stderr


def test_after_a_logout_there_is_nothing_to_ask_about(service: Service) -> None:
    keep(service)
    assert cli("logout", "uni").returncode == 0
    assert cli("status", "uni").returncode == 3
    again = cli("logout", "uni")
    assert (again.returncode, again.stdout) == (0, "Nobody is signed in at uni.\n")


def test_list_shows_what_is_held_and_what_is_named(service: Service, doorward_home: Path) -> None:
    keep(service)
    (doorward_home / "doorward.toml").write_text('[institutions.Other]\nwhere = "other.example"\n')
    done = cli("list")
    assert done.returncode == 0
    header, other, uni = done.stdout.splitlines()
    assert header.split() == ["NAME", "SIGNED", "IN", "LAST", "PROVEN", "WHERE"]
    assert other.split() == ["Other", "no", "other.example"]
    assert uni.split() == ["uni", "2", "h", "ago", "1", "min", "ago", "university.example"]
    listed = json_of(cli("list", "--json"))
    assert [each["signed_in"] for each in listed] == [False, True]
    assert listed[1]["target"] == service.target


def test_a_tampered_file_is_told_and_hides_no_other(service: Service, doorward_home: Path) -> None:
    keep(service)
    keep(service, "bad")
    (doorward_home / "vault" / "institution-bad.json").write_text(f'["{PLANTED}"]')
    done = cli("list")
    assert done.returncode == 0
    assert "uni" in done.stdout
    assert "set aside" in done.stdout
    assert sorted(each.name.partition(".json")[2][:9] for each in (doorward_home / "vault").iterdir()) == [
        "",
        ".corrupt-",
    ]


def spoil(home: Path, name: str) -> Path:
    """Make the entry of an institution one that nobody can read, its cookies still in it."""
    file = home / "vault" / f"institution-{name}.json"
    file.write_text(file.read_text()[:-1])
    return file


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_a_corrupt_institution_hides_none_from_status(service: Service, doorward_home: Path, name: str) -> None:
    keep(service)
    keep(service, name)
    spoil(doorward_home, name)
    done = cli("status", "--json")
    told = {each["institution"]: (each["state"], each["reason"]) for each in json_of(done)}
    assert (done.returncode, told) == (3, {"uni": ("valid", "target_shown"), name: ("expired", "tampered")})


@pytest.mark.parametrize("is_told_of", [False, True], ids=["found at the sign-out", "set aside before"])
@pytest.mark.parametrize("arguments", [("--all",), ("bad",)])
def test_signing_out_forgets_a_corrupt_institution(
    service: Service, doorward_home: Path, arguments: tuple[str, ...], *, is_told_of: bool
) -> None:
    keep(service)
    keep(service, "bad")
    spoil(doorward_home, "bad")
    if is_told_of:
        cli("status")
        assert [PLANTED in each.read_text() for each in (doorward_home / "vault").glob("*.corrupt-*")] == [True]
    done = cli("logout", *arguments)
    assert done.returncode == 1
    assert "bad is removed here. What was left of it could not be used" in done.stdout
    left = Vault().institutions.names()
    assert left == ([] if arguments == ("--all",) else ["uni"])
    assert [each.name for each in (doorward_home / "vault").iterdir()] == [f"institution-{name}.json" for name in left]


def test_signing_out_needs_no_settings_that_can_be_read(service: Service, doorward_home: Path) -> None:
    keep(service)
    (doorward_home / "doorward.toml").write_text("[institutions")
    done = cli("logout", "--all")
    assert done.returncode == 1
    assert "not valid TOML" in done.stdout
    assert list((doorward_home / "vault").iterdir()) == []


def test_logout_ends_it_here_and_there(service: Service) -> None:
    keep(service)
    done = cli("logout")
    assert (done.returncode, done.stdout) == (0, "Signed out of uni: ended at the service, and removed here.\n")
    assert not service.alive
    assert Vault().institutions.names() == []


def test_logout_says_where_it_could_not(service: Service) -> None:
    keep(service)
    service.broken = True
    (told,) = json_of(done := cli("logout", "uni", "--json"))
    assert done.returncode == 1
    assert (told["removed"], told["signed_out"]) == (True, False)
    assert Vault().institutions.names() == []


def test_logout_of_several_wants_a_name(service: Service) -> None:
    keep(service)
    keep(service, "other")
    done = cli("logout")
    assert done.returncode == 2
    assert "other, uni" in done.stderr
    assert cli("logout", "--all").returncode == 0
    assert Vault().institutions.names() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("login", "jcu.edu.au"), "Give a --target"),
        (("login", "http://portal.example"), "https"),
        (("login", ""), "empty"),
        (("login", "jcu.edu.au", "--target", "http://a.example"), "https"),
        (("login", "jcu.edu.au", "--name", "../x"), "can't be the name"),
        (("login",), "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: tuple[str, ...], said: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Opening" not in done.stderr


def test_a_setting_out_of_range_is_told_by_its_place(doorward_home: Path) -> None:
    doorward_home.mkdir()
    (doorward_home / "doorward.toml").write_text('[institutions.jcu]\nwhere = "jcu.edu.au"\npoll_s = 0.1\n')
    done = cli("login", "jcu")
    assert done.returncode == 2
    assert "[institutions.jcu]: poll_s must be a number from 0.2 to 10" in done.stderr


def test_a_target_that_is_open_to_all_is_told_before_a_window_opens(service: Service) -> None:
    open_to_all = service.target.replace("/paper.pdf", "/Shibboleth.sso/Logout?target=x")
    done = cli("login", "jcu.edu.au", "--target", open_to_all)
    assert done.returncode == 2
    assert f"{open_to_all} shows itself without a sign-in" in done.stderr
    assert "Give another --target" in done.stderr


def test_without_a_display_it_says_what_to_do(service: Service) -> None:
    done = cli("login", "jcu.edu.au", "--target", service.target, "--json")
    assert done.returncode in {1, 2}
    assert json_of(done)["error"]["reason"] in {"no_display", "no_browser", "playwright_missing"}
