"""What git, docker, kubectl and AWS's programs say to a helper, and what they are told: word for word (S20)."""

from __future__ import annotations

import calendar
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from doorward.cli.app import application
from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    import doorward
    from doorward.testing import DevIssuer

    Listed = Callable[..., None]


def credential(*arguments: str, typed: str = "") -> Result:
    """Run ``doorward credential`` in this process."""
    return CliRunner().invoke(application, ["credential", *arguments], input=typed, standalone_mode=False)


def told(*arguments: str, typed: str = "") -> str:
    done = credential(*arguments, typed=typed)
    assert done.exception is None, done.exception
    return done.stdout


def refused(*arguments: str, typed: str = "") -> str:
    """Return why, where nothing was said on standard output."""
    done = credential(*arguments, typed=typed)
    assert isinstance(done.exception, ConfigurationError)
    assert done.stdout == ""
    return done.exception.message


def lines_of(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


HERE = ("protocol=https", "host=git.example.org")


class TestGit:
    def ask(self, operation: str, *lines: str, arguments: tuple[str, ...] = ()) -> dict[str, str]:
        answer = told("git", *arguments, operation, typed=lines_of(*lines))
        return dict(line.split("=", 1) for line in answer.splitlines())

    @pytest.mark.parametrize(
        ("lines", "bearer"),
        [
            ((), False),
            (("capability[]=authtype", "capability[]=state"), False),  # whether it would be taken is not known
            (("capability[]=authtype", 'wwwauth[]=Basic realm="x"'), False),
            (("wwwauth[]=Bearer",), False),  # git before 2.46
            (("capability[]=authtype", 'wwwauth[]=Basic realm="x"', 'wwwauth[]=bearer realm="x"'), True),
            (("capability[]=authtype", "wwwauth[]=Bearer", "wwwauth[]="), False),  # the list was emptied
        ],
        ids=["old git", "no challenge", "Basic alone", "no capability", "Bearer", "emptied"],
    )
    def test_bearer_where_both_can(
        self, work: doorward.Session, listed: Listed, lines: tuple[str, ...], bearer: Any
    ) -> None:
        listed("https://git.example.org")
        answer = self.ask("get", *HERE, *lines)
        assert work.expires_at is not None
        assert abs(int(answer.pop("password_expiry_utc")) - work.expires_at) < 1
        if bearer:
            expected = {"authtype": "Bearer", "credential": work.token(), "ephemeral": "1"}
            assert answer == {"capability[]": "authtype", **expected}
        else:
            assert answer == {"username": "oauth2", "password": work.token()}

    @pytest.mark.parametrize(
        "lines",
        [
            ("protocol=https", "host=git.example.org.evil.example"),
            ("protocol=https", "host=evil.example"),
            ("protocol=https", "host=sub.git.example.org"),
            ("protocol=https", "host=git.example.org:8443"),
            ("protocol=https", "host=git.example.org."),
            ("protocol=http", "host=git.example.org"),
            ("protocol=ssh", "host=git.example.org"),
            ("protocol=https", "host=evil.example#git.example.org"),
            ("protocol=https", "host=git.example.org@evil.example"),
            ("protocol=https", "host=evil.example@git.example.org"),
            ("protocol=https", "host=git.example.org%2eevil.example"),
            ("protocol=https", "host=evil.example/git.example.org"),
            ("protocol=https", "host=evil.example\\git.example.org"),
            ("protocol=https", "host="),
            ("protocol=https",),
            (*HERE, "username=alice"),
            (),
        ],
        ids=", ".join,
    )
    def test_nothing_is_said_for_anybody_else(
        self, work: doorward.Session, listed: Listed, lines: tuple[str, ...]
    ) -> None:
        listed("https://git.example.org")
        assert self.ask("get", *lines) == {}

    @pytest.mark.parametrize(
        "lines",
        [
            ("protocol=https", "host=evil.example\rhost=git.example.org"),
            ("protocol=https", "host=evil.example", "host=git.example.org"),
            ("protocol=https\0", "host=git.example.org"),
            ("protocol=https", "host=git.example.org\r"),
            (*HERE, "path=a\x1b[2Jb"),
            (*HERE, "no line of the protocol"),
            (*HERE, "path=" + "a" * 70_000),
        ],
        ids=["carriage return", "two hosts", "NUL", "CR at the end", "escape", "no line", "too long"],
    )
    def test_what_smuggles_is_refused(self, work: doorward.Session, listed: Listed, lines: tuple[str, ...]) -> None:
        listed("https://git.example.org")
        assert "not git's protocol" in refused("git", "get", typed=lines_of(*lines))

    def test_store_and_what_is_not_known_change_nothing(self, work: doorward.Session, listed: Listed) -> None:
        listed("https://git.example.org")
        first = work.token()
        for operation in ("store", "capability", "from-the-future"):
            assert self.ask(operation, *HERE, "username=oauth2", f"password={first}") == {}
        assert self.ask("erase", *HERE, "username=oauth2", "password=another") == {}
        assert self.ask("erase", "protocol=https", "host=evil.example", f"password={first}") == {}
        assert self.ask("get", *HERE)["password"] == first
        assert self.ask("erase", *HERE, "authtype=Bearer", f"credential={first}") == {}
        assert self.ask("get", *HERE)["password"] != first

    def test_the_user_name_may_be_set(self, work: doorward.Session, listed: Listed) -> None:
        listed("https://git.example.org", settings="basic_username = 'x-access-token'")
        assert self.ask("get", *HERE)["username"] == "x-access-token"
        assert self.ask("get", *HERE, "username=me", arguments=("--username", "me"))["username"] == "me"

    def test_of_several_profiles_one_must_be_named(
        self, issuer: DevIssuer, work: doorward.Session, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = ["[profiles.other]", f"issuer = '{issuer.url}'", "client_id = 'cli'", "insecure_loopback_http = true"]
        listed("https://git.example.org", more="\n".join([*other, "origins = ['https://git.example.org']"]))
        assert "work, other" in refused("git", "get", typed=lines_of(*HERE))
        assert self.ask("get", *HERE, arguments=("--profile", "work"))["password"] == work.token()
        monkeypatch.setenv("DOORWARD_PROFILE", "work")
        assert self.ask("get", *HERE)["password"] == work.token()


class TestKubectl:
    def test_what_is_printed(self, work: doorward.Session) -> None:
        shown = json.loads(told("kubectl", "--profile", "work", "--access"))
        assert (shown["apiVersion"], shown["kind"]) == ("client.authentication.k8s.io/v1", "ExecCredential")
        assert shown["status"]["token"] == work.token()
        ends = calendar.timegm(time.strptime(shown["status"]["expirationTimestamp"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert work.expires_at is not None
        assert abs(ends - work.expires_at) < 2

    @pytest.mark.parametrize(
        "said",
        [
            "no JSON",
            "[]",
            '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1alpha1"}',
            '{"kind": "Other", "apiVersion": "client.authentication.k8s.io/v1"}',
            '{"kind": "ExecCredential", "apiVersion": ["client.authentication.k8s.io/v1"]}',
        ],
        ids=str,
    )
    def test_what_kubectl_would_not_say_is_refused(
        self, work: doorward.Session, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        monkeypatch.setenv("KUBERNETES_EXEC_INFO", said)
        assert "KUBERNETES_EXEC_INFO" in refused("kubectl", "--profile", "work")
