"""A real PgBouncer on loopback, in transaction mode: two sessions at the server serve however many come."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

_DEADLINE_S = 30.0
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port} user=doorward password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


def find_program() -> Path | None:
    """Return the program, None without one. Debian keeps it off some people's PATH."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return Path(found) if found and shutil.which("setpriv") else None


class PgBouncer:
    """One pooler before one server. It ends with this process, also if that is killed."""

    def __init__(self, program: Path, server_port: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="doorward-pgbouncer-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = self._folder / "pgbouncer.ini"
        password = "planted-database-password"  # known to everybody who reads this
        settings.write_text(_SETTINGS.format(server_port=server_port, port=self.port, password=password))
        as_user = ["setpriv", "--pdeathsig=TERM"]
        if os.geteuid() == 0:  # it refuses to run as root
            account = pwd.getpwnam("postgres")
            for path in (self._folder, settings):
                os.chown(path, account.pw_uid, account.pw_gid)
            as_user += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*as_user, program, settings], stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )
        self._wait()

    def url_of(self, url: str) -> str:
        """Return the address of a database of the server, through here."""
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{self.port}")).geturl()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(_DEADLINE_S)
        shutil.rmtree(self._folder)

    def _wait(self) -> None:
        give_up_at = time.monotonic() + _DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                said = (self._folder / "log").read_text()
                assert self._process.poll() is None, f"PgBouncer ended:\n{said}"
                assert time.monotonic() < give_up_at, f"PgBouncer did not start:\n{said}"
                time.sleep(0.02)
            else:
                return
