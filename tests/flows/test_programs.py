"""Real programs that run our helpers: git, kubectl, docker, boto3, pip (S20)."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import DEADLINE_S, DOORWARD
from guarded_service import GuardedService
from loopback_https import Answer, Request, Server
from sts_answers import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import doorward
    from doorward.testing import DevIssuer

    Listed = Callable[..., None]

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("trust_test_ca")]

Service = GuardedService


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def ended(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def git(require_peer: Callable[[str, object], None], test_ca: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run git as somebody with a ~/.gitconfig of their own, whose helper is ours, and who can't be asked anything."""
    require_peer("git", shutil.which("git"))
    settings = tmp_path / "gitconfig"
    settings.touch()

    def do(*arguments: str, helper: str = "credential git") -> subprocess.CompletedProcess[str]:
        settings.write_text(f'[credential]\n\thelper = "!{DOORWARD} {helper}"\n' if helper else "")
        known = {"GIT_CONFIG_GLOBAL": str(settings), "GIT_CONFIG_NOSYSTEM": "1", "GIT_SSL_CAINFO": str(test_ca.ca)}
        nobody = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_CONFIG_COUNT": "0"}
        identity = {f"GIT_{who}_{what}": "alice" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return run("git", *arguments, **known, **nobody, **identity)

    return do


@pytest.fixture
def forge(issuer: DevIssuer, test_ca: Any, git: Callable[..., Any], tmp_path: Path) -> Iterator[Service]:
    """A server of one repository, ``/notes.git``, by git's own http-backend. It takes a token as Basic's password."""
    root, first = tmp_path / "repositories", tmp_path / "first"
    ended(git("init", "-q", "--bare", str(root / "notes.git")))
    ended(git("init", "-q", str(first)))
    ended(git("-C", str(first), "commit", "-q", "--allow-empty", "-m", "first"))
    ended(git("-C", str(first), "push", "-q", str(root / "notes.git"), "HEAD:main"))
    ended(git("-C", str(root / "notes.git"), "symbolic-ref", "HEAD", "refs/heads/main"))
    service = Service(issuer, test_ca, lambda request: backend(root, request), challenges=['Basic realm="forge"'])
    yield service
    service.close()


def backend(root: Path, request: Request) -> Answer:
    """Have git's CGI program answer."""
    environment = {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "alice",  # lets her push
        "PATH": os.environ["PATH"],
    }
    program = shutil.which("git") or ""
    done = subprocess.run(
        [program, "http-backend"],
        env=environment,
        input=request.body,
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
    status = next((int(value[:3]) for name, value in headers if name == "Status"), 200)
    return Answer(status, [(name, value) for name, value in headers if name != "Status"], body)


class TestGit:
    def test_clones_through_the_helper_and_is_refused_without(
        self, git: Callable[..., Any], forge: Service, work: doorward.Session, listed: Listed, tmp_path: Path
    ) -> None:
        url = f"{forge.origin}/notes.git"
        assert git("clone", "-q", url, str(tmp_path / "without"), helper="").returncode == 128
        assert git("clone", "-q", url, str(tmp_path / "not listed")).returncode == 128
        listed(forge.origin)
        ended(git("clone", "-q", url, str(tmp_path / "clone")))
        assert "first" in ended(git("-C", str(tmp_path / "clone"), "log", "--format=%s"))
        assert set(forge.shown) == {work.token()}
        ended(git("-C", str(tmp_path / "clone"), "commit", "-q", "--allow-empty", "-m", "second"))
        ended(git("-C", str(tmp_path / "clone"), "push", "-q"))

    def test_a_line_in_the_settings_may_say_all(
        self, git: Callable[..., Any], forge: Service, work: doorward.Session
    ) -> None:
        helper = f"credential git --profile work --origin {forge.origin}"
        assert "refs/heads/main" in ended(git("ls-remote", f"{forge.origin}/notes.git", helper=helper))

    def test_a_token_that_was_refused_is_another_one_the_next_time(
        self, git: Callable[..., Any], forge: Service, work: doorward.Session, listed: Listed
    ) -> None:
        listed(forge.origin)
        forge.refused.add(work.token())
        assert git("ls-remote", f"{forge.origin}/notes.git").returncode == 128
        assert "refs/heads/main" in ended(git("ls-remote", f"{forge.origin}/notes.git"))
        assert len(set(forge.shown)) == 2

    def test_an_ended_session_stops_git_before_it_asks_for_a_password(
        self, git: Callable[..., Any], forge: Service, listed: Listed
    ) -> None:
        listed(forge.origin)
        done = git("ls-remote", f"{forge.origin}/notes.git")
        assert done.returncode == 128
        assert "doorward login --profile work" in " ".join(done.stderr.split())
        assert "told us to quit" in done.stderr
        assert forge.shown == []


@pytest.fixture
def cluster(issuer: DevIssuer, test_ca: Any) -> Iterator[Service]:
    """A stand-in for a Kubernetes API server that takes ID tokens, as one does that is set up for OpenID Connect."""
    answers = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [{"name": "pods", "namespaced": True, "kind": "Pod", "verbs": ["list"], "shortNames": ["po"]}],
        },
        "/api/v1/namespaces/default/pods": {
            "kind": "PodList",
            "apiVersion": "v1",
            "items": [{"metadata": {"name": "the-only-pod", "namespace": "default"}}],
        },
    }

    def answer(request: Request) -> Answer:
        found = answers.get(request.path)
        status = 404 if found is None else 200
        return Answer(status, [("Content-Type", "application/json")], json.dumps(found or {"kind": "Status"}).encode())

    service = Service(issuer, test_ca, answer, audience="cli")
    yield service
    service.close()


@pytest.fixture
def kubectl(require_peer: Callable[[str, object], None], cluster: Service, test_ca: Any, tmp_path: Path) -> Any:
    """Run kubectl with a kubeconfig that names our helper."""
    require_peer("kubectl", shutil.which("kubectl"))
    minor = int(
        json.loads(ended(run("kubectl", "version", "--client", "-o", "json")))["clientVersion"]["minor"].rstrip("+")
    )

    def do(*arguments: str, version: str = "v1beta1", options: tuple[str, ...] = (), tell: bool = False) -> Any:
        if version == "v1" and minor < 22:  # Debian 12 has an older one
            pytest.skip("kubectl knows v1 since 1.22")
        helper = {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": str(DOORWARD),
            "args": ["credential", "kubectl", "--profile", "work", *options],
            "interactiveMode": "Never",
            "provideClusterInfo": tell,
        }
        server = {"server": cluster.origin, "certificate-authority": str(test_ca.ca)}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": "me", "user": {"exec": helper}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "current-context": "here",
        }
        file = tmp_path / "kubeconfig"
        file.write_text(json.dumps(kubeconfig))  # which is YAML
        return run("kubectl", f"--kubeconfig={file}", f"--cache-dir={tmp_path}/cache", *arguments)

    return do


class TestKubectl:
    @pytest.mark.parametrize("version", ["v1", "v1beta1"])
    def test_lists_with_the_id_token(
        self, kubectl: Any, cluster: Service, work: doorward.Session, version: str
    ) -> None:
        listing = ended(kubectl("get", "pods", "-o", "name", version=version))
        assert listing.strip() == "pod/the-only-pod"
        assert set(cluster.shown) == {work.token("id")}

    def test_the_api_server_may_be_held_to_those_named(
        self, kubectl: Any, cluster: Service, work: doorward.Session
    ) -> None:
        mine, other = ("--origin", cluster.origin), ("--origin", "https://k8s.example.org")
        assert "pod/the-only-pod" in ended(kubectl("get", "pods", "-o", "name", options=mine, tell=True))
        cluster.shown.clear()
        for options, tell, why in ((mine, False, "provideClusterInfo"), (other, True, "is none of the API servers")):
            done = kubectl("get", "pods", options=options, tell=tell)
            assert done.returncode == 1
            assert why in " ".join(done.stderr.split())
        assert cluster.shown == []

    def test_an_ended_session_is_told_with_the_remedy(self, kubectl: Any, cluster: Service) -> None:
        done = kubectl("get", "pods")
        assert done.returncode == 1
        assert "doorward login --profile work" in " ".join(done.stderr.split())
        assert cluster.shown == []


@pytest.fixture
def registry(issuer: DevIssuer, test_ca: Any) -> Iterator[Service]:
    """A registry of one image, ``notes``, that takes a token as Basic's password."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    blob = {"mediaType": "application/octet-stream", "size": 2, "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": blob, "layers": []}).encode()

    def answer(request: Request) -> Answer:
        if not request.path.startswith("/v2/notes/manifests/"):
            return Answer(200, [("Docker-Distribution-Api-Version", "registry/2.0")], b"{}")
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        return Answer(200, [("Content-Type", kind), ("Docker-Content-Digest", digest)], manifest)

    service = Service(issuer, test_ca, answer, challenges=['Basic realm="registry"'])
    yield service
    service.close()


class TestDocker:
    def test_docker_shows_the_token_to_the_registry_that_is_listed(
        self, registry: Service, work: doorward.Session, listed: Listed, tmp_path: Path
    ) -> None:
        if shutil.which("docker") is None:
            pytest.skip("docker's client is missing; its protocol is tested without it, too")
        host = registry.origin.removeprefix("https://")
        (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {host: "doorward"}}))
        path = f"{DOORWARD.parent}{os.pathsep}{os.environ['PATH']}"

        def inspected() -> subprocess.CompletedProcess[str]:
            command = ("docker", "manifest", "inspect", "--insecure", f"{host}/notes:latest")  # it knows the CA nowhere
            return run(*command, DOCKER_CONFIG=str(tmp_path), PATH=path)

        assert inspected().returncode == 1
        assert registry.shown == []
        listed(registry.origin)
        assert json.loads(ended(inspected()))["schemaVersion"] == 2
        assert set(registry.shown) == {work.token()}


class TestAws:
    @pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "nobody"])
    def test_boto3_takes_the_credentials(
        self, request: pytest.FixtureRequest, test_ca: Any, tmp_path: Path, signed_in: Any
    ) -> None:
        session = request.getfixturevalue("work") if signed_in else None
        sts = Server(lambda _: Answer(200, [], CREDENTIALS.encode()), test_ca.certificate, test_ca.key)
        role = ("--role-arn", "arn:aws:iam::123456789012:role/notes", "--endpoint", f"https://localhost:{sts.port}")
        helper = shlex.join([str(DOORWARD), "credential", "aws", "--profile", "work", *role])
        (tmp_path / "config").write_text(f"[default]\ncredential_process = {helper}\n")
        code = "import boto3; print(*boto3.Session().get_credentials().get_frozen_credentials()[:3])"
        try:
            done = run(
                sys.executable, "-c", code, AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_EC2_METADATA_DISABLED="1"
            )
        finally:
            sts.close()
        if session is None:
            assert done.returncode == 1
            assert "doorward login --profile work" in " ".join(done.stderr.split())
            assert sts.requests == []
        else:
            assert ended(done).split() == ["ASIAEXAMPLE", "planted-secret-access-key", "planted-session-token+/="]
            assert [each.form["WebIdentityToken"] for each in sts.requests] == [session.token("id")]


@pytest.fixture
def index(issuer: DevIssuer, test_ca: Any, tmp_path: Path) -> Iterator[Service]:
    """A package index that has one package, ``notes``, for who shows a token."""
    name = "notes-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        wheel.writestr("notes.py", "")
        wheel.writestr("notes-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: notes\nVersion: 1.0\n")
        wheel.writestr("notes-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("notes-1.0.dist-info/RECORD", "")
    pages = {
        "/simple/notes/": Answer(200, [("Content-Type", "text/html")], f'<a href="/files/{name}">{name}</a>'.encode()),
        f"/files/{name}": Answer(200, [], (tmp_path / name).read_bytes()),
    }
    service = Service(issuer, test_ca, lambda request: pages.get(request.path, Answer(404)))
    yield service
    service.close()


class TestPip:
    @pytest.fixture
    def pip(self, index: Service, test_ca: Any, tmp_path: Path) -> Callable[[str], Any]:
        """Have pip fetch the package, with the keyring in its own process or in one that it starts."""
        (tmp_path / "bin").mkdir()  # pip takes none that is beside itself
        (tmp_path / "bin" / "keyring").symlink_to(Path(sysconfig.get_path("scripts")) / "keyring")

        def fetch(provider: str, user: str = "") -> subprocess.CompletedProcess[str]:
            url = index.origin.replace("https://", f"https://{user}") + "/simple"
            options = ["--keyring-provider", provider, "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
            what = ["download", "--no-deps", "--index-url", url, "--dest", str(tmp_path / "got"), "notes"]
            path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
            own = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "PATH": path}
            own |= dict.fromkeys(("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(test_ca.ca))
            return run(sys.executable, "-m", "pip", *options, *what, **own)

        return fetch

    @pytest.mark.parametrize(("provider", "user"), [("import", ""), ("subprocess", "oauth2@")])
    def test_fetches_from_an_index_that_is_listed(
        self, pip: Callable[..., Any], index: Service, work: doorward.Session, listed: Listed, provider: str, user: str
    ) -> None:
        assert pip(provider, user).returncode == 1
        assert index.shown == []
        listed(index.origin)
        ended(pip(provider, user))
        assert set(index.shown) == {work.token()}

    def test_another_user_gets_nothing_and_an_ended_session_says_so(
        self, pip: Callable[..., Any], index: Service, listed: Listed
    ) -> None:
        listed(index.origin)
        done = pip("import", "alice@")
        assert "doorward" not in done.stdout + done.stderr
        done = pip("import")
        assert done.returncode == 1
        assert "doorward login --profile work" in " ".join((done.stdout + done.stderr).split())
        assert index.shown == []
