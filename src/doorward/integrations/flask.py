"""Puts a guard on Flask's views, as a decorator. Nothing here judges a credential.

A decorator can't keep headers that claim an identity from the application: where views or extensions read such headers,
put ``doorward.integrations.wsgi.GuardMiddleware`` before the whole application too: ``app.wsgi_app =
GuardMiddleware(app.wsgi_app, guard)``.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from doorward.errors import ConfigurationError
from doorward.guard.work import finish
from doorward.integrations.gate.credential_places import AUTHORIZATION
from doorward.integrations.gate.environ import scope_of
from doorward.integrations.gate.gate import Doorkeeper, is_cors_preflight
from doorward.integrations.gate.refusals import REFUSED, Refusals
from doorward.model import Principal

try:
    from flask import Response, abort, current_app, has_request_context, json, request
except ImportError as missing:
    _MESSAGE = "doorward.integrations.flask needs Flask: pip install 'doorward[flask]'"
    raise ImportError(_MESSAGE, name=missing.name) from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from doorward.guard.guard import Guard

__all__ = ["Authenticate"]

_PRINCIPAL = "doorward.of_view"
"""In the request's environment, not in ``g``: where an application's context stays open, requests share that."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Authenticate:
    """Asks who is calling before a view runs, and answers itself where a request is refused.

    ``@auth.required("notes:read")`` stands below ``@app.get(…)``, with the scopes that the view needs, or none.
    ``auth.principal`` is who calls. For all views of an application or a blueprint, write
    ``blueprint.before_request(auth.check)``. Behind a ``GuardMiddleware`` with the same guard it asks that guard only
    about scopes which the middleware did not ask for. Views may be ``async``.

    Args:
        guard: who decides. Whoever made it closes it.
        scopes: what every view that uses it needs.
        optional: give None to a request without a credential. A bad one is refused all the same.
        credentials, allowed_origins, trusted_proxies, realm, resource_metadata: as for ``GuardMiddleware``.

    Raises:
        ConfigurationError: one of the settings; names it.
    """

    def __init__(  # noqa: PLR0913 - one setting each, all but one with a default
        self,
        guard: Guard,
        *,
        scopes: Collection[str] = (),
        optional: bool = False,
        credentials: Iterable[str] = AUTHORIZATION,
        allowed_origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] | None = None,
        realm: str | None = None,
        resource_metadata: str | None = None,
    ) -> None:
        self._doorkeeper = Doorkeeper(
            guard, trusted_proxies=trusted_proxies, credentials=credentials, allowed_origins=allowed_origins
        )
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata, scopes=scopes)
        self._scopes = frozenset(scopes)
        self._optional = optional

    def required(self, *scopes: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
        """Return the decorator of a view that needs these scopes, besides those of all views."""
        needed = self._scopes.union(scopes)

        def guard(view: Callable[_P, _R]) -> Callable[_P, _R]:
            @wraps(view)
            def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
                self._check(needed)
                answer: _R = current_app.ensure_sync(view)(*args, **kwargs)
                return answer

            return guarded

        return guard

    @property
    def principal(self) -> Principal:
        """Who is calling.

        Raises:
            ConfigurationError: nobody was asked, or somebody came without a credential where that is ``optional``.
        """
        if (known := self.maybe_principal) is None:
            message = "Nobody knows who is calling. Decorate the view; where that is optional, ask maybe_principal."
            raise ConfigurationError(message, field="principal", reason="nobody_known")
        return known

    @property
    def maybe_principal(self) -> Principal | None:
        """Who is calling; None where nobody said so, or nobody was asked."""
        known: Principal | None = request.environ.get(_PRINCIPAL) if has_request_context() else None
        return known

    def check(self) -> None:
        """Ask who is calling; end the request with the answer of a refusal. For ``before_request``.

        A preflight request of CORS passes, for it never has a credential.
        """
        if request.method != "OPTIONS" or not is_cors_preflight(scope_of(request.environ)):
            self._check(self._scopes)

    def _check(self, needed: frozenset[str]) -> None:
        scope = scope_of(request.environ)
        if self._doorkeeper.is_behind_gate(scope) and needed.issubset(scope["doorward.scopes"]):
            request.environ[_PRINCIPAL] = scope["doorward.principal"]
            return
        try:
            found = self._doorkeeper.admit(scope, sorted(needed), optional=self._optional)
            request.environ[_PRINCIPAL] = found if found is None or isinstance(found, Principal) else finish(found)
        except REFUSED as error:
            refusal = self._refusals.answer(error)
        else:
            return
        abort(Response(json.dumps(refusal.content), refusal.status, refusal.headers, mimetype="application/json"))
