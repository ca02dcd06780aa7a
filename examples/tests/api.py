"""A small API: it tells callers who they are."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.guard import Guard
from doorward.integrations.asgi import GuardMiddleware


def me(request: Request) -> JSONResponse:
    """Tell callers who they are."""
    principal = request.scope["doorward.principal"]
    return JSONResponse({"subject": principal.subject, "groups": list(principal.groups)})


def make_app(guard: Guard) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Return the API behind a guard: one of the settings when it runs, one of a test's own in tests."""
    return GuardMiddleware(Starlette(routes=[Route("/me", me)]), guard)
