"""What holds for every test: it stays on loopback, has a vault folder of its own, and knows nothing of this machine.

Here too: the fixtures that tests of more than one room use. Those for other real counterparts are in peers/conftest.py.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import ipaddress
import itertools
import os
import runpy
import shutil
import signal
import stat
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pgbouncer
import postgres
import pytest
import secret_service
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secret_service import SessionBus

pytest_plugins = ["pytester"]  # for the tests of our own pytest plugin; only this file may name it

_LOOPBACK_ONLY = Path(__file__).parent / "loopback_only"

# What a developer's shell may say, and no test may depend on.
_AMBIENT = {
    "ALL_PROXY", "BROWSER", "DISPLAY", "HTTPS_PROXY", "HTTP_PROXY", "NODE_EXTRA_CA_CERTS", "NO_PROXY",
    "SSH_CONNECTION", "SSL_CERT_DIR", "SSL_CERT_FILE", "WAYLAND_DISPLAY",
}  # fmt: skip

_OURS = {"DOORWARD_REQUIRE_PEERS"}


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.upper() in _AMBIENT or (name.startswith("DOORWARD_") and name not in _OURS):
            del os.environ[name]
    _give_signals_back()
    runpy.run_path(str(_LOOPBACK_ONLY / "sitecustomize.py"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_LOOPBACK_ONLY), *filter(None, [os.environ.get("PYTHONPATH")])])


def _give_signals_back() -> None:
    """Let programs that tests start be stopped by signals.

    A shell that starts us in the background has us ignore SIGINT, nohup SIGHUP, and what is ignored stays so in
    children. What is handled does not: they begin with the default.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


_homes = itertools.count()


@pytest.fixture(autouse=True)
def doorward_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not there yet, new for each test: no test sees a person's vault, or another test's."""
    home = tmp_path_factory.getbasetemp() / f"home-{next(_homes)}"
    monkeypatch.setenv("DOORWARD_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def require_peer() -> Callable[[str, object], None]:
    """Skip the test where a real counterpart is missing; fail where DOORWARD_REQUIRE_PEERS=1 says it must be there."""

    def require(name: str, present: object) -> None:
        if present:
            return
        if os.environ.get("DOORWARD_REQUIRE_PEERS") == "1":
            pytest.fail(f"{name} is missing; scripts/peers installs it", pytrace=False)
        pytest.skip(f"{name} is missing; scripts/peers installs it")

    return require


@pytest.fixture(scope="session")
def postgresql_server(require_peer: Callable[[str, object], None]) -> Iterator[postgres.PostgreSQL]:
    """One real PostgreSQL server for this worker. Who stops it starts it again. Mark the tests ``peer``."""
    programs = postgres.find_programs()
    require_peer("PostgreSQL", programs)
    assert programs is not None
    with contextlib.closing(postgres.PostgreSQL(programs)) as server:
        server.start()
        yield server


@pytest.fixture
def read_only_mount(require_peer: Callable[[str, object], None]) -> Callable[[Path], list[str]]:
    """Return the beginning of a command to which a folder is read-only, and to no other. Mark the tests ``peer``."""

    def beginning(folder: Path) -> list[str]:
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *as_root, "--mount", "sh", "-c", mount, str(folder)]
        tried = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=30)
        require_peer("The right to mount (unshare --mount)", not tried.returncode)
        return command

    return beginning


@pytest.fixture
def session_bus(require_peer: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A session bus of this test's own, with no keyring on it yet: see ``start_keyring``. Mark the tests ``peer``."""
    programs = secret_service.find_programs()
    require_peer("A Secret Service (gnome-keyring, dbus)", programs)
    assert programs is not None
    with contextlib.closing(secret_service.SessionBus(programs)) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield bus


@pytest.fixture
def prompter(session_bus: SessionBus) -> Iterator[Callable[[], bool]]:
    """Stand where the keyring's windows come from; tell whether one was asked for."""
    with secret_service.windows_of(session_bus.address) as asked:
        yield asked


@pytest.fixture(scope="session")
def pgbouncer_server(
    require_peer: Callable[[str, object], None], postgresql_server: postgres.PostgreSQL
) -> Iterator[pgbouncer.PgBouncer]:
    """One real PgBouncer before that server. Mark the tests ``peer``."""
    program = pgbouncer.find_program()
    require_peer("PgBouncer", program)
    assert program is not None
    with contextlib.closing(pgbouncer.PgBouncer(program, postgresql_server.port)) as pooler:
        yield pooler


@pytest.fixture
def pooled(pgbouncer_server: pgbouncer.PgBouncer, postgresql: str) -> str:
    """The URL of an empty PostgreSQL database behind PgBouncer, where each transaction has another session."""
    return pgbouncer_server.url_of(postgresql)


@pytest.fixture
def postgresql(postgresql_server: postgres.PostgreSQL) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgresql_server.new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind, which an SQLite file becomes when it is first used."""
    postgresql: str = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    return postgresql or f"sqlite:///{tmp_path}/keys.db"


def _descriptors() -> dict[int, os.stat_result]:
    folder = next(folder for folder in (Path("/proc/self/fd"), Path("/dev/fd")) if folder.is_dir())
    found = {}
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):  # the descriptor that listed the folder is closed again
            found[int(entry.name)] = os.fstat(int(entry.name))
    return found


def _held() -> set[str]:
    """Everything this process holds that a test could leave behind: threads and open descriptors."""
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return threads | {
        f"descriptor {number} ({'socket' if stat.S_ISSOCK(info.st_mode) else 'file'} {info.st_ino})"
        for number, info in _descriptors().items()
    }


@contextlib.contextmanager
def _leak_check(deadline_s: float = 30.0) -> Iterator[None]:
    gc.collect()
    before = _held()
    yield
    give_up_at = time.monotonic() + deadline_s
    while (leaked := _held() - before) and time.monotonic() < give_up_at:
        gc.collect()
        time.sleep(0.02)
    assert not leaked, f"left behind: {sorted(leaked)}"


@pytest.fixture
def leak_check() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Fail if what runs inside ``with leak_check():`` leaves a thread or an open descriptor (a listener is one)."""
    return _leak_check


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Hold a whole test to ``leak_check``."""
    with _leak_check():
        yield


@pytest.fixture
def listening() -> Callable[[], set[tuple[str, int]]]:
    """Ask the operating system for the (address, port) pairs this process listens on. Linux only."""

    def ask() -> set[tuple[str, int]]:
        own = {info.st_ino for info in _descriptors().values() if stat.S_ISSOCK(info.st_mode)}
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[9]) in own:
                    address, port = fields[1].split(":")
                    found.add((_kernel_address(address), int(port, 16)))
        return found

    return ask


def _kernel_address(text: str) -> str:
    """Read the kernel's hexadecimal address: 32-bit words, each in the machine's byte order."""
    words = bytes.fromhex(text)
    packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return str(ipaddress.ip_address(packed))


# Providers, stand-ins and what they need of cookies: a name within another's domain, and its sibling.
_INSTITUTION_HOSTS = (
    "sp.localhost", "idp.localhost", "go.openathens.localhost", "cas.localhost", "library.localhost",
    "ezproxy.localhost", "*.ezproxy.localhost", "publisher.localhost", "*.publisher.localhost",
)  # fmt: skip


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this run alone, and one server certificate by it for every loopback name."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def test_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    made = Authority(folder / "ca.pem", folder / "leaf.pem", folder / "leaf.key")
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Doorward test authority")])
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    hosts = [
        x509.DNSName("localhost"),
        x509.DNSName("op.test"),
        *map(x509.DNSName, _INSTITUTION_HOSTS),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    ca_usage = _key_usage(key_cert_sign=True, crl_sign=True)
    ca = (
        _certificate(ca_name, ca_key.public_key(), ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(ca_usage, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _certificate(leaf_name, leaf_key.public_key(), ca_name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    made.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _certificate(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=7))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(**used: bool) -> x509.KeyUsage:
    kinds = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{kind: used.get(kind, False) for kind in kinds})


@pytest.fixture
def trust_test_ca(test_ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python trust the test authority, and nothing else, for one test and the children it starts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(test_ca.ca))


@pytest.fixture
def display(require_peer: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A screen that nobody sees, for browsers with a window. Mark the tests ``peer``."""
    program = shutil.which("Xvfb")
    require_peer("Xvfb", program)
    assert program is not None
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        monkeypatch.setenv("DISPLAY", f":{told.readline().strip()}")
    yield os.environ["DISPLAY"]
    server.terminate()
    server.wait(10)
