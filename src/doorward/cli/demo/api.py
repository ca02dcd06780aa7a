"""The demo's API: one address on loopback that answers whoever has an access token meant for it.

It is what a service looks like: an ASGI application that reads its principal, behind ``GuardMiddleware``, on a server.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import ConfigurationError, UnavailableError
from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.integrations.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import uvicorn

    from doorward.guard.audit.decisions import Decision
    from doorward.ports import Clock

__all__ = ["NotesApi"]

_DEADLINE_S = 10.0
_TICK_S = 0.01


class NotesApi:
    """An API that knows one issuer. Use it as a context manager; that raises ConfigurationError without a server.

    ``url`` is its address and the audience it answers to. ``refusals`` is its log, newest last: why, for its owner's
    eyes alone.
    """

    def __init__(self, issuer: str, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._opened = ExitStack()
        self.url = ""
        self.refusals: list[Decision] = []

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/notes"
            guard = self.make_guard()
            opened.callback(guard.close)
            opened.enter_context(self._served(GuardMiddleware(_notes, guard), listener))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    def make_guard(self) -> Guard:
        """Say whom the API lets in: who has an access token by its issuer, meant for it. The rest is the guard's."""
        issuer = Issuer(self._issuer, audiences=[self.url], token_type="access", insecure_loopback_http=True)  # noqa: S106 - no password
        return Guard([issuer], audit=self, clock=self._clock)

    def record(self, decision: Decision) -> None:
        """Keep a refusal: the guard's audit log calls this."""
        if decision.outcome != "accepted":
            self.refusals.append(decision)

    @contextmanager
    def _served(self, app: GuardMiddleware, listener: socket.socket) -> Iterator[None]:
        try:
            import uvicorn
        except ImportError:
            message = "The demo's API needs a server: pip install 'doorward[demo]'."
            raise ConfigurationError(message, field="demo", reason="no_server") from None
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="doorward-demo-api", daemon=True)
        thread.start()
        try:
            self._await_start(server, thread)
            yield
        finally:
            server.should_exit = True
            thread.join(_DEADLINE_S)

    def _await_start(self, server: uvicorn.Server, thread: threading.Thread) -> None:
        give_up_at = self._clock.monotonic() + _DEADLINE_S
        while not server.started:
            if not thread.is_alive() or self._clock.monotonic() > give_up_at:
                raise UnavailableError("The demo's API did not start. Try again.", reason="api_not_started")
            self._clock.sleep(_TICK_S)


async def _notes(scope: Any, _receive: Any, send: Any) -> None:
    """Answer with who is calling: what an application does not have to find out by itself."""
    if scope["type"] != "http":
        return
    caller = scope["doorward.principal"]
    principal = {
        "issuer": caller.issuer,
        "subject": caller.subject,
        "audience": list(caller.audience),
        "scopes": list(caller.scopes),
        "expires_at": caller.expires_at,
    }
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(principal).encode()})
