"""``doorward curl``: one request with a token, sent by our own way out to the network.

The real curl is not started. Among its hundreds of options are ways to send the token elsewhere (``--next``, ``-L``,
``--connect-to``, ``-k``) and to show it (``-v``, ``--trace``), and each of them would have to be known
here (decision 21).
"""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Literal, get_args

import click

from doorward.cli.helpers.options import insecure_option, origin_option, origins_from
from doorward.cli.options import profile_option
from doorward.cli.terminal import print_note
from doorward.errors import ConfigurationError, printable
from doorward.http.client import HttpClient
from doorward.model import HttpRequest, HttpResponse
from doorward.protocol.reading.origins import origin_of
from doorward.protocol.stronger.dpop import nonce_of, proof_refusal
from doorward.signin.handing.permission import may_go_to
from doorward.signin.handing.tokens import hand, session_of
from doorward.signin.settings.profiles import read_profiles
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from doorward.http.wire import StreamedResponse
    from doorward.model import Secret, TokenKind
    from doorward.protocol.reading.origins import Origin

__all__ = ["command"]

_Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_REFUSED = 22
"""curl's own exit code for an answer that ``--fail`` takes for a failure."""

_FIRST_REDIRECT, _FIRST_FAILURE, _UNAUTHORIZED = 300, 400, 401
_MOST_SENT, _MOST_RECEIVED = 1 << 28, 1 << 50
_OURS = {"authorization", "host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent"}


@click.command("curl")
@profile_option
@click.option(
    "-X", "--request", "method", type=click.Choice(get_args(_Method)), help="The method: GET, or POST with -d."
)
@click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header; may be repeated.")
@click.option("-d", "--data", metavar="DATA", multiple=True, help="The body of a form; @FILE or @- reads it.")
@click.option("--json", "json_data", metavar="JSON", help="A body of JSON; @FILE or @- reads it.")
@click.option("-o", "--output", metavar="FILE", type=click.File("wb", lazy=True), help="Write the answer there.")
@click.option("-i", "--include", is_flag=True, help="Show the head of the answer, too.")
@click.option("-f", "--fail", is_flag=True, help="Print no body and exit with 22 where the status is 400 or more.")
@click.option(
    "--max-time", "timeout_s", metavar="S", type=float, default=60, help="Wait so long for the answer to begin."
)
@click.option("--id", "id_token", is_flag=True, help="The ID token instead of the access token.")
@origin_option
@insecure_option
@click.argument("url")
def command(  # noqa: PLR0913 - click passes each option
    *,
    profile: str,
    method: _Method | None,
    headers: Sequence[str],
    data: Sequence[str],
    json_data: str | None,
    output: IO[bytes] | None,
    include: bool,
    fail: bool,
    timeout_s: float,
    id_token: bool,
    origin: Sequence[str],
    insecure_loopback_http: bool,
    url: str,
) -> int:
    """Send a request to URL with a token, and print the answer.

    The URL that you give is the permission to send the token there. Where doorward.toml lists origins for the profile,
    it must be one of them, or named with --origin. Redirects are not followed. After a 401, the token is renewed once.
    """
    to = _destination(url, profile, origin, loopback_http=insecure_loopback_http)
    presented, body = _body(data, json_data)
    presented |= _headers(headers)
    method = method or ("GET" if body is None else "POST")
    client = HttpClient(insecure_loopback_http=insecure_loopback_http, total_timeout_s=timeout_s)

    session = session_of(profile, Vault())

    def request(token: Secret, nonce: str | None = None) -> HttpRequest:
        carrying = session.authorization(token.reveal(), method, url, nonce=nonce)
        return HttpRequest(
            method=method,
            url=url.partition("#")[0],
            purpose="the service",
            headers={**presented, **{name.lower(): value for name, value in carrying.items()}},
            body=body,
            max_response_bytes=_MOST_RECEIVED,
        )

    kind: TokenKind = "id" if id_token else "access"
    token = hand(profile, kind, to=str(to), by="curl", proves=True).token
    with client.stream(request(token)) as response:
        if response.status != _UNAUTHORIZED:
            return _show(response, output, include=include, fail=fail)
        head = HttpResponse(response.status, response.headers)
        nonce, wants_nonce = nonce_of(head), proof_refusal(head) == "use_dpop_nonce"
        rejected = None if wants_nonce else token.reveal()
        renewed = hand(profile, kind, to=str(to), by="curl", rejected=rejected, proves=True).token
        if renewed == token and not (wants_nonce and nonce):
            return _show(response, output, include=include, fail=fail)
    with client.stream(request(renewed, nonce)) as response:
        return _show(response, output, include=include, fail=fail)


def _destination(url: str, profile: str, named: Sequence[str], *, loopback_http: bool) -> Origin:
    """Return where the request goes, if the token may."""
    to = origin_of(url, loopback_http=loopback_http)
    if to is None:
        message = "URL must be an address that begins with https:// and has no user name: a token goes nowhere else."
        raise ConfigurationError(message, field="URL", reason="no_origin")
    mine = read_profiles().get(profile.lower())
    listed = named or (mine is not None and mine.origins)
    if listed and may_go_to(to, profile=profile, named=origins_from(named, loopback_http=loopback_http)) is None:
        message = f"{to} is none of the origins of profile {profile!r}. If it may get the token: --origin {to}."
        raise ConfigurationError(message, field="URL", reason="origin_not_allowed")
    return to


def _headers(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name or name.lower() in _OURS:
            what = "is set by this command" if colon and name else "must be 'NAME: VALUE'"
            raise ConfigurationError(f"-H {printable(name)} {what}.", field="-H", reason="bad_header")
        found[name.lower()] = value.strip()
    return found


def _body(data: Sequence[str], json_data: str | None) -> tuple[dict[str, str], bytes | None]:
    """Return the headers of the body, and the body."""
    if data and json_data is not None:
        raise ConfigurationError("Give -d or --json, not both.", field="--json", reason="given_twice")
    if json_data is not None:
        return {"content-type": "application/json", "accept": "application/json"}, _read(json_data, "--json")
    if not data:
        return {}, None
    parts = [_read(each, "-d").translate(None, b"\r\n\0" if each.startswith("@") else b"") for each in data]
    return {"content-type": "application/x-www-form-urlencoded"}, b"&".join(parts)


def _read(given: str, option: str) -> bytes:
    if not given.startswith("@"):
        return given.encode()
    try:
        with click.open_file(given[1:], "rb") as file:
            content: bytes = file.read(_MOST_SENT + 1)
    except OSError as error:
        message = f"{option}: {printable(given[1:])} can't be read: {error.strerror}."
        raise ConfigurationError(message, field=option, reason="file_unreadable") from None
    if len(content) > _MOST_SENT:
        message = f"{option}: {printable(given[1:])} is larger than {_MOST_SENT >> 20} MiB."
        raise ConfigurationError(message, field=option, reason="file_too_large")
    return content


def _show(response: StreamedResponse, output: IO[bytes] | None, *, include: bool, fail: bool) -> int:
    """Print the answer, and return the exit code."""
    if _FIRST_REDIRECT <= response.status < _FIRST_FAILURE and "location" in response.headers:
        print_note(f"doorward: Redirected to {printable(response.headers['location'])}, which was not followed.")
    failed = fail and response.status >= _FIRST_FAILURE
    if failed:
        print_note(f"doorward: The service answered with the status {response.status}.")
    out = output or sys.stdout.buffer
    if include:
        out.write(_head(response))
    if not failed:
        for chunk in response.chunks():
            out.write(chunk)
    return _REFUSED if failed else 0


def _head(response: StreamedResponse) -> bytes:
    headers: Mapping[str, str] = response.headers
    lines = [f"HTTP/1.1 {response.status}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name != "set-cookie"]
    lines += [f"set-cookie: {value}" for value in response.set_cookies]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
