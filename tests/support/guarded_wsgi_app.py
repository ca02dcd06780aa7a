"""The WSGI twin of guarded_app.py, with the same settings."""

from __future__ import annotations

import json
from typing import Any

from guarded_app import REACHED, guard

from doorward.integrations.wsgi import GuardMiddleware


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    principal = environ["doorward.principal"]
    headers = [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name[:5] == "HTTP_"]
    seen = {
        "path": (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1").decode(errors="replace"),
        "mount": environ.get("SCRIPT_NAME", ""),
        "subject": principal and principal.subject,
        "headers": headers,
    }
    body = json.dumps({REACHED: seen}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


app = GuardMiddleware(application, guard, public_paths=["/health", "/static/*"])
