"""What stands before an application, whatever speaks to it: from a request to who is calling, or to why it is refused.

A request is read as the *scope* of ASGI: a dictionary with ``type``, ``method``, ``path``, ``raw_path``, ``headers``
(names in lower case), ``client``, ``scheme``. Adapters of other interfaces make one. What was found out is put into it,
under names that no client can write: ``doorward.guard``, ``doorward.scopes``, ``doorward.principal``,
``doorward.credential``.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from doorward.errors import Forbidden
from doorward.guard.addresses import Networks, client_address
from doorward.integrations.gate.credential_places import AUTHORIZATION, CredentialPlaces
from doorward.integrations.gate.identity_headers import IdentityHeaders
from doorward.integrations.gate.protected_resource import ProtectedResource
from doorward.integrations.gate.public_paths import PublicPaths
from doorward.integrations.gate.refusals import Refusals
from doorward.model import Principal, Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from doorward.guard.guard import Guard
    from doorward.guard.work import Work

__all__ = ["Doorkeeper", "Gate", "Passing", "Scope", "is_cors_preflight"]

Scope: TypeAlias = MutableMapping[str, Any]

_AUTHORIZATION = b"authorization"
_PREFLIGHT = b"access-control-request-method"
_NOT_IN_PREFLIGHT = frozenset({b"authorization", b"cookie", b"content-type"})
_OVERRIDES = (b"x-http-method", b"x-method-override")  # by which some frameworks take a request for another
_LOST = "\ufffd"  # what stands for bytes that are no UTF-8


class Doorkeeper:
    """What the gate and a framework's own dependency share: from the scope of a request to its principal.

    Args:
        guard: who decides.
        trusted_proxies: networks whose ``X-Forwarded-For`` is believed; None for the guard's own.
        credentials: where the credential may be.
        allowed_origins: whose pages may send a cookie.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        trusted_proxies: Iterable[str] | None = None,
        credentials: Iterable[str] = AUTHORIZATION,
        allowed_origins: Iterable[str] = (),
    ) -> None:
        self.guard = guard
        self.places = CredentialPlaces(credentials, allowed_origins=allowed_origins)
        self._trusted = None if trusted_proxies is None else Networks.parse(trusted_proxies, field="trusted_proxies")

    def ask(
        self, scope: Scope, authorization: str | None, scopes: Sequence[str], *, again: bool = False
    ) -> Principal | Work[Principal]:
        """Return what ``Guard.begin`` returns for a request. ``again``: it was let in already, and is in the audit."""
        guard = self.guard
        resource = _resource(scope) if guard.keeps_records else None  # else nobody wants to know
        client_ip = self._client_address(scope)
        if again:
            return guard.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource, recorded=True)
        return guard.begin(authorization, client_ip=client_ip, scopes=scopes, resource=resource)

    def credential(self, scope: Scope) -> str | None:
        """Return what the guard is asked about, which behind a middleware of the same guard is what that one found.

        Raises:
            Forbidden: there is a cookie alone, and another site's page may have sent it. The guard records that.
        """
        if self.is_behind_gate(scope):
            found: Secret | None = scope["doorward.credential"]
            return _authorization(scope) if found is None else found.reveal()
        return _authorization(scope) if self.places.is_usual else self.find(scope)

    def find(self, scope: Scope) -> str | None:
        """Return what stands in one of the places, where these are not the usual one. Raises as ``credential``."""
        try:
            return self.places.find(scope)
        except Forbidden as error:
            resource = _resource(scope) if self.guard.keeps_records else None
            self.guard.record_refusal(error, client_ip=self._client_address(scope), resource=resource)
            raise

    def is_behind_gate(self, scope: Scope) -> bool:
        """Say whether a middleware of the same guard let the request in."""
        return scope.get("doorward.guard") is self.guard and scope["doorward.principal"] is not None

    def admit(
        self, scope: Scope, scopes: Sequence[str], *, optional: bool = False
    ) -> Principal | Work[Principal] | None:
        """Return who is calling; None where nobody says who, and that is ``optional``. Errors are the guard's."""
        credential = self.credential(scope)
        if credential is None and optional:
            return None
        return self.ask(scope, credential, scopes, again=self.is_behind_gate(scope))

    def _client_address(self, scope: Scope) -> str | None:
        client = scope.get("client")
        peer = client[0] or None if client else None
        trusted = self.guard.trusted_proxies if self._trusted is None else self._trusted
        if not trusted:
            return peer
        forwarded_for = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer, forwarded_for, trusted)


class Passing(Enum):
    """A request of which nobody is asked for a credential."""

    PUBLIC = "public"
    PREFLIGHT = "preflight"
    DOCUMENT = "document"


class Gate:
    """The settings of a middleware, and what it does up to the waiting. ``GuardMiddleware`` says what each setting is.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each
        self,
        guard: Guard,
        *,
        public_paths: Iterable[str],
        optional_paths: Iterable[str],
        credentials: Iterable[str],
        allowed_origins: Iterable[str],
        trusted_proxies: Iterable[str] | None,
        scopes: Collection[str],
        realm: str | None,
        resource: ProtectedResource | None,
        resource_metadata: str | None,
        identity_headers: Iterable[str],
        only_headers: Iterable[str] | None,
    ) -> None:
        self.guard = guard
        self.doorkeeper = Doorkeeper(
            guard, trusted_proxies=trusted_proxies, credentials=credentials, allowed_origins=allowed_origins
        )
        if resource is not None and resource_metadata is None:
            resource_metadata = resource.metadata_url
        self.scopes = tuple(scopes)
        self.refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._is_usual = self.doorkeeper.places.is_usual
        self._public = PublicPaths(public_paths)
        self._optional = PublicPaths(optional_paths, field="optional_paths")
        self._resource = resource or ProtectedResource.at(resource_metadata)
        self._stripped = IdentityHeaders(identity_headers, only=only_headers)

    def enter(self, scope: Scope) -> Scope:
        """Return a scope of our own for a request, in which nobody has said yet who is calling."""
        inner = {
            **scope,
            "doorward.guard": self.guard,
            "doorward.scopes": self.scopes,
            "doorward.principal": None,
            "doorward.credential": None,
        }
        if type(scope["headers"]) is not list:  # it is read more than once
            inner["headers"] = list(scope["headers"])
        return inner

    def begin(self, scope: Scope) -> tuple[str | None, Principal | Work[Principal] | Passing | None]:
        """Return a request's credential, and who is calling, or how to find out; None where nobody says, and may so.

        Raises:
            InvalidCredential, Forbidden, Throttled, UnavailableError: it is refused; ``refusals`` has the answer.
        """
        if scope.get("method") == "OPTIONS" and is_cors_preflight(scope):
            return None, Passing.PREFLIGHT
        path, raw_path = scope["path"], scope.get("raw_path")
        if self._public.includes(path, raw_path):
            return None, Passing.PUBLIC
        if self._resource is not None and self._resource.is_asked_for(scope):
            return None, Passing.DOCUMENT
        credential = _authorization(scope) if self._is_usual else self.doorkeeper.find(scope)
        if credential is None and self._optional.includes(path, raw_path):
            return None, None
        return credential, self.doorkeeper.ask(scope, credential, self.scopes)

    def open(self, scope: Scope, credential: str | None, principal: Principal | None, *, is_preflight: bool) -> None:
        """Tell the application who is calling, and keep from it the headers that claim to."""
        scope["doorward.principal"] = principal
        if credential is not None and not self._is_usual:
            scope["doorward.credential"] = Secret(credential)  # for a framework's dependency, which may ask for more
        stripped = self._stripped  # only now: a credential may stand in one of them
        headers = [header for header in scope["headers"] if not stripped[header[0]]]
        if is_preflight:  # nothing makes another request of it
            headers = [header for header in headers if not header[0].replace(b"_", b"-").startswith(_OVERRIDES)]
        scope["headers"] = headers

    def document(self) -> tuple[bytes, dict[str, str]]:
        """Return what RFC 9728 asks for, and the headers it is served with."""
        assert self._resource is not None  # noqa: S101 - begin said so
        body = self._resource.document(self.guard.issuers)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "max-age=3600",
            "Access-Control-Allow-Origin": "*",  # a page that wants to sign in there reads it too; it holds no secret
        }
        return body, headers


def is_cors_preflight(scope: Scope) -> bool:
    """Say whether OPTIONS asks what CORS allows: before the request, without its body and without a credential.

    Source: Fetch sections 3.3.2 and 4.8.
    """
    headers = dict(scope["headers"])
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    return {b"origin", _PREFLIGHT} <= headers.keys() and not has_body and headers.keys().isdisjoint(_NOT_IN_PREFLIGHT)


def _authorization(scope: Scope) -> str | None:
    """Make one value of those of all Authorization headers."""
    # Several are one list (RFC 9110 section 5.3), and no credential has a comma: the guard refuses and records it.
    given = [value for name, value in scope["headers"] if name == _AUTHORIZATION]
    return b", ".join(given).decode("latin-1") if given else None


def _resource(scope: Scope) -> str:
    """Name what was asked for, for the audit log: without the query, which may hold secrets.

    No two paths are named alike. The server has decoded them, so ``%`` and ``?`` are encoded again: the log cuts off
    what looks like a query. Where it could not decode one, the path is told as it was sent.
    """
    path: str = scope["path"]
    if not path.isascii() and _LOST in path and scope.get("raw_path"):
        path = scope["raw_path"].decode("latin-1")
    elif "%" in path or "?" in path:
        path = path.replace("%", "%25").replace("?", "%3F")
    return f"{scope.get('method', 'WEBSOCKET')} {path}"
