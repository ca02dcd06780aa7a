"""An application behind GuardMiddleware that tells what reached it, for servers in processes of their own.

``GUARDED_APP`` holds the settings as JSON: the issuer, and its keys as a JWK Set.
"""

from __future__ import annotations

import json
import os

from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.guard.throttle import Throttle
from doorward.integrations.asgi import GuardMiddleware

REACHED = "what-reached-the-application"


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    principal = scope["doorward.principal"]
    seen = {
        "path": scope["path"],
        "mount": scope.get("root_path", ""),
        "subject": principal and principal.subject,
        "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
    }
    body = json.dumps({REACHED: seen}).encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": body.decode()})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


settings = json.loads(os.environ["GUARDED_APP"])
issuer = Issuer(settings["issuer"], audiences=["notes"], jwks=settings["jwks"])
guard = Guard(
    [issuer], throttle=Throttle(free_failures=1_000_000)
)  # no test may pass because another one failed enough
app = GuardMiddleware(application, guard, public_paths=["/health", "/static/*"])
