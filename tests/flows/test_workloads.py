"""S28: a service proves itself by what its platform gives it, each in the form that the platform documents."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import doorward
from doorward.errors import ConfigurationError, OAuthError, ProviderError, ProviderUnavailable
from doorward.protocol.claims import parse_jwt, sign_claims
from doorward.protocol.jwk import generate_signing_key
from doorward.testing import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from people import MovedClock

    from doorward.testing import DevIssuer

KEY = generate_signing_key("RS256", kid="platform")
JWKS = json.dumps({"keys": [KEY.public_jwk()]}).encode()
PLATFORMS: dict[str, dict[str, Any]] = {
    "Kubernetes": {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:jobs:batch",
        "kubernetes.io": {"namespace": "jobs", "serviceaccount": {"name": "batch", "uid": "1"}},
    },
    "SPIFFE": {"iss": "https://spire.example.org", "sub": "spiffe://example.org/ns/jobs/sa/batch"},
    "GitLab": {
        "iss": "https://gitlab.com",
        "sub": "project_path:example/batch:ref_type:branch:ref:main",
        "project_path": "example/batch",
    },
    "GitHub Actions": {
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:example/batch:ref:refs/heads/main",
        "repository": "example/batch",
    },
}


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> dict[str, Any]:
    return PLATFORMS[str(request.param)]


@pytest.fixture
def token(platform: dict[str, Any], issuer: DevIssuer, clock: MovedClock) -> Callable[..., str]:
    """Make the platform's token, and have the issuer trust it for the client ``batch``."""
    issuer.add_client("batch", platform=Platform(platform["iss"], platform["sub"], JWKS))

    def make(**changes: Any) -> str:
        now = int(clock.now())
        return sign_claims({**platform, "aud": issuer.url, "iat": now, "exp": now + 600, "jti": "1", **changes}, KEY)

    return make


@pytest.fixture
def service(issuer: DevIssuer, clock: MovedClock) -> Callable[..., doorward.ClientCredentials]:
    def make(**proof: Any) -> doorward.ClientCredentials:
        return doorward.ClientCredentials(
            issuer.url,
            "batch",
            proof=doorward.WorkloadIdentity(**proof),
            scopes=["read"],
            audience="https://api.example.org",
            insecure_loopback_http=True,
            clock=clock,
        )

    return make


USES = pytest.mark.parametrize("use", ["assertion", "token-exchange", "jwt-bearer"])


@USES
def test_a_file_proves_it(
    service: Any, token: Callable[..., str], token_of: Callable[..., str], tmp_path: Path, use: str
) -> None:
    file = tmp_path / "token"
    file.write_text(token() + "\n")
    told = parse_jwt(token_of(service(token_file=file, use=use))).claims
    assert (told["sub"], told["aud"], told["scope"]) == ("batch", "https://api.example.org", "read")


@USES
def test_a_variable_proves_it(service: Any, token: Callable[..., str], use: str) -> None:
    environ = {"ID_TOKEN": token()}
    assert service(variable="ID_TOKEN", use=use, environ=environ).token()


def test_the_file_is_read_anew_each_time(
    service: Any, token: Callable[..., str], clock: MovedClock, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(token())
    source = service(token_file=str(file))
    first = source.token()
    clock.ahead_s += 3400
    file.write_text(token(jti="2"))
    assert source.token() != first


@pytest.mark.parametrize("platform", ["Kubernetes"], indirect=True)
def test_where_azure_says_is_looked_by_itself(service: Any, token: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token())
    assert service(environ={"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}).token()


class TestGitHub:
    """The job asks for a token at an address of its own, with a secret of its own."""

    @pytest.fixture
    def platform(self) -> dict[str, Any]:
        return PLATFORMS["GitHub Actions"]

    @pytest.fixture
    def asked(self) -> list[tuple[str, str | None]]:
        return []

    @pytest.fixture
    def answer(self, token: Callable[..., str]) -> dict[str, Any]:
        return {"status": 200, "body": {"count": 1, "value": token()}}

    @pytest.fixture
    def environ(self, asked: list[tuple[str, str | None]], answer: dict[str, Any]) -> Iterator[dict[str, str]]:
        class Runner(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Authorization"]))
                body = json.dumps(answer["body"]).encode()
                self.send_response(answer["status"])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Runner) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield {
                "GITHUB_ACTIONS": "true",
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?api-version=2.0",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-secret",
            }
            server.shutdown()

    def test_it_is_asked_by_itself_and_for_the_provider(
        self,
        service: Any,
        token_of: Callable[..., str],
        environ: dict[str, str],
        issuer: DevIssuer,
        asked: list[tuple[str, str | None]],
    ) -> None:
        assert token_of(service(environ=environ))
        audience = quote(issuer.url, safe="")
        assert asked == [(f"/token?api-version=2.0&audience={audience}", "Bearer job-secret")]

    def test_another_audience_can_be_asked_for(
        self,
        service: Any,
        token: Callable[..., str],
        environ: dict[str, str],
        issuer: DevIssuer,
        answer: dict[str, Any],
    ) -> None:
        github = PLATFORMS["GitHub Actions"]
        issuer.add_client("batch", platform=Platform(github["iss"], github["sub"], JWKS, audience="api://exchange"))
        answer["body"]["value"] = token(aud="api://exchange")
        assert service(environ=environ, audience="api://exchange").token()

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (503, {}, ProviderUnavailable),
            (403, {"message": "not allowed"}, ProviderError),
            (200, {}, ProviderError),
            (200, {"value": "a b"}, ProviderError),
            (200, {"value": "abc"}, ConfigurationError),
        ],
    )
    def test_what_it_refuses_is_told(
        self,
        service: Any,
        environ: dict[str, str],
        answer: dict[str, Any],
        status: int,
        body: dict[str, str],
        error: type[Exception],
    ) -> None:
        answer.update(status=status, body=body)
        with pytest.raises(error) as refused:
            service(environ=environ).token()
        assert "job-secret" not in str(refused.value)

    def test_a_job_without_the_permission_is_told_so(self, service: Any) -> None:
        with pytest.raises(ConfigurationError, match="id-token: write"):
            service(environ={"GITHUB_ACTIONS": "true"}).token()


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example.org"},
        {"sub": "system:serviceaccount:jobs:another"},
        {"aud": "https://elsewhere.example.org"},
    ],
)
def test_the_provider_judges_what_it_says(service: Any, token: Callable[..., str], changes: dict[str, str]) -> None:
    with pytest.raises(OAuthError) as refused:
        service(variable="T", environ={"T": token(**changes)}).token()
    assert refused.value.error == "invalid_client"


@pytest.mark.parametrize("platform", ["Kubernetes"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "audience", "reason"),
    [
        ({"exp": 1}, None, "workload_token_bad"),
        ({"exp": None}, None, "workload_token_bad"),
        ({"aud": "https://kubernetes.default.svc"}, "https://id.example.org", "workload_audience"),
        ({"aud": None}, "https://id.example.org", "workload_token_bad"),
    ],
)
def test_what_cant_be_good_is_not_sent(
    service: Any, token: Callable[..., str], issuer: DevIssuer, changes: Any, audience: str | None, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        service(variable="T", audience=audience, environ={"T": token(**changes)}).token()
    assert (refused.value.field, refused.value.reason) == ("proof", reason)
    assert issuer.count("token") == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "workload_file_unreadable"),
        (b"", "workload_token_bad"),
        (b"no token", "workload_token_bad"),
        (b"\xff\xfe", "workload_file_bad"),
        (b"a" * 70_000, "workload_file_bad"),
    ],
    ids=["missing", "empty", "text", "binary", "long"],
)
def test_a_file_without_a_token_is_named(service: Any, tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        service(token_file=file).token()
    assert (refused.value.field, refused.value.reason) == ("proof", reason)


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(service: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    with pytest.raises(ConfigurationError) as refused:
        service(token_file=tmp_path / "token").token()
    assert refused.value.reason == "workload_token_bad"


@pytest.mark.parametrize(
    ("proof", "reason"),
    [({"environ": {}}, "no_workload_token"), ({"variable": "T", "environ": {"T": ""}}, "workload_variable_empty")],
)
def test_nothing_there_says_what_to_name(service: Any, proof: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        service(**proof).token()
    assert refused.value.reason == reason


def test_the_token_that_lies_in_every_pod_is_never_taken_by_itself(service: Any) -> None:
    """It is the cluster's: whoever gets it can act there."""
    environ = {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(ConfigurationError) as refused:
        service(environ=environ).token()
    assert refused.value.reason == "no_workload_token"


@pytest.mark.parametrize(
    ("proof", "field"),
    [({"token_file": "a", "variable": "b"}, "variable"), ({"variable": "b", "use": "magic"}, "use")],
)
def test_wrong_arguments_are_named(proof: Any, field: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        doorward.WorkloadIdentity(**proof)
    assert wrong.value.field == field


@pytest.mark.parametrize("more", [{"client_secret": "s"}, {"client_key": KEY}, {"proof": "secret"}])
def test_a_service_proves_itself_in_one_way(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        doorward.ClientCredentials("https://id.example.org", "a", **{"proof": doorward.WorkloadIdentity(), **more})
    assert wrong.value.field == "proof"


@pytest.mark.parametrize("platform", ["SPIFFE"], indirect=True)
def test_copies_work_and_a_pickle_has_no_token(service: Any, token: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "svid").write_text(token())
    source = service(token_file=tmp_path / "svid")
    first = source.token()
    assert copy.copy(source).token() != first
    pickled = pickle.dumps(source)
    assert first.encode() not in pickled
    assert pickle.loads(pickled).token() != first  # noqa: S301 - ours


def test_the_environment_stays_here(tmp_path: Path) -> None:
    proof = doorward.WorkloadIdentity(variable="T", environ={"T": "planted"})
    assert b"planted" not in pickle.dumps(proof)
    assert "planted" not in repr(proof)


class TestFromTheEnvironment:
    @pytest.mark.parametrize("platform", ["GitLab"], indirect=True)
    @pytest.mark.parametrize("place", ["file", "env", "auto"])
    @USES
    def test_the_place_and_the_use(
        self, issuer: DevIssuer, token: Callable[..., str], tmp_path: Path, place: str, use: str
    ) -> None:
        file = tmp_path / "token"
        file.write_text(token())
        environ = {
            "JOB_ISSUER": issuer.url,
            "JOB_CLIENT_ID": "batch",
            "JOB_WORKLOAD_IDENTITY": {"file": f"file:{file}", "env": "env:ID_TOKEN", "auto": "auto"}[place],
            "JOB_WORKLOAD_USE": use,
            "JOB_WORKLOAD_AUDIENCE": issuer.url,
            "JOB_INSECURE_LOOPBACK_HTTP": "1",
            "ID_TOKEN": token(jti="2"),
            "AZURE_FEDERATED_TOKEN_FILE": str(file),
        }
        assert doorward.ClientCredentials.from_env("JOB", environ).token()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"X_WORKLOAD_IDENTITY": "file:"}, "X_WORKLOAD_IDENTITY"),
            ({"X_WORKLOAD_IDENTITY": "/var/run/token"}, "X_WORKLOAD_IDENTITY"),
            ({"X_WORKLOAD_IDENTITY": "auto", "X_WORKLOAD_USE": "magic"}, "use"),
            ({"X_WORKLOAD_IDENTITY": "auto", "X_CLIENT_SECRET": "s"}, "proof"),
        ],
    )
    def test_what_is_wrong_is_named(self, changes: dict[str, str], field: str) -> None:
        environ = {"X_ISSUER": "https://id.example.org", "X_CLIENT_ID": "a", **changes}
        with pytest.raises(ConfigurationError) as wrong:
            doorward.ClientCredentials.from_env("X", environ)
        assert wrong.value.field == field
