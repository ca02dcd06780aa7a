from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doorward.errors import ConfigurationError
from doorward.signin.browser import BrowserLaunch, NoBrowser, Surroundings, look_around, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://127.0.0.1:49152/start-link"
DISPLAY = {"DISPLAY": ":0"}
SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}

RECORD = 'printf "%s\\n" "$0" "$@" > "$OPENED"'


@pytest.fixture
def machine(tmp_path):
    """A machine with nothing on its PATH but the programs that a test puts there."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.opened = folder / "opened"

    def install(self, *names: str, script: str = RECORD) -> Machine:
        for name in names:
            program = self.programs / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        return self

    def open(self, environment: dict[str, str] | None = None, **surroundings) -> BrowserLaunch | NoBrowser:
        everything = {"PATH": str(self.programs), "OPENED": str(self.opened), **(environment or {})}
        return open_browser(
            URL, surroundings=Surroundings(**{"platform": "linux", **surroundings}, environment=everything)
        )

    def what_ran(self) -> list[str]:
        wait_until(lambda: self.opened.exists() and self.opened.read_text().endswith("\n"))
        program, *arguments = self.opened.read_text().splitlines()
        assert program.startswith(f"{self.programs}/")
        return [program.removeprefix(f"{self.programs}/"), *arguments]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestWhichBrowser:
    @pytest.mark.parametrize(
        ("installed", "surroundings", "ran"),
        [
            (["xdg-open", "gio", "firefox"], {"environment": DISPLAY}, ["xdg-open", URL]),
            (["xdg-open"], {"environment": {"WAYLAND_DISPLAY": "wayland-0"}}, ["xdg-open", URL]),
            (["gio", "firefox"], {"environment": DISPLAY}, ["gio", "open", URL]),
            (["w3m", "chromium", "firefox"], {"environment": DISPLAY}, ["firefox", URL]),
            (["xdg-open"], {"environment": DISPLAY | SSH}, ["xdg-open", URL]),
            (["xdg-open"], {"environment": DISPLAY, "container": True}, ["xdg-open", URL]),
            (["open", "xdg-open"], {"platform": "darwin"}, ["open", URL]),
            (["open", "xdg-open"], {"platform": "darwin", "environment": DISPLAY}, ["open", URL]),
            (["wslview", "powershell.exe", "xdg-open"], {"wsl": True, "environment": DISPLAY}, ["wslview", URL]),
            (
                ["powershell.exe"],
                {"wsl": True},
                ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", f"Start-Process '{URL}'"],
            ),
            (["xdg-open"], {"wsl": True, "environment": DISPLAY}, ["xdg-open", URL]),
        ],
    )
    def test_is_the_systems(self, machine, installed, surroundings, ran):
        machine.install(*installed)
        assert isinstance(machine.open(**surroundings), BrowserLaunch)
        assert machine.what_ran() == ran

    @pytest.mark.parametrize(
        ("choice", "ran"),
        [
            ("mine", ["mine", URL]),
            ("missing:mine", ["mine", URL]),
            ("lynx:w3m:www-browser:mine", ["mine", URL]),
            ("mine --new-window %s", ["mine", "--new-window", URL]),
            ("mine --app=%s &", ["mine", f"--app={URL}"]),
            ("'mine' --private", ["mine", "--private", URL]),
            ("'unclosed:mine", ["mine", URL]),
            ("::mine", ["mine", URL]),
            ("", ["xdg-open", URL]),
            ("lynx", ["xdg-open", URL]),
        ],
    )
    def test_is_the_one_that_browser_names(self, machine, choice, ran):
        machine.install("mine", "xdg-open", "lynx", "w3m", "www-browser")
        machine.open({**DISPLAY, "BROWSER": choice})
        assert machine.what_ran() == ran

    @pytest.mark.parametrize("environment", [{}, SSH, {"JUPYTERHUB_API_URL": "http://hub"}])
    def test_needs_no_display_where_browser_names_a_helper_of_an_editor(self, machine, environment):
        machine.install("helper.sh")
        machine.open({**environment, "BROWSER": "helper.sh"}, container=True)
        assert machine.what_ran() == ["helper.sh", URL]

    def test_is_not_a_graphical_one_without_a_display(self, machine):
        machine.install("firefox")
        assert machine.open({"BROWSER": "firefox"}).reason == "no_display"

    def test_is_never_in_text_mode_even_behind_another_name(self, machine):
        machine.install("w3m")
        (machine.programs / "mine").symlink_to("w3m")
        (machine.programs / "x-www-browser").symlink_to("w3m")
        assert machine.open({**DISPLAY, "BROWSER": "mine"}).reason == "no_browser"

    def test_xdg_open_is_kept_from_browsers_in_text_mode(self, machine):
        machine.install("xdg-open", script='printf "%s\\n" "$0" "$BROWSER" > "$OPENED"')
        machine.open({**DISPLAY, "BROWSER": "w3m"})
        _, choice = machine.what_ran()
        assert "firefox" in choice.split(":")
        assert not {"w3m", "lynx", "www-browser"} & set(choice.split(":"))

    def test_learns_no_secret_of_ours_and_all_else(self, machine):
        """Every program of this user can read the environment of a browser, for as long as it runs."""
        machine.install("mine", script='/usr/bin/env > "$OPENED"; echo >> "$OPENED"')
        ours = ("API_KEYS", "API_KEYS_DB", "API_KEY_PEPPER", "AUDIT_KEY", "CLIENT_SECRET",
                "INTROSPECTION_CLIENT_SECRET", "REVOCATIONS_DB")  # fmt: skip
        secrets = {f"{prefix}_{name}": "planted" for prefix in ("DOORWARD", "MYAPP") for name in ours}
        secrets |= {"DOORWARD_HOME": "planted", "doorward_client_secret": "planted"}
        machine.open({**secrets, "BROWSER": "mine", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/bus", "CLIENT": "kept"})
        wait_until(lambda: machine.opened.exists() and machine.opened.read_text().endswith("\n\n"))
        told = machine.opened.read_text()
        assert "planted" not in told
        assert "DBUS_SESSION_BUS_ADDRESS=unix:path=/bus\n" in told
        assert "CLIENT=kept\n" in told

    def test_is_the_next_where_one_can_not_be_started(self, machine):
        (machine.programs / "xdg-open").write_text("not a program")
        (machine.programs / "xdg-open").chmod(0o755)
        machine.install("firefox")
        machine.open(DISPLAY)
        assert machine.what_ran() == ["firefox", URL]


class TestWhyNot:
    @pytest.mark.parametrize(
        ("surroundings", "reason", "says"),
        [
            ({"environment": SSH}, "ssh", "ssh -L 49152:127.0.0.1:49152 HOST"),
            ({"environment": {"SSH_TTY": "/dev/pts/1"}, "container": True}, "ssh", "ssh -L"),
            ({"environment": SSH, "platform": "darwin"}, "ssh", "ssh -L"),
            ({"environment": SSH | DISPLAY, "platform": "darwin"}, "ssh", "ssh -L"),
            ({"environment": SSH, "wsl": True}, "ssh", "ssh -L"),
            ({"container": True}, "container", "your own computer"),
            ({}, "no_display", "DISPLAY"),
            ({"environment": {"DISPLAY": "", "WAYLAND_DISPLAY": ""}}, "no_display", "DISPLAY"),
            ({"environment": {"JUPYTERHUB_USER": "ada"} | DISPLAY}, "jupyter_remote", "notebook"),
        ],
    )
    def test_says_what_to_do_in_one_line(self, machine, surroundings, reason, says):
        machine.install("xdg-open", "open", "wslview", "firefox")
        why = machine.open(**surroundings)
        assert (why.reason, str(why)) == (reason, why.message)
        assert says in why.message
        assert why.message.isprintable()
        assert not machine.opened.exists()

    @pytest.mark.parametrize(
        ("surroundings", "reason", "says"),
        [
            ({"environment": DISPLAY}, "no_browser", "set BROWSER"),
            ({"platform": "darwin"}, "no_browser", "set BROWSER"),
            ({"wsl": True}, "wsl_without_browser", "wslu"),
        ],
    )
    def test_nothing_is_installed(self, machine, surroundings, reason, says):
        why = machine.open(**surroundings)
        assert why.reason == reason
        assert says in why.message

    def test_the_address_to_forward_is_the_one_that_is_held(self):
        surroundings = Surroundings(platform="linux", environment=SSH)
        why = open_browser("http://[::1]:8400/x", surroundings=surroundings)
        assert "ssh -L 8400:[::1]:8400 HOST" in why.message

    def test_the_surroundings_are_the_processs_own_unless_given(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("SSH_CONNECTION", SSH["SSH_CONNECTION"])
        assert open_browser(URL).reason == "ssh"

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "javascript:alert(1)", "--version", "https://", "https://a b", 'http://a"; calc"']
    )
    def test_what_is_not_a_web_address_is_refused(self, machine, url):
        machine.install("xdg-open")
        with pytest.raises(ConfigurationError) as refused:
            open_browser(url, surroundings=Surroundings(platform="linux", environment=DISPLAY))
        assert (refused.value.field, refused.value.reason) == ("url", "url_invalid")


class TestLaunch:
    def test_one_that_fails_is_reported(self, machine):
        launch = machine.install("xdg-open", script="exit 4").open(DISPLAY)
        wait_until(launch.failure)
        why = launch.failure()
        assert why.reason == "browser_failed"
        assert "xdg-open" in why.message

    def test_one_that_is_killed_is_reported(self, machine):
        launch = machine.install("xdg-open", script="kill -9 $$").open(DISPLAY)
        wait_until(launch.failure)

    def test_one_that_ends_well_is_not(self, machine):
        before = children()  # other tests' browsers, in the same process
        launch = machine.install("xdg-open").open(DISPLAY)
        machine.what_ran()
        wait_until(lambda: launch.failure() is None and children() <= before)
        assert launch.failure() is None

    def test_none_that_can_be_started_is_reported_at_once(self, machine):
        (machine.programs / "xdg-open").write_text("not a program")
        (machine.programs / "xdg-open").chmod(0o755)
        why = machine.open(DISPLAY)
        assert why.reason == "browser_failed"

    def test_is_in_a_session_of_its_own_without_our_terminal_and_descriptors(self, machine):
        script = f'"{sys.executable}" -c "{DESCRIBE}" > "$OPENED.part" && exec /bin/mv "$OPENED.part" "$OPENED"'
        with Path(os.devnull).open() as ours:
            os.set_inheritable(ours.fileno(), True)  # noqa: FBT003 - its signature
            machine.install("xdg-open", script=script).open(DISPLAY)
            wait_until(machine.opened.exists)
        session, *descriptors = machine.opened.read_text().split()
        assert int(session) != os.getsid(0)
        assert descriptors == ["0:/dev/null", "2:/dev/null"]

    def test_is_not_waited_for_and_left_running(self, machine):
        machine.install("xdg-open", script='echo $$ > "$OPENED"; exec /bin/sleep 60')
        started = time.monotonic()
        launch = machine.open(DISPLAY)
        assert launch.failure() is None
        assert time.monotonic() - started < 5
        wait_until(lambda: machine.opened.exists() and machine.opened.read_text())
        del launch
        process = int(machine.opened.read_text())
        assert process in children()
        os.kill(process, signal.SIGTERM)

    @pytest.mark.usefixtures("no_leaks")
    def test_those_that_have_ended_are_reaped_by_the_next(self, machine):
        before = children()
        machine.install("xdg-open", script="exit 0")
        for _ in range(5):
            machine.open(DISPLAY)

        def none_left() -> bool:
            machine.open({})
            return children() <= before

        wait_until(none_left)


# Standard output is the file that the description is written to.
DESCRIBE = (
    "import os; print(os.getsid(0), *(f'{n}:{os.readlink(p)}' for n in range(50) "
    "if n != 1 and os.path.exists(p := f'/proc/self/fd/{n}')))"
)


def children() -> set[int]:
    """Process ids of our children, living or zombies."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            process, _, rest = path.read_text().partition(" ")
            if int(rest.rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(process))
    return found


class TestLookAround:
    def test_a_plain_machine(self, tmp_path):
        surroundings = look_around({"DISPLAY": ":0"}, root=tmp_path)
        assert surroundings == Surroundings(sys.platform, {"DISPLAY": ":0"}, wsl=False, container=False)

    @pytest.mark.parametrize("marker", [".dockerenv", "run/.containerenv"])
    def test_a_container(self, tmp_path, marker):
        (tmp_path / marker).parent.mkdir(exist_ok=True)
        (tmp_path / marker).touch()
        kernel_says(tmp_path, "5.15.90.1-microsoft-standard-WSL2")
        assert look_around({}, root=tmp_path) == Surroundings(sys.platform, {}, wsl=False, container=True)

    def test_a_pod(self, tmp_path):
        assert look_around({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, root=tmp_path).container

    @pytest.mark.parametrize(
        ("kernel", "wsl"),
        [("5.15.90.1-microsoft-standard-WSL2", True), ("4.4.0-19041-Microsoft", True), ("6.1.0-18-amd64", False)],
    )
    def test_wsl(self, tmp_path, kernel, wsl):
        kernel_says(tmp_path, kernel)
        assert look_around({}, root=tmp_path).wsl is wsl

    def test_this_process(self, monkeypatch):
        monkeypatch.setenv("DISPLAY", ":7")
        assert look_around().environment["DISPLAY"] == ":7"

    def test_it_does_not_show_the_environment(self):
        assert "SECRET" not in repr(Surroundings("linux", {"TOKEN": "SECRET"}))


def kernel_says(root: Path, release: str) -> None:
    path = root / "proc/sys/kernel/osrelease"
    path.parent.mkdir(parents=True)
    path.write_text(release)
