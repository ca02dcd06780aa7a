"""The command line as people and scripts meet it: real processes, a real issuer, real terminals."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import DEADLINE_S, DOORWARD, doorward_cli
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from people import last_address
from terminal import Terminal

import doorward
from doorward.protocol.jwk import generate_signing_key
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.testing import DevIssuer

LOOPBACK = "--insecure-loopback-http"
ESCAPE = "\x1b"
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}")


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def login(issuer: DevIssuer, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return doorward_cli("login", issuer.url, "--client-id", "cli", LOOPBACK, *arguments, **environment)


def change_entry(profile: str = "default", **fields: Any) -> None:
    vault = Vault()
    entry = vault.get(profile)
    assert entry is not None
    vault.put(dataclasses.replace(entry, **fields))


def expire_access_token(profile: str = "default") -> None:
    now = time.time()
    change_entry(profile, access_token_issued_at=now - 7200, access_token_expires_at=now - 3600)


@pytest.fixture
def signed_in(issuer: DevIssuer, person: Path) -> DevIssuer:
    """Alice has signed in as profile ``default``."""
    done = login(issuer)
    assert done.returncode == 0, done.stderr
    return issuer


@pytest.mark.usefixtures("person")
class TestLogin:
    def test_ends_in_one_line_on_standard_output(self, issuer: DevIssuer) -> None:
        done = login(issuer, "--profile", "work")

        assert done.stdout == (
            f"Signed in as alice@example.org at {issuer.url} (profile work). The session renews itself.\n"
        )
        assert done.returncode == 0
        assert f"{issuer.url}/authorize?" in done.stderr, "the address, in case no window came up"
        assert "Waiting for you in the browser, for 5 min at most" in done.stderr

    def test_json_describes_the_session_without_a_token(self, issuer: DevIssuer) -> None:
        done = login(issuer, "--json")

        described = json_of(done)
        assert described["profile"] == "default"
        assert described["issuer"] == issuer.url
        assert (described["subject"], described["email"]) == ("alice", "alice@example.org")
        assert described["email_verified"] is described["renews_itself"] is True
        assert described["sign_in_needed"] is False
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", described["access_token_expires_at"])
        assert not TOKEN.search(done.stdout + done.stderr)

    def test_asks_for_what_the_options_say(self, issuer: DevIssuer) -> None:
        done = login(
            issuer, "--scope", "openid", "--scope", "notes", "--audience", "api", "--resource", "https://api.example.org",
            "--redirect-uri", "http://127.0.0.1/back", "--max-age", "60",
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        for asked in ("scope=openid+notes", "audience=api", "resource=https%3A", "max_age=60", "%2Fback&"):
            assert asked in done.stderr
        assert "does not renew itself" in done.stdout, "offline_access was not asked for"

    def test_asks_the_provider_what_the_person_wishes(self, issuer: DevIssuer) -> None:
        done = login(
            issuer, "--prompt", "select_account login", "--login-hint", "alice@example.org", "--acr-values", "gold",
            "--ui-locales", "de en", "--parameter", "kc_idp_hint=github", "--parameter", 'claims={"a": "b=c"}',
            "--provider", "gitlab",
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        for asked in ("prompt=select_account+login", "login_hint=alice%40", "acr_values=gold", "ui_locales=de+en"):
            assert asked in done.stderr
        assert "kc_idp_hint=github" in done.stderr
        assert "b%3Dc" in done.stderr

        again = doorward_cli("login")
        assert "prompt=" not in again.stderr, "what was asked of the provider was for once"
        assert Vault().get("default").provider == "gitlab"

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--parameter", "hd"), "--parameter is NAME=VALUE"),
            (("--parameter", "hd=a", "--parameter", "hd=b"), "--parameter"),
            (("--parameter", "scope=x"), "--parameter can't hold scope"),
            (("--parameter", "prompt=login", "--prompt", "login"), "given twice"),
            (("--prompt", "none login"), "can't stand beside"),
            (("--provider", "gitlub"), "gitlab"),
            (("--max-age", "-1"), "--max-age must be"),
        ],
    )
    def test_what_can_not_be_asked_is_said_in_the_words_typed(
        self, issuer: DevIssuer, options: tuple[str, ...], says: str
    ) -> None:
        done = login(issuer, *options)
        assert done.returncode == 2
        assert says in " ".join(done.stderr.split())
        assert issuer.requests == ()

    def test_again_without_arguments_is_as_before(self, issuer: DevIssuer) -> None:
        login(issuer, "--audience", "api", "--redirect-uri", "http://127.0.0.1/back")

        done = doorward_cli("login")

        assert done.returncode == 0, done.stderr
        assert "audience=api" in done.stderr
        assert "%2Fback&" in done.stderr

    def test_again_for_another_client_keeps_the_rest(self, issuer: DevIssuer) -> None:
        login(issuer, "--audience", "api")
        issuer.add_client("other")

        assert doorward_cli("login", "--client-id", "other").returncode == 0
        entry = Vault().get("default")
        assert entry is not None
        assert (entry.client_id, entry.audience) == ("other", "api")

    def test_a_new_profile_needs_issuer_and_client(self, issuer: DevIssuer) -> None:
        done = doorward_cli("login", "--json", "--profile", "new")
        assert done.returncode == 2
        assert json_of(done)["error"]["reason"] == "unknown_profile"

        login(issuer)
        done = doorward_cli("login", "https://other.example.org", "--json")
        assert done.returncode == 2
        assert json_of(done)["error"]["reason"] == "other_issuer"

    def test_a_secret_comes_from_the_environment_and_stays_out_of_sight(
        self, issuer: DevIssuer, doorward_home: Path
    ) -> None:
        issuer.add_client("web", secret="planted-secret")
        arguments = ("login", issuer.url, "--client-id", "web", LOOPBACK, "--confidential")

        done = doorward_cli(*arguments, DOORWARD_CLIENT_SECRET="planted-secret")

        assert done.returncode == 0, done.stderr
        assert "planted-secret" not in done.stdout + done.stderr
        assert not [path for path in doorward_home.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]
        again = doorward_cli("login", DOORWARD_CLIENT_SECRET="planted-secret")
        assert again.returncode == 0, "a confidential client is remembered as one"

    def test_a_secret_is_sent_the_one_way_the_client_is_registered_for(self, issuer: DevIssuer) -> None:
        issuer.add_client("web", secret="planted-secret", methods=["client_secret_post"])
        arguments = ("login", issuer.url, "--client-id", "web", LOOPBACK, "--secret-method", "post")
        assert doorward_cli(*arguments, DOORWARD_CLIENT_SECRET="planted-secret").returncode == 0
        assert doorward_cli("login", DOORWARD_CLIENT_SECRET="planted-secret").returncode == 0, "and remembered"

    def test_a_missing_secret_is_asked_for_on_a_terminal_and_not_shown(self, issuer: DevIssuer) -> None:
        issuer.add_client("web", secret="planted-secret")
        arguments = ("login", issuer.url, "--client-id", "web", LOOPBACK, "--confidential")

        done = doorward_cli(*arguments)
        assert done.returncode == 2
        assert "DOORWARD_CLIENT_SECRET" in done.stderr

        with Terminal(*arguments) as terminal:
            terminal.wait_for("Secret of client web")
            terminal.type("planted-secret\n")
            shown = terminal.rest()
        assert terminal.process.returncode == 0, shown
        assert "planted-secret" not in shown

    def test_a_client_that_signs_takes_its_key_from_a_file(self, issuer: DevIssuer, tmp_path: Path) -> None:
        key = generate_signing_key("ES256", kid="k1")
        issuer.add_client("signer", jwks=json.dumps({"keys": [key.public_jwk()]}).encode())
        pem = tmp_path / "key.pem"
        pem.write_bytes(_pem(key))
        environment = {
            "DOORWARD_CLIENT_KEY_FILE": str(pem),
            "DOORWARD_CLIENT_KEY_ALG": "ES256",
            "DOORWARD_CLIENT_KEY_ID": "k1",
        }

        done = doorward_cli("login", issuer.url, "--client-id", "signer", LOOPBACK, **environment)
        assert done.returncode == 0, done.stderr

        expire_access_token()
        assert doorward_cli("token").returncode == 2, "a refresh is signed too"
        assert doorward_cli("token", **environment).returncode == 0
        pem.unlink()
        done = doorward_cli("login", "--json", **environment)
        assert (done.returncode, json_of(done)["error"]["reason"]) == (2, "client_key_unreadable")

    def test_a_no_is_an_answer(self, issuer: DevIssuer) -> None:
        issuer.deny()

        done = login(issuer)

        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith("doorward: ")
        assert "Traceback" not in done.stderr

    def test_an_issuer_out_of_reach_is_unavailable(self) -> None:
        done = doorward_cli("login", "http://127.0.0.1:9", "--client-id", "cli", LOOPBACK, "--json")

        assert done.returncode == 4
        assert json_of(done)["error"]["code"] == "transport"

    def test_nobody_in_the_browser_ends_in_time(self, issuer: DevIssuer) -> None:
        done = login(issuer, "--timeout", "1", "--json", BROWSER="true")

        assert done.returncode == 1
        assert json_of(done)["error"]["code"] == "sign_in_timeout"

    def test_without_browser_and_terminal_a_person_is_needed(self, issuer: DevIssuer) -> None:
        done = login(issuer, BROWSER="false", SSH_CONNECTION="192.0.2.1 1 192.0.2.2 22")

        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith("doorward: ")

    def test_without_a_browser_the_last_address_can_be_pasted(self, issuer: DevIssuer) -> None:
        with Terminal("login", issuer.url, "--client-id", "cli", LOOPBACK, BROWSER="false", columns=2000) as terminal:
            address = terminal.wait_for(rf"{re.escape(issuer.url)}/authorize\S+")[0]
            terminal.wait_for("Waiting for you, for 5 min at most")
            terminal.type(last_address(address) + "\n")
            terminal.wait_for("Signed in as alice@example.org")
            terminal.rest()
        assert terminal.process.returncode == 0

    def test_a_device_shows_its_code_and_waits(self, issuer: DevIssuer) -> None:
        issuer.ask()
        issuer.change(device_interval_s=1)
        with Terminal("login", issuer.url, "--client-id", "cli", LOOPBACK, "--device") as terminal:
            code = terminal.wait_for(r"[A-Z]{4}-[A-Z]{4}")[0]
            terminal.wait_for(r"Waiting for you to enter it… \(\d:\d\d left, Ctrl-C stops\)")
            issuer.decide_device(code, user="bob")
            terminal.wait_for("Signed in as bob@example.org")
            terminal.rest()
        assert terminal.process.returncode == 0
        assert "██ ▄▄▄▄▄ █" in terminal.plain, "a QR code"
        assert max(map(len, terminal.plain.splitlines())) <= 80

    def test_a_dumb_terminal_gets_plain_lines(self, issuer: DevIssuer) -> None:
        issuer.ask()
        with Terminal(
            "login", issuer.url, "--client-id", "cli", LOOPBACK, BROWSER="true", TERM="dumb", NO_COLOR="1"
        ) as terminal:
            terminal.wait_for("Waiting for you in the browser, for 5 min at most")
            assert ESCAPE not in terminal.shown

    def test_a_device_without_a_terminal_gets_plain_lines(self, issuer: DevIssuer) -> None:
        issuer.ask()

        done = login(issuer, "--device", "--timeout", "1")

        assert done.returncode == 1
        assert re.search(r"^[A-Z]{4}-[A-Z]{4}$", done.stderr, re.MULTILINE)
        assert "█" not in done.stderr
        assert "╭" not in done.stderr

    def test_ctrl_c_stops_and_leaves_nothing(self, issuer: DevIssuer, doorward_home: Path) -> None:
        with Terminal("login", issuer.url, "--client-id", "cli", LOOPBACK, BROWSER="true") as terminal:
            port = int(terminal.wait_for(r"redirect_uri=http%3A%2F%2F127\.0\.0\.1%3A(\d+)")[1])
            terminal.wait_for("Waiting for you in the browser")
            give_up_at = time.monotonic() + DEADLINE_S
            while terminal.edits_lines:  # a long address can be pasted from now on
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
            terminal.process.send_signal(signal.SIGINT)
            shown = terminal.rest()
            assert terminal.edits_lines
        assert terminal.process.returncode == 1
        assert terminal.plain.splitlines()[-1] == "Stopped."
        assert "Traceback" not in shown
        assert not _listening(port)
        assert [path for path in doorward_home.rglob("*") if path.is_file()] == []

    def test_no_process_shows_state_or_secret_among_its_arguments(self, issuer: DevIssuer, tmp_path: Path) -> None:
        issuer.add_client("web", secret="planted-secret")
        seen = tmp_path / "seen"
        looking_browser = tmp_path / "looking-browser"
        looking_browser.write_text(f"#!/bin/sh\ncat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' > {seen}.part\n"
                                   f"mv {seen}.part {seen}\nsleep 1\n")  # fmt: skip
        looking_browser.chmod(0o700)

        done = doorward_cli(
            "login", issuer.url, "--client-id", "web", LOOPBACK, "--confidential", "--timeout", "3",
            BROWSER=str(looking_browser), DOORWARD_CLIENT_SECRET="planted-secret",
        )  # fmt: skip

        (state,) = re.findall(r"&state=([\w-]+)", done.stderr)
        assert "looking-browser" in seen.read_text()
        assert state not in seen.read_text()
        assert "planted-secret" not in seen.read_text()


def _listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _pem(key: Any) -> bytes:
    return key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class TestToken:
    def test_is_one_line_with_the_access_or_the_id_token(self, signed_in: DevIssuer) -> None:
        entry = Vault().get("default")
        assert entry is not None
        assert entry.access_token is not None
        assert entry.id_token is not None
        assert doorward_cli("token").stdout == entry.access_token.reveal() + "\n"
        assert doorward_cli("token", "--id").stdout == entry.id_token.reveal() + "\n"

    @pytest.mark.parametrize("kind", ["access", "id"])
    def test_the_short_way_and_the_long_way_print_the_same(self, signed_in: DevIssuer, kind: str) -> None:
        option = ["--id"] if kind == "id" else []
        short = doorward_cli("token", "--profile", "default", *option)
        long = doorward_cli("token", "--profile=default", *option)  # a spelling that the short way leaves alone
        described = json_of(doorward_cli("token", "--json", *option))

        assert short.stdout == long.stdout == described.pop("token") + "\n"
        assert described.pop("expires_at").endswith("Z")
        assert described == {"kind": kind, "profile": "default"}

    def test_a_fresh_one_takes_the_short_way(self, signed_in: DevIssuer) -> None:
        assert _modules("token") <= LOOK
        assert _modules("token", "--id", "--profile", "default") <= LOOK
        assert _modules("token", "--json") <= LOOK | LIGHT_OUTPUT
        assert "click" in _modules("token", "--profile=default")

    def test_the_profile_may_come_from_the_environment(self, signed_in: DevIssuer) -> None:
        assert doorward_cli("token", DOORWARD_PROFILE="default").returncode == 0
        assert doorward_cli("token", DOORWARD_PROFILE="nobody").returncode == 3
        assert doorward_cli("token", "--json", DOORWARD_PROFILE="nobody").returncode == 3
        assert doorward_cli("token", "--profile", "default", DOORWARD_PROFILE="nobody").returncode == 0

    def test_an_expired_one_is_renewed(self, signed_in: DevIssuer) -> None:
        before = doorward_cli("token").stdout
        expire_access_token()

        after = doorward_cli("token")

        assert after.returncode == 0, after.stderr
        assert TOKEN.match(after.stdout)
        assert after.stdout != before

    @pytest.mark.parametrize("kind", [(), ("--id",)])
    def test_another_one_can_be_asked_for(self, signed_in: DevIssuer, kind: tuple[str, ...]) -> None:
        first = doorward_cli("token", *kind).stdout
        time.sleep(1.1)  # an ID token of the same second is the same
        renewed = doorward_cli("token", "--renew", *kind)
        assert (renewed.returncode, renewed.stderr) == (0, "")
        assert renewed.stdout not in ("", first)
        assert doorward_cli("token", *kind).stdout == renewed.stdout

    def test_a_least_life_can_be_asked_for(self, signed_in: DevIssuer) -> None:
        first = doorward_cli("token").stdout
        assert doorward_cli("token", "--least-life", "600").stdout == first
        change_entry(access_token_expires_at=time.time() + 550)
        assert doorward_cli("token").stdout == first
        assert doorward_cli("token", "--least-life", "600").stdout not in ("", first)
        done = doorward_cli("token", "--least-life", "80000")
        assert done.returncode == 2
        assert "does not live for the 80000 s of --least-life" in " ".join(done.stderr.split())

    @pytest.mark.parametrize("options", [(), ("--renew",), ("--json",)])
    def test_one_that_is_bound_to_a_key_is_not_printed(
        self, issuer: DevIssuer, person: Path, options: tuple[str, ...]
    ) -> None:
        issuer.change(dpop="offered")
        assert login(issuer, "--dpop", "always").returncode == 0
        refused = doorward_cli("token", *options)
        assert refused.returncode == 2
        assert "bound to a key (DPoP)" in " ".join((refused.stderr + refused.stdout).split())
        assert not TOKEN.search(refused.stdout)
        assert TOKEN.match(doorward_cli("token", "--id").stdout)

    @pytest.mark.peer
    def test_a_vault_that_can_not_be_written_is_read(
        self, signed_in: DevIssuer, doorward_home: Path, read_only_mount: Callable[[Path], list[str]]
    ) -> None:
        mounted = read_only_mount(doorward_home)

        def token(*options: str) -> subprocess.CompletedProcess[str]:
            command = [*mounted, str(DOORWARD), "token", *options]
            return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

        held = token()
        assert (held.returncode, held.stderr) == (0, "")
        for life_s in (100, 40):  # fresh no longer, but good
            change_entry(access_token_issued_at=time.time() - 3600, access_token_expires_at=time.time() + life_s)
            late = token()
            assert (late.returncode, late.stdout) == (0, held.stdout), late.stderr
            assert "still good" in late.stderr
        for expired in (False, True):
            if expired:
                expire_access_token()
            refused = token(*([] if expired else ["--renew"]))
            assert (refused.returncode, refused.stdout) == (4, "")
            said = " ".join(refused.stderr.split())
            assert "has to be renewed" in said
            assert "read-only" in said
            assert "renew it where the vault can be written: doorward token --profile default" in said
        assert signed_in.count("token", grant_type="refresh_token") == 0
        assert doorward_cli("token").returncode == 0  # where it can be written

    def test_an_outage_is_unavailable_and_ends_nothing(self, signed_in: DevIssuer) -> None:
        expire_access_token()
        signed_in.fail("token", headers={"Retry-After": "7"})

        done = doorward_cli("token", "--json")
        assert done.returncode == 4
        assert json_of(done)["error"]["retry_after_s"] > 0
        assert doorward_cli("token").returncode == 4, "it waits before it asks again"
        change_entry(retry_at=None, failures=0)
        assert doorward_cli("token").returncode == 0

    def test_an_ended_session_needs_a_person(self, signed_in: DevIssuer) -> None:
        expire_access_token()
        signed_in.revoke_everything("alice")

        done = doorward_cli("token")
        assert done.returncode == 3
        assert done.stderr.startswith("doorward: ")
        assert len(done.stderr.splitlines()) == 1
        assert "session ended" in doorward_cli("status").stdout

    def test_nobody_signed_in_needs_a_person(self) -> None:
        done = doorward_cli("token")
        assert (done.returncode, done.stdout) == (3, "")
        assert json_of(doorward_cli("token", "--json"))["error"]["code"] == "sign_in_required"

    @pytest.mark.parametrize(
        "oddity", ["truncated", "list", "twice", "foreign", "open to others", "symbolic link", "newer"]
    )
    def test_an_odd_file_is_never_printed_from(self, signed_in: DevIssuer, oddity: str) -> None:
        path = Path(Vault().folder, "profile-default.json")
        content = path.read_text()
        match oddity:
            case "truncated":
                path.write_text(content[:-1])
            case "list":
                path.write_text(f"[{content}]")
            case "twice":
                path.write_text(content[:-1] + ',"version":1}')
            case "foreign":
                path.write_text(content.replace('"profile":"default"', '"profile":"other"'))
            case "open to others":
                path.chmod(0o644)
            case "symbolic link":
                path.rename(path.with_name("elsewhere"))
                path.symlink_to("elsewhere")
            case "newer":
                path.write_text(content.replace('"version":1', '"version":99'))

        done = doorward_cli("token")

        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("doorward: ")
        assert not TOKEN.search(done.stderr)


LOOK = {
    *("doorward", "doorward.errors", "doorward.late", "doorward.cli", "doorward.cli.main"),
    *(f"doorward.vault{part}" for part in ("", ".files", ".folders", ".glance", ".private_folder", ".times")),
    *(f"doorward.vault.sealing{part}" for part in ("", ".gate", ".marks")),
    "errno",
}
"""What may be loaded to print a token at hand."""
LIGHT_OUTPUT = {"doorward.cli.terminal"}
LISTING = {
    *LIGHT_OUTPUT,
    *(
        "doorward.cli.ending",
        "doorward.cli.session",
        "doorward.cli.session.profiles",
        "doorward.cli.view",
        "doorward.secret",
        "doorward.system",
    ),
    *(f"doorward.vault.{part}" for part in ("entries", "fields", "lock", "own_json", "shelf", "vault")),
    "fcntl",
}
"""What ``status`` may load besides."""


def _modules(*arguments: str) -> set[str]:
    """Return what a command loads beside a few of the standard library, whose own imports differ by its version."""
    code = (
        f"import sys, __future__, dataclasses, datetime, json; before = set(sys.modules); "
        f"sys.argv[1:] = {list(arguments)!r}; "
        "from doorward.cli.main import main; main(); print(*set(sys.modules) - before, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    return set(done.stderr.split())


class TestStatus:
    def test_an_empty_vault_says_how_to_begin(self, doorward_home: Path) -> None:
        done = doorward_cli("status")
        assert done.returncode == 0
        assert "doorward login ISSUER --client-id ID" in done.stdout
        assert json_of(doorward_cli("status", "--json")) == []
        assert not doorward_home.exists(), "looking makes nothing"

    def test_piped_it_is_plain_and_whole(self, signed_in: DevIssuer) -> None:
        change_entry(issuer="https://login.example.org/a-tenant-with-a-very-long-name/and/more/of/it/v2.0")
        done = doorward_cli("status", TERM="xterm-256color", COLUMNS="40")

        assert done.returncode == 0
        header, row = done.stdout.splitlines()
        assert header.split() == ["PROFILE", "WHO", "ISSUER", "ACCESS", "TOKEN", "RENEWAL"]
        assert row.split("  ")[0] == "default"
        assert "alice@example.org" in row
        assert "login.example.org/a-tenant-with-a-very-long-name/and/more/of/it/v2.0" in row
        assert "good for 59 min" in row
        assert row.endswith("by itself")
        assert not set("\x1b\t│─┃━") & set(done.stdout)

    def test_looking_loads_little(self, signed_in: DevIssuer) -> None:
        assert _modules("status") <= LOOK | LISTING
        assert _modules("status", "--json") <= LOOK | LISTING
        assert "click" in _modules("status", "--json", "--json")

    def test_the_short_way_and_the_long_way_print_the_same(self, signed_in: DevIssuer) -> None:
        change_entry(access_token_expires_at=None)  # so that no minute ends in between
        assert json_of(doorward_cli("status", "--json")) == json_of(doorward_cli("status", "--json", "--json"))
        application = [sys.executable, "-c", "from doorward.cli.app import run; run(['status'])"]
        done = subprocess.run(application, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
        assert doorward_cli("status").stdout == done.stdout

    def test_on_a_terminal_it_fits(self, signed_in: DevIssuer) -> None:
        change_entry(issuer="https://login.example.org/a-tenant-with-a-very-long-name/and/more/of/it/v2.0")
        with Terminal("status") as terminal:
            shown = terminal.rest()
        assert terminal.process.returncode == 0
        assert ESCAPE in shown, "a bold header"
        assert max(map(len, terminal.plain.splitlines())) <= 80
        assert "login.exa" in terminal.plain

    def test_no_color_is_respected(self, signed_in: DevIssuer) -> None:
        with Terminal("status", NO_COLOR="1") as terminal:
            shown = terminal.rest()
        assert not re.search(r"\x1b\[[0-9;]*\b[34][0-9]m", shown.replace("\x1b[39m", "").replace("\x1b[49m", ""))

    def test_json_lists_every_profile_without_tokens(self, signed_in: DevIssuer) -> None:
        login(signed_in, "--profile", "a", "--scope", "openid")
        expire_access_token("a")

        done = doorward_cli("status", "--json")

        first, second = json_of(done)
        assert (first["profile"], second["profile"]) == ("a", "default")
        assert first["sign_in_needed"] is True
        assert first["renews_itself"] is False
        assert second["sign_in_needed"] is False
        assert not TOKEN.search(done.stdout)

    def test_a_corrupt_entry_hides_no_other(self, signed_in: DevIssuer) -> None:
        for profile in ("bad", "worse"):
            path = Path(Vault().folder, f"profile-{profile}.json")
            path.write_text("{")
            path.chmod(0o600)

        done = doorward_cli("status", "--json")
        bad, default, worse = json_of(done)
        assert done.returncode == 0
        assert bad["error"]["code"] == worse["error"]["code"] == "corrupt_entry"
        assert default["subject"] == "alice"

    def test_terminal_escapes_from_a_provider_are_not_printed(self, signed_in: DevIssuer) -> None:
        entry = Vault().get("default")
        assert entry is not None
        change_entry(
            claims={**(entry.claims or {}), "email": "a\x1b]0;owned\x07\u202e@example.org", "groups": ["\x1b[2J"]}
        )

        for command in ("status", "whoami"):
            for arguments in ((command,), (command, "--json")):
                done = doorward_cli(*arguments)
                assert done.returncode == 0
                assert not set("\x1b\x07\u202e") & set(done.stdout)


class TestReplacing:
    def test_a_session_of_somebody_else_that_is_replaced_is_told_of(self, signed_in: DevIssuer) -> None:
        assert "held the session" not in login(signed_in).stderr
        signed_in.sign_in_as("bob")
        done = login(signed_in)
        assert "held the session of alice@example.org" in done.stderr
        assert "not revoked" in done.stderr


class TestWhoami:
    def test_names_the_person(self, signed_in: DevIssuer) -> None:
        done = doorward_cli("whoami")
        facts = dict(line.split(None, 1) for line in done.stdout.splitlines())
        assert facts == {
            "Profile": "default",
            "Issuer": signed_in.url,
            "Subject": "alice",
            "E-mail": "alice@example.org (verified by the issuer)",
            "Groups": "eng",
            "Scopes": "openid email profile offline_access",
        }

    def test_json(self, signed_in: DevIssuer) -> None:
        assert json_of(doorward_cli("whoami", "--json")) == {
            "profile": "default",
            "issuer": signed_in.url,
            "subject": "alice",
            "email": "alice@example.org",
            "email_verified": True,
            "groups": ["eng"],
            "scopes": ["openid", "email", "profile", "offline_access"],
            "ended_at": None,
        }

    def test_an_ended_session_is_called_so(self, signed_in: DevIssuer) -> None:
        signed_in.revoke_everything("alice")
        expire_access_token("default")
        assert doorward_cli("token").returncode == 3
        assert "ended by the issuer" in doorward_cli("whoami").stdout

    def test_an_unverified_address_is_called_so(self, issuer: DevIssuer, person: Path) -> None:
        issuer.add_user("alice", email="alice@example.org", email_verified=False)
        login(issuer)
        assert "alice@example.org (not verified)" in doorward_cli("whoami").stdout

    def test_nobody(self) -> None:
        assert doorward_cli("whoami").returncode == 3


class TestLogout:
    def test_revokes_and_removes(self, signed_in: DevIssuer, doorward_home: Path) -> None:
        entry = Vault().get("default")
        done = doorward_cli("logout")

        assert done.returncode == 0
        assert done.stdout.startswith(f"Signed out of profile default: revoked at {signed_in.url}, and removed here.\n")
        assert f"{signed_in.url}/end_session" in done.stdout
        assert Vault().names() == []
        assert entry is not None
        Vault().put(entry)
        expire_access_token()
        assert doorward_cli("token").returncode == 3, "the refresh token is dead at the provider"

    def test_says_when_the_provider_could_not_be_asked(self, signed_in: DevIssuer) -> None:
        signed_in.fail("revoke", status=503)

        done = doorward_cli("logout")

        assert done.returncode == 1
        assert "removed here, but was not revoked at the provider: " in done.stdout
        assert Vault().names() == []

    def test_a_key_that_can_not_be_read_hinders_no_removal(self, signed_in: DevIssuer) -> None:
        change_entry(client_authentication="private_key_jwt")

        done = doorward_cli("logout", DOORWARD_CLIENT_KEY_FILE="/nowhere/key.pem")

        assert done.returncode == 1
        assert "removed here, but was not revoked at the provider: " in done.stdout
        assert Vault().names() == []

    def test_says_when_there_was_nothing_to_revoke(self, issuer: DevIssuer, person: Path) -> None:
        login(issuer, "--scope", "openid")
        change_entry(access_token=None)
        done = doorward_cli("logout")
        assert done.returncode == 0
        assert "no token that could be revoked" in done.stdout

    def test_says_that_the_access_token_stays_good(self, signed_in: DevIssuer) -> None:
        signed_in.fail("revoke", "delay", done=True)
        body = b'{"error": "unsupported_token_type"}'
        signed_in.fail("revoke", status=400, body=body)
        done = doorward_cli("logout")
        assert done.returncode == 0
        assert "Its access token was not revoked there: it is good until it expires." in done.stdout

    def test_all(self, signed_in: DevIssuer) -> None:
        login(signed_in, "--profile", "work")
        path = Path(Vault().folder, "profile-bad.json")
        path.write_text("{")
        path.chmod(0o600)

        done = doorward_cli("logout", "--all", "--json")

        assert done.returncode == 1
        outcomes = {each["profile"]: each for each in json_of(done)}
        assert {name: each["revoked"] for name, each in outcomes.items()} == {
            "bad": False,
            "default": True,
            "work": True,
        }
        assert all(each["removed"] for each in outcomes.values())
        assert list(Path(Vault().folder).iterdir()) == []
        assert doorward_cli("logout", "--all").stdout == "Nobody is signed in.\n"

    def test_all_says_once_for_each_provider_where_to_sign_out_there(self, signed_in: DevIssuer) -> None:
        login(signed_in, "--profile", "work")
        said = doorward_cli("logout", "--all").stdout
        assert said.count("revoked at") == 2
        assert said.count("to sign out, open: ") == 1

    def test_all_forgets_what_was_set_aside_too(self, signed_in: DevIssuer) -> None:
        login(signed_in, "--profile", "bad")
        path = Path(Vault().folder, "profile-bad.json")
        path.write_text(path.read_text()[:-1])
        doorward_cli("status")
        assert len(list(Path(Vault().folder).glob("*.corrupt-*"))) == 1

        done = doorward_cli("logout", "--all")

        assert "Nobody is signed in as profile 'bad'. What was left of it here is removed." in done.stdout
        assert list(Path(Vault().folder).iterdir()) == []

    def test_all_goes_on_where_one_cannot_be_removed(self, signed_in: DevIssuer) -> None:
        path = Path(Vault().folder, "profile-a.json")
        path.mkdir()
        done = doorward_cli("logout", "--all")
        assert done.returncode == 1
        assert "Profile a could not be removed here: " in done.stdout
        assert Vault().names() == ["a"]

    def test_twice_is_no_mistake(self, signed_in: DevIssuer) -> None:
        doorward_cli("logout")
        done = doorward_cli("logout")
        assert (done.returncode, done.stdout) == (0, "Nobody is signed in as profile 'default'.\n")

    def test_the_browser_can_be_sent_to_the_sign_out_page(self, signed_in: DevIssuer) -> None:
        done = doorward_cli("logout", "--browser")
        assert "Your browser opens the sign-out page" in done.stdout
        give_up_at = time.monotonic() + DEADLINE_S
        while not signed_in.count("end_session") and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert signed_in.count("end_session") == 1


@pytest.mark.usefixtures("person")
class TestIssuer:
    def test_signs_people_in_until_it_is_stopped(self) -> None:
        with Terminal("issuer", "--client-id", "app", "--sign-in-as", "carol") as terminal:
            command = terminal.wait_for(r"\ndoorward (login .* --insecure-loopback-http)\s")[1]
            done = doorward_cli(*command.split(), "--json")
            assert json_of(done)["email"] == "carol@example.org"
            terminal.process.send_signal(signal.SIGINT)
            terminal.rest()
        assert terminal.process.returncode == 0

    def test_tells_a_lie_that_it_is_asked_for(self) -> None:
        with Terminal("issuer", "--sign-in-as", "alice", "--lie", "id_token_expired") as terminal:
            command = terminal.wait_for(r"\ndoorward (login .* --insecure-loopback-http)\s")[1]
            assert doorward_cli(*command.split(), "--json").returncode == 1
            assert "expired" in json_of(doorward_cli(*command.split(), "--json"))["error"]["code"]

    def test_a_lie_it_does_not_know_is_told_which_was_meant(self) -> None:
        done = doorward_cli("issuer", "--lie", "id_token_expird")
        assert done.returncode == 2
        assert "id_token_expired" in done.stderr


def test_the_shell_completes_commands_and_profiles(signed_in: DevIssuer) -> None:
    asked = """
        eval "$(doorward completion bash)"
        complete_line() {
            COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _doorward_completion doorward
            echo "${COMPREPLY[@]}"
        }
        complete_line doorward stat
        complete_line doorward keys rev
        complete_line doorward token --profile def
    """
    done = subprocess.run(
        ["/bin/bash", "-c", asked],
        env={**os.environ, "PATH": f"{DOORWARD.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout.split() == ["status", "revoke", "default"], done.stderr


class TestEndings:
    @pytest.mark.parametrize(
        "arguments", [["tokn"], ["token", "--no-such"], ["token", "--profile"], ["login", "a", "b"]]
    )
    def test_a_command_line_that_makes_no_sense(self, arguments: list[str]) -> None:
        done = doorward_cli(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("doorward: ")
        assert "--help" in done.stderr
        assert json_of(doorward_cli(*arguments[:1], "--json", *arguments[1:]))["error"]["code"] == "usage"

    def test_a_setting_that_is_wrong(self) -> None:
        assert doorward_cli("token", DOORWARD_HOME="not/absolute").returncode == 2
        assert doorward_cli("token", "--profile", "../x").returncode == 2
        assert doorward_cli("status", DOORWARD_HOME="not/absolute").returncode == 2

    def test_help_says_what_the_exit_codes_mean(self) -> None:
        for arguments in ([], ["--help"], ["-h"]):
            done = doorward_cli(*arguments)
            assert done.returncode == 0
            assert "Exit codes:" in done.stdout
            assert "3  a person has to sign in" in done.stdout
        assert "--client-id ID" in doorward_cli("login", "--help").stdout

    def test_version(self) -> None:
        assert doorward_cli("--version").stdout == f"doorward {doorward.__version__}\n"

    def test_a_reader_that_goes_away_is_no_drama(self, signed_in: DevIssuer) -> None:
        for arguments in ("token", "token --json", "status", "--help"):
            done = subprocess.run(
                ["/bin/bash", "-c", f"{DOORWARD} {arguments} | true; echo ${{PIPESTATUS[0]}}"],
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=True,
            )
            assert done.stdout.strip() in ("0", "1")
            assert done.stderr == ""

    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
    def test_closed_streams_are_no_drama(self, signed_in: DevIssuer, closed: str) -> None:
        for arguments, exit_code in (("token", 0), ("token --json", 0), ("status", 0), ("login --profile new", 2)):
            done = subprocess.run(
                ["/bin/bash", "-c", f"{DOORWARD} {arguments} {closed}"],
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            assert done.returncode == exit_code
            assert "Traceback" not in done.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
    @pytest.mark.parametrize("arguments", ["token", "token --json", "status"])
    def test_output_that_can_not_be_written_is_a_failure(self, signed_in: DevIssuer, arguments: str) -> None:
        done = subprocess.run(
            ["/bin/bash", "-c", f"{DOORWARD} {arguments} > /dev/full"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == "doorward: The output could not be written: No space left on device.\n"

    def test_a_mistake_of_ours_shows_where_only_when_asked(self, signed_in: DevIssuer) -> None:
        code = (
            "import doorward.cli.session.status as status\n"
            "def broken(): raise KeyError('x')\n"
            "status.Profiles = broken\n"
            "from doorward.cli.app import run\n"
            "raise SystemExit(run(['status']))"
        )

        def fail(**environment: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True,
                timeout=DEADLINE_S, check=False,
            )  # fmt: skip

        quiet, loud = fail(), fail(DOORWARD_DEBUG="1")
        assert quiet.returncode == loud.returncode == 1
        assert quiet.stderr.startswith("doorward: Doorward made a mistake of its own (KeyError).")
        assert len(quiet.stderr.splitlines()) == 1
        assert "Traceback" in loud.stderr
