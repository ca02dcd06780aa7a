"""What an issuer publishes, asked for within one deadline. Where it is looked for is tested with the key rings."""

from __future__ import annotations

import pytest

from doorward.errors import InvalidResponse, TransportError
from doorward.guard.issuers.discovery import OneDeadline, discover
from doorward.http.client import HttpClient
from doorward.model import HttpResponse
from doorward.protocol.metadata import IssuerMetadata, build_metadata_request

URL = "https://id.example.org"


class Answers:
    """A transport that gives what it was given, in order."""

    def __init__(self, *responses):
        self.responses = list(responses)
        self.urls = []

    def send(self, request):
        self.urls.append(request.url)
        return self.responses.pop(0)


def test_without_time_left_nothing_is_sent():
    transport = OneDeadline(HttpClient(), 0.0)
    with pytest.raises(TransportError, match="No time was left to ask the provider's metadata") as caught:
        transport.send(build_metadata_request(URL))
    assert caught.value.reason == "timeout_total"


def test_what_introspection_needs():
    body = b'{"issuer": "https://id.example.org", "introspection_endpoint": "https://id.example.org/i"}'
    transport = Answers(HttpResponse(404), HttpResponse(200, {"content-type": "application/json"}, body))
    assert discover(URL, transport, now=0) == IssuerMetadata(URL, introspection_endpoint=f"{URL}/i")
    assert transport.urls == [
        f"{URL}/.well-known/openid-configuration",
        f"{URL}/.well-known/oauth-authorization-server",
    ]


@pytest.mark.parametrize(
    ("status", "reason", "asked"), [(404, "no_metadata", 2), (403, "unexpected_status", 1), (302, "redirect", 1)]
)
def test_only_where_nothing_is_there_another_place_is_tried(status, reason, asked):
    transport = Answers(HttpResponse(status), HttpResponse(status))
    with pytest.raises(InvalidResponse) as caught:
        discover(URL, transport, now=0)
    assert (caught.value.reason, len(transport.urls)) == (reason, asked)
