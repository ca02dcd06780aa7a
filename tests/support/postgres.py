"""A real PostgreSQL server on loopback, for tests: made from nothing in a second, stopped and started at will."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_DEADLINE_S = 30.0
_USER, _PASSWORD = "doorward", "planted-database-password"


def find_programs() -> Path | None:
    """Return the folder of the server's programs, None without one. Debian keeps them off the PATH."""
    if shutil.which("setpriv") is None:
        return None
    on_path = shutil.which("postgres")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda each: int(each.parts[-3]))
    found = [*debian, *([Path(on_path).resolve()] if on_path else [])]
    return found[-1].parent if found else None


class PostgreSQL:
    """One server. It ends with this process, also if that is killed."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="doorward-pg-"))  # the server's user can't reach pytest's folders
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._as_server = ["setpriv", "--pdeathsig=QUIT"]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as_server += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)  # it is known to everybody who reads this
        self._run("initdb", "--no-sync", "--username", _USER, "--auth=scram-sha-256", f"--pwfile={password}")

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, durable: bool = False) -> None:
        """Start it. What was committed reaches the disk only if it is to be ``durable``."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*self._as_server, self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"),
                    *("-c", f"fsync={'on' if durable else 'off'}"),
                ],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for the tests alone
            )
        give_up_at = time.monotonic() + _DEADLINE_S
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                said = (self._folder / "log").read_text()
                assert self._process.poll() is None, f"PostgreSQL ended:\n{said}"
                assert time.monotonic() < give_up_at, f"PostgreSQL did not start:\n{said}"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End the server as a crash does: connections break, nothing is finished."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_DEADLINE_S)
            self._process = None

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test{next(self._numbers)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=int(_DEADLINE_S))

    def _url(self, database: str) -> str:
        return f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_server, self._programs / program, "-D", self._folder / "data", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_S,
            cwd=self._folder,
        )
        assert not done.returncode, done.stderr
