"""Reads the environment of a WSGI request as the scope of ASGI, and writes back what the gate changed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from doorward.integrations.gate.gate import Scope

__all__ = ["environ_of", "scope_of"]

_HTTP = "HTTP_"
_OTHER_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")
_PLACES = ("HTTP_SCRIPT_NAME", "HTTP_X_FORWARDED_PREFIX", "HTTP_X_SCRIPT_NAME")
"""Headers by which gunicorn, Werkzeug's ProxyFix and their like let a request say where the application is mounted."""


def scope_of(environ: WSGIEnvironment) -> Scope:
    """Return a request as the gate reads it. A server made one header of those with one name, ``-`` or ``_`` in it."""
    headers = [
        (name.removeprefix(_HTTP).replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith(_HTTP) or (name in _OTHER_HEADERS and value)
    ]
    place = environ.get("SCRIPT_NAME", "")
    path = (place + environ.get("PATH_INFO", "")).encode("latin-1").decode(errors="replace")
    sent = environ.get("RAW_URI") or environ.get("REQUEST_URI")  # as several servers tell it
    raw_path = _path_of(sent).encode("latin-1", "replace") if sent else None
    if place and _is_claimed(place, environ):
        raw_path = b""  # the application goes by what is left of the path: nobody can say that this one is public
    peer = environ.get("REMOTE_ADDR")
    return {
        **{name: value for name, value in environ.items() if name.startswith("doorward.")},
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "path": path or "/",
        "raw_path": raw_path,
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "headers": headers,
        "client": (peer, 0) if peer else None,
    }


def environ_of(scope: Scope, environ: WSGIEnvironment) -> dict[str, Any]:
    """Return the environment for the application: without the headers that the gate took away."""
    left = {name for name, _ in scope["headers"]}
    inner = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_HTTP) or name[len(_HTTP) :].replace("_", "-").lower().encode("latin-1") in left
    }
    inner.update((name, value) for name, value in scope.items() if name.startswith("doorward."))
    return inner


def _is_claimed(place: str, environ: WSGIEnvironment) -> bool:
    """Say whether a header of the request may have said what the application is mounted at."""
    claims = ",".join(environ.get(name, "") for name in _PLACES).split(",")
    return any(place.startswith(claim.strip()) for claim in claims if claim.strip())


def _path_of(sent: str) -> str:
    """Return the path of a request's target, whether the target is a path or, as proxies are asked, a whole URL."""
    if sent[:1] != "/":
        sent = "/" + sent.partition("://")[2].partition("/")[2]
    return sent.partition("?")[0]
