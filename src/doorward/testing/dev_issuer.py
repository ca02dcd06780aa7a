"""``DevIssuer``, the face of this room: starts and stops the server, and turns calls into state. No protocol here."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from typing import TYPE_CHECKING, Any, Literal, Self

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.system import SystemClock, SystemEntropy
from doorward.testing.app import App
from doorward.testing.core import Core
from doorward.testing.faults import DONE_FIRST, FAULTS, Fault
from doorward.testing.keys import KeyRing
from doorward.testing.rules import GRANT_TYPES, Client, Rules, User, is_loopback_host
from doorward.testing.server import Server
from doorward.testing.store import Authorization
from doorward.testing.tokens import id_token, mint_access_token

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from doorward.ports import Clock, Entropy
    from doorward.testing.app import RequestRecord
    from doorward.testing.core import EndpointName
    from doorward.testing.faults import FaultKind
    from doorward.testing.rules import AuthenticationMethod, RedirectRule

__all__ = ["DevIssuer"]


class DevIssuer:
    """An OpenID provider for development and tests, on loopback only. Never use it in production.

    Start it with ``with DevIssuer() as issuer:`` or ``start()`` and ``stop()``. Until told otherwise with
    ``sign_in_as`` or ``deny``, it shows a person a page to choose a user.

    Args:
        host: a loopback address or ``localhost``.
        port: 0 for a free one.
        path: the path of the issuer, such as ``/realms/x``.
        trailing_slash: the issuer identifier ends in ``/``.
        tls: a server context makes it https.
        rules: how it behaves while it is honest.
        clock: the clock of every lifetime, and of the ``Date`` header.
        entropy: makes codes and tokens.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "",
        trailing_slash: bool = False,
        tls: ssl.SSLContext | None = None,
        rules: Rules | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        if not is_loopback_host(host):
            raise ConfigurationError(
                "DevIssuer lets anybody sign in as anybody, so it serves loopback addresses only: use 127.0.0.1.",
                field="host",
                reason="not_loopback",
            )
        if path and (not path.startswith("/") or path.endswith("/") or not path.isascii() or "?" in path):
            raise ConfigurationError(
                "path begins with a slash and does not end in one; trailing_slash=True adds it to the issuer.",
                field="path",
                reason="path",
            )
        self._host, self._port, self._tls = host, port, tls
        self._core = Core(
            clock=clock or SystemClock(),
            entropy=entropy or SystemEntropy(),
            keys=KeyRing(),
            base_rules=rules or Rules(),
            path=path,
            trailing_slash=trailing_slash,
        )
        self._app = App(self._core)
        self._server: Server | None = None

    def start(self) -> Self:
        """Bind the port and serve from a background thread."""
        if self._server is not None:
            raise ConfigurationError("This DevIssuer runs already; make another.", field="start", reason="running")
        address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][4]
        server = Server((str(address[0]), self._port), self._app, tls=self._tls)
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._core.origin = f"{'https' if self._tls else 'http'}://{name}:{server.port}"
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """Close the port and end every connection. Never waits for a client; may be called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<DevIssuer {self._core.issuer if self._server else 'stopped'}>"

    @property
    def url(self) -> str:
        """The issuer identifier."""
        if not self._core.origin:
            raise ConfigurationError(
                "This DevIssuer has no address before it is started: use it as a context manager or call start().",
                field="url",
                reason="not_started",
            )
        return self._core.issuer

    @property
    def clock(self) -> Clock:
        """The clock it was given."""
        return self._core.clock

    @property
    def rules(self) -> Rules:
        """The rules in force, with what is switched on."""
        with self._core.lock:
            return self._core.rules

    def endpoint(self, name: EndpointName) -> str:
        """Return the URL of an endpoint."""
        return self._core.endpoint(name)

    def change(self, **rules: Any) -> None:
        """Change rules while it runs: ``issuer.change(rotation="same", access_token_lifetime_s=300)``."""
        known = {field.name for field in dataclasses.fields(Rules)}
        unknown = sorted(set(rules) - known)
        if unknown:
            raise ConfigurationError(
                f"DevIssuer has no rule {unknown[0]}; see doorward.testing.Rules.", field=unknown[0], reason="no_such_rule"
            )
        with self._core.lock:
            self._core.base_rules = dataclasses.replace(self._core.base_rules, **rules)

    # Who may ask, and who signs in

    def add_client(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        client_id: str,
        *,
        secret: str | None = None,
        methods: Sequence[AuthenticationMethod] | None = None,
        redirect_uris: Sequence[str] = (),
        redirect_rule: RedirectRule | None = None,
        grant_types: Sequence[str] = GRANT_TYPES,
        jwks: bytes | None = None,
        id_token_signed_response_alg: str | None = None,
    ) -> Client:
        """Register a client, or replace one.

        Args:
            client_id: its name.
            secret: makes it confidential.
            methods: how it may authenticate; without it, ``none``, both ways of sending ``secret``, or
                ``private_key_jwt`` where ``jwks`` is given.
            redirect_uris: where the browser may be sent.
            redirect_rule: how they are compared. ``any_loopback`` (the default without redirect_uris) takes any http
                URL on this machine; ``any_port_ip`` (the default with them) and ``any_port_localhost`` let the port
                vary for IP literals or for localhost; ``exact`` lets nothing vary.
            grant_types: what it may use.
            jwks: the JWK Set that its assertions are verified with.
            id_token_signed_response_alg: signs its ID tokens.
        """
        if methods is None:
            methods = ("client_secret_basic", "client_secret_post") if secret is not None else ("none",)
            methods = ("private_key_jwt",) if jwks is not None else methods
        client = Client(
            client_id=client_id,
            secret=None if secret is None else Secret(secret),
            methods=tuple(methods),
            redirect_uris=tuple(redirect_uris),
            redirect_rule=redirect_rule or ("any_port_ip" if redirect_uris else "any_loopback"),
            grant_types=tuple(grant_types),
            jwks=jwks,
            id_token_signed_response_alg=id_token_signed_response_alg,
        )
        with self._core.lock:
            self._core.clients[client_id] = client
        return client

    def add_user(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        name: str,
        *,
        subject: str | None = None,
        email: str | None = None,
        email_verified: bool = True,
        full_name: str | None = None,
        groups: Sequence[str] = (),
        claims: Mapping[str, Any] | None = None,
    ) -> User:
        """Add a person, or replace one. ``subject`` is the name where it is not given."""
        user = User(
            name=name,
            subject=name if subject is None else subject,
            email=email,
            email_verified=email_verified,
            full_name=full_name,
            groups=tuple(groups),
            claims=dict(claims or {}),
        )
        with self._core.lock:
            self._core.users[name] = user
        return user

    def sign_in_as(self, name: str) -> None:
        """Answer every sign-in at once, as this person."""
        with self._core.lock:
            if name not in self._core.users:
                raise ConfigurationError("Add this user with add_user first.", field="name", reason="no_such_user")
            self._core.mode, self._core.automatic_user = "sign_in", name

    def deny(self) -> None:
        """Answer every sign-in with ``access_denied``."""
        with self._core.lock:
            self._core.mode = "deny"

    def ask(self) -> None:
        """Show every sign-in a page for a person to decide."""
        with self._core.lock:
            self._core.mode = "ask"
