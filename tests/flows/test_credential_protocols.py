"""What git, docker, kubectl and AWS's programs say to a helper, and what they are told: word for word (S20)."""

from __future__ import annotations

import calendar
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from command_line import DEADLINE_S, DOORWARD
from loopback_https import Answer, Server
from sts_answers import CREDENTIALS

from doorward.cli.app import application
from doorward.cli.helpers.aws import endpoint_of
from doorward.errors import ConfigurationError, DoorwardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    def test_nothing_is_said_for_anybody_else(self, listed: Listed, lines: tuple[str, ...]) -> None:
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
    def test_what_smuggles_is_refused(self, listed: Listed, lines: tuple[str, ...]) -> None:
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
    def test_what_kubectl_would_not_say_is_refused(self, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
        monkeypatch.setenv("KUBERNETES_EXEC_INFO", said)
        assert "KUBERNETES_EXEC_INFO" in refused("kubectl", "--profile", "work")


class TestDocker:
    def test_a_registry_that_is_listed_gets_a_token(self, work: doorward.Session, listed: Listed) -> None:
        listed("https://registry.example.org:5000", "https://index.docker.io")
        for server in ("registry.example.org:5000", "https://registry.example.org:5000", "https://index.docker.io/v1/"):
            shown = json.loads(told("docker", "get", typed=f"{server}\n"))
            assert shown == {"ServerURL": server, "Username": "oauth2", "Secret": work.token()}

    @pytest.mark.parametrize(
        "server",
        [
            "registry.example.org.evil.example",
            "registry.example.org@evil.example",
            "evil.example/registry.example.org",
            "evil.example#@registry.example.org",
            "registry.example.org:5000",
            "http://registry.example.org",
            "registry.example.org\nevil.example",
            "registry.example.org\r",
            "registry.example.org\t",
            "REGISTRY.example.org\0",
            "evil.example\\@registry.example.org",
            "https://",
            "",
            "a" * 10_000,
        ],
        ids=lambda server: ascii(server[:40]),
    )
    def test_any_other_gets_nothing_in_dockers_own_words(self, listed: Listed, server: str) -> None:
        listed("https://registry.example.org")
        done = credential("docker", "get", typed=server)
        assert (done.return_value, done.stdout) == (1, "credentials not found in native keychain\n")

    def test_an_ended_session_is_told_where_docker_reads_it(self, listed: Listed) -> None:
        listed("https://registry.example.org")
        done = credential("docker", "get", typed="registry.example.org\n")
        assert done.return_value == 1
        assert "doorward login --profile work" in done.stdout

    def test_the_list_has_who_is_signed_in(self, issuer: DevIssuer, work: doorward.Session, listed: Listed) -> None:
        other = ["[profiles.other]", f"issuer = '{issuer.url}'", "client_id = 'cli'", "origins = ['https://x.example']"]
        listed("https://r.example.org", settings="basic_username = '<token>'", more="\n".join(other))
        assert json.loads(told("docker", "list")) == {"https://r.example.org": "<token>"}

    @pytest.mark.parametrize("operation", ["store", "erase"])
    def test_passwords_are_not_kept(self, work: doorward.Session, listed: Listed, operation: str) -> None:
        listed("https://r.example.org")
        done = credential("docker", operation, typed='{"ServerURL": "r.example.org", "Username": "u", "Secret": "s"}')
        assert done.return_value == 1
        assert "doorward login" in done.stdout
        assert work.token()

    def test_docker_and_git_find_it_by_its_name(self, work: doorward.Session, listed: Listed) -> None:
        listed("https://r.example.org")
        for program, typed in (("docker", "r.example.org\n"), ("git", "protocol=https\nhost=r.example.org\n")):
            done = subprocess.run(
                [DOORWARD.with_name(f"{program}-credential-doorward"), "get"],
                input=typed, capture_output=True, text=True, check=True, timeout=DEADLINE_S,
            )  # fmt: skip
            assert work.token() in done.stdout


ROLE = "arn:aws:iam::123456789012:role/notes"


class TestAws:
    @pytest.fixture
    def sts(self, test_ca: Any) -> Iterator[Any]:
        """A stand-in for AWS STS, which answers as it is told."""
        server = Server(lambda _: server.answer, test_ca.certificate, test_ca.key)
        server.answer = Answer(200, [("Content-Type", "text/xml")], CREDENTIALS.encode())
        server.url = f"https://localhost:{server.port}"
        yield server
        server.close()

    def ask(self, sts: Any, *options: str) -> Result:
        return credential("aws", "--profile", "work", "--role-arn", ROLE, "--endpoint", sts.url, *options)

    @pytest.mark.usefixtures("trust_test_ca")
    def test_the_id_token_becomes_credentials(self, work: doorward.Session, sts: Any) -> None:
        done = self.ask(sts, "--duration", "900", "--session-name", "alice@example.org")
        assert done.exception is None, done.exception
        assert json.loads(done.stdout) == {
            "Version": 1,
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "planted-secret-access-key",
            "SessionToken": "planted-session-token+/=",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        (request,) = sts.requests
        assert (request.method, request.path, request.query) == ("POST", "/", "")
        assert "Authorization" not in request.headers
        assert request.form == {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": ROLE,
            "RoleSessionName": "alice@example.org",
            "WebIdentityToken": work.token("id"),
            "DurationSeconds": "900",
        }

    @pytest.mark.usefixtures("trust_test_ca")
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (403, "<E><Error><Code>AccessDenied</Code><Message>Not\u202e you.</Message></Error></E>", "sts_refused"),
            (400, "<E><Error><Code>AccessDenied</Code><Message>No\x1b[2J</Message></Error></E>", "sts_malformed"),
            (503, "<html>", "server_error"),
            (200, "<html>", "sts_malformed"),
            (200, "", "sts_malformed"),
            (302, CREDENTIALS, "sts_malformed"),
            (200, CREDENTIALS.replace("SessionToken>", "Other>"), "sts_malformed"),
            (200, f'<!DOCTYPE x [<!ENTITY a "b">]>{CREDENTIALS}', "sts_malformed"),
            (200, f'<!DOCTYPE x SYSTEM "file:///etc/passwd">{CREDENTIALS}', "sts_malformed"),
            (200, CREDENTIALS + " " * 70_000, "response_too_large"),
        ],
        ids=[
            "refused", "escape", "outage", "no XML", "empty", "redirect", "not all", "entities", "external DTD",
            "too large",
        ],
    )  # fmt: skip
    def test_what_else_sts_may_answer(
        self, work: doorward.Session, sts: Any, status: int, body: str, reason: str
    ) -> None:
        sts.answer = Answer(status, [("Location", "https://evil.example/")], body.encode())
        done = self.ask(sts)
        assert isinstance(done.exception, DoorwardError)
        assert done.exception.reason == reason
        assert done.stdout == ""
        assert done.exception.message.isprintable()

    @pytest.mark.parametrize(
        ("arguments", "option"),
        [
            (["--role-arn", "arn:aws:iam::1:role/notes"], "--role-arn"),
            (["--role-arn", f"{ROLE}\n"], "--role-arn"),
            (["--role-arn", ROLE, "--session-name", "a b"], "--session-name"),
            (["--role-arn", ROLE, "--duration", "60"], "--duration"),
            (["--role-arn", ROLE, "--region", "evil.example/"], "--region"),
            (["--role-arn", ROLE.replace("aws", "aws-cn")], "--region"),
            (["--role-arn", ROLE.replace("aws", "aws-other"), "--region", "eu-west-1"], "--region"),
            (["--role-arn", ROLE, "--endpoint", "http://localhost"], "origin"),
        ],
        ids=["ARN", "line break", "session name", "duration", "region", "China", "unknown partition", "http"],
    )
    def test_what_is_no_setting_is_named(self, arguments: list[str], option: str) -> None:
        done = credential("aws", *arguments)
        assert isinstance(done.exception, ConfigurationError)
        assert done.exception.field == option

    @pytest.mark.parametrize(
        ("partition", "region", "url"),
        [
            ("aws", None, "https://sts.amazonaws.com"),
            ("aws", "eu-west-1", "https://sts.eu-west-1.amazonaws.com"),
            ("aws-us-gov", "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com"),
            ("aws-cn", "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn"),
            ("aws-eusc", "eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu"),
        ],
    )
    def test_each_partition_has_its_own_hosts(self, partition: str, region: str | None, url: str) -> None:
        assert endpoint_of(partition, region) == url
