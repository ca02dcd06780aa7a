"""``DevIssuer``, the face of this room: starts and stops the server, and turns calls into state. No protocol here."""

from __future__ import annotations

import dataclasses
import socket
from typing import TYPE_CHECKING, Any, Self

from doorward.errors import ConfigurationError
from doorward.model import Secret
from doorward.system import SystemClock, SystemEntropy
from doorward.testing.lies.habits import HABIT_SWITCHES
from doorward.testing.lies.misbehaviours import LIES
from doorward.testing.provider.app import App
from doorward.testing.provider.core import ENDPOINTS, Core
from doorward.testing.provider.endpoints.tokens import id_token, mint_access_token
from doorward.testing.provider.faults import make_fault
from doorward.testing.provider.keys import KeyRing
from doorward.testing.provider.rules import GRANT_TYPES, Client, Rules, User, is_loopback_host, usual_methods
from doorward.testing.provider.server import Server
from doorward.testing.provider.store import Authorization

if TYPE_CHECKING:
    import contextlib
    import ssl
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from doorward.ports import Clock, Entropy
    from doorward.protocol.jwk import SigningKey
    from doorward.testing.provider.app import RequestRecord
    from doorward.testing.provider.core import EndpointName
    from doorward.testing.provider.faults import FaultKind
    from doorward.testing.provider.rules import AuthenticationMethod, Platform, RedirectRule

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
        """Bind the port and serve from a background thread; after a stop, where it was and with what it knew."""
        if self._server is not None:
            raise ConfigurationError("This DevIssuer runs already; make another.", field="start", reason="running")
        address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][4]
        try:
            server = Server((str(address[0]), self._port), self._app, tls=self._tls)
        except OSError as error:
            raise ConfigurationError(
                f"DevIssuer can't listen at {self._host}, port {self._port}: choose another, or 0 for a free one.",
                field="port",
                reason="port",
            ) from error
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._core.origin = f"{'https' if self._tls else 'http'}://{name}:{server.port}"
        server.start()
        self._server, self._port = server, server.port
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
                f"DevIssuer has no rule {unknown[0]}; see doorward.testing.Rules.",
                field=unknown[0],
                reason="no_such_rule",
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
        platform: Platform | None = None,
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
            platform: where it runs, whose tokens prove it, and may be exchanged.
        """
        client = Client(
            client_id=client_id,
            secret=None if secret is None else Secret(secret),
            methods=tuple(methods or usual_methods(secret, jwks, platform)),
            redirect_uris=tuple(redirect_uris),
            redirect_rule=redirect_rule or ("any_port_ip" if redirect_uris else "any_loopback"),
            grant_types=tuple(grant_types),
            jwks=jwks,
            id_token_signed_response_alg=id_token_signed_response_alg,
            platform=platform,
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

    def sign_out_everywhere(self) -> None:
        """Forget the browser sessions: the next ``prompt=none`` ends in ``login_required``."""
        with self._core.lock:
            self._core.store.sessions.clear()

    def decide_device(self, user_code: str, *, user: str | None) -> None:
        """Answer a device as its verification page would: allowed by ``user``, or denied where that is None."""
        with self._core.lock:
            device = self._core.store.device_by_user_code(user_code)
            person = None if user is None else self._core.users.get(user)
            if device is None or (user is not None and person is None):
                raise ConfigurationError(
                    "No device waits for this code, or there is no such user.",
                    field="user_code",
                    reason="no_such_device",
                )
            device.decide(person.subject if person else None, now=self._core.now())

    # What happens to keys and tokens

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign with new keys from now on. The old ones stay published, or vanish without notice."""
        with self._core.lock:
            self._core.keys.current(self._core.rules.signing_algorithm)
            self._core.keys.rotate(keep_old=keep_old)

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs at the moment, private half and all: for tokens that no issuer would make."""
        with self._core.lock:
            return self._core.keys.current(self._core.rules.signing_algorithm)

    def revoke_everything(self, subject: str) -> None:
        """End all codes, tokens and refresh tokens of one person or service."""
        with self._core.lock:
            self._core.store.revoke_subject(subject)

    def issue_access_token(
        self,
        subject: str,
        *,
        audience: str | Sequence[str] | None = None,
        scopes: Sequence[str] = (),
        client_id: str = "dev-client",
        **overrides: Any,
    ) -> str:
        """Make an access token (RFC 9068) as the token endpoint would, for the tests of a guard.

        Args:
            subject: ``sub``; the subject of a user brings that person's groups.
            audience: ``aud``; without it the default audience.
            scopes: ``scope``.
            client_id: ``client_id``.
            overrides: claims to replace or add; one of None is left out.
        """
        audiences = (audience,) if isinstance(audience, str) else tuple(audience or ())
        with self._core.lock:
            authorization = self._authorization(subject, client_id, tuple(scopes), audiences)
            return mint_access_token(self._core, authorization, tuple(scopes), overrides=overrides)[0]

    def issue_id_token(
        self, subject: str, *, client_id: str, scopes: Sequence[str] = ("openid",), nonce: str | None = None
    ) -> str | None:
        """Make an ID token as the token endpoint would, without an access token beside it."""
        with self._core.lock:
            authorization = self._authorization(subject, client_id, tuple(scopes), ())
            moment = self._core.moment(client_id=client_id)
            return id_token(self._core, authorization, scopes=tuple(scopes), nonce=nonce, moment=moment)

    def _authorization(
        self, subject: str, client_id: str, scopes: tuple[str, ...], audience: tuple[str, ...]
    ) -> Authorization:
        _ = self.url  # an issuer without an address can't sign
        return Authorization(client_id, subject, scopes, audience, auth_time=self._core.now())

    # Lies, habits, faults

    def misbehave(self, *names: str) -> contextlib.ExitStack:
        """Tell lies out of ``MISBEHAVIOURS``, until ``behave()``; or, as a context manager, until its end."""
        with self._core.lock:
            return self._core.board.turn_on(LIES, names)

    def adopt(self, *names: str) -> contextlib.ExitStack:
        """Take on habits out of ``HABITS``, in the same way."""
        with self._core.lock:
            return self._core.board.turn_on(HABIT_SWITCHES, names)

    def behave(self) -> None:
        """Be honest and standard again: every lie, habit and waiting fault ends."""
        with self._core.lock:
            self._core.board.clear()
            self._app.faults.clear()

    def fail(  # noqa: PLR0913 - keyword-only, and each has a default
        self,
        endpoint: EndpointName,
        kind: FaultKind = "status",
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        delay_s: float = 0,
        times: int | None = 1,
        done: bool | None = None,
    ) -> None:
        """Let the next requests to an endpoint go wrong.

        Args:
            endpoint: which one.
            kind: how: ``status``, ``html``, ``garbage``, ``reset``, ``close``, ``hang``, ``truncated``, ``slow_body``
                or ``delay``.
            status: of ``status`` (503 if not given) and ``html`` (200).
            headers: sent with ``status`` and ``html``, such as ``Retry-After``.
            body: sent instead of the usual one.
            delay_s: how long to wait before it goes wrong.
            times: for how many requests; None for all until ``behave()``.
            done: the request takes effect before its answer goes wrong. Without it, that is so for ``truncated``,
                ``slow_body`` and ``delay``, whose answer has to be right.
        """
        if endpoint not in ENDPOINTS:
            message = f"This issuer has no endpoint {endpoint}; choose out of {', '.join(ENDPOINTS)}."
            raise ConfigurationError(message, field="endpoint", reason="no_such_endpoint")
        fault = make_fault(kind, status=status, headers=headers, body=body, delay_s=delay_s, done=done)
        with self._core.lock:
            self._app.faults.add(endpoint, fault, times)

    # What was asked

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The latest 10,000 requests, oldest first. They hold no parameter but the grant type."""
        with self._core.lock:
            return tuple(self._app.records)

    def count(self, endpoint: EndpointName, *, grant_type: str | None = None) -> int:
        """Count the requests that came to an endpoint."""
        return sum(record.endpoint == endpoint and grant_type in {None, record.grant_type} for record in self.requests)
