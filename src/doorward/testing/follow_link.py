"""A browser for tests: follows the link it is started with, as DevIssuer redirects it, and reads the last page.

``open_browser`` starts it like any browser, where ``BROWSER`` is ``command()``. It ends by itself.
"""

from __future__ import annotations

import shlex
import sys
from urllib.parse import urljoin

from doorward.http.client import HttpClient
from doorward.model import HttpRequest

__all__ = ["command", "follow"]

_MOST_REDIRECTS = 10


def command() -> str:
    """Return the command for ``BROWSER``."""
    return shlex.join([sys.executable, "-P", "-m", __name__, "%s"])


def follow(url: str) -> int:
    """Follow ``url`` on this computer to its end and return the last status."""
    status = 0
    with HttpClient(insecure_loopback_http=True) as client:
        for _ in range(_MOST_REDIRECTS):
            response = client.send(HttpRequest("GET", url, "a page of the sign-in"))
            status = response.status
            if not 300 <= status < 400:  # noqa: PLR2004 - the redirects of HTTP
                break
            url = urljoin(url, response.headers.get("location", ""))
    return status


if __name__ == "__main__":
    follow(sys.argv[1])
