"""The little HTTP/1.1 that the callback listener speaks: one request in, one response out, the end (RFC 9112).

Pure: bytes and values. Anything but the plainest request is refused rather than understood; nothing here decides what a
request may do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from doorward.signin.loopback.pages import SECURITY_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_HEAD_BYTES", "RequestHead", "build_response", "build_short_response", "parse_head"]

# Generous: browsers send the cookies of every other program on this address too, whatever its port.
MAX_HEAD_BYTES = 65_536

# Path and query in printable ASCII, without a fragment: browsers percent-encode everything else.
_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) (/[!-\"$-~]*) HTTP/1\.[01]")
_FIELD_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
# The first is the Fetch standard's, the others are older names of it in Chrome, Safari and Firefox.
_PURPOSES = {"sec-purpose", "purpose", "x-purpose", "x-moz"}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What matters of a request: ``target`` is path and query as sent, and may hold a code.

    ``ahead`` says that a browser fetches it before anybody asked to see it.
    """

    method: str
    target: str = field(repr=False)
    hosts: tuple[str, ...]
    ahead: bool = False


def parse_head(head: bytes) -> RequestHead | None:
    """Parse a request line and its fields, without the empty line that ends them.

    Returns:
        None for anything malformed, folded, or not in origin form.

    Source: RFC 9112 sections 3 and 5.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        return None
    hosts = []
    ahead = False
    for line in lines:
        field_line = _FIELD_LINE.fullmatch(line)
        if field_line is None:
            return None
        name, value = field_line[1].lower(), field_line[2].strip(" \t")
        if name == "host":
            hosts.append(value)
        elif name in _PURPOSES:
            ahead = ahead or value.lower().startswith(("prefetch", "prerender", "preview"))
    return RequestHead(request_line[1], request_line[2], tuple(hosts), ahead)


def build_response(status: int, body: bytes = b"", **fields: str) -> bytes:
    """Build a response that ends its connection and carries the headers of S3.

    Args:
        status: The HTTP status code.
        body: The content, whole.
        **fields: More header fields, ``_`` standing for ``-``; values of our own, in ASCII.
    """
    headers: Mapping[str, str] = {
        **{name.replace("_", "-"): value for name, value in fields.items()},
        **SECURITY_HEADERS,
        "Connection": "close",
    }
    if status != HTTPStatus.NO_CONTENT:  # which has no length (RFC 9110 section 8.6)
        headers = {**headers, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def build_short_response(status: HTTPStatus, **fields: str) -> bytes:
    """Build a response that says its status in words; no person reads it."""
    return build_response(status, f"{status.phrase}\n".encode(), Content_Type="text/plain; charset=utf-8", **fields)
