"""One reading of every answer: what is an outage, what a refusal, what is wrong, and what of it is said aloud."""

from __future__ import annotations

import base64
import json

import pytest

from doorward.errors import DoorwardError, InvalidResponse, OAuthError, ProviderUnavailable
from doorward.model import HttpRequest, HttpResponse
from doorward.protocol.reading.responses import clock_skew_s, oauth_error, read_object, retry_after_s, sentence

NOW = 1_800_000_000.0
JSON = {"content-type": "application/json"}
PURPOSE = "the token endpoint"


def read(status=200, body=b"{}", request=None, **headers):
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    response = HttpResponse(status, given, body if isinstance(body, bytes) else json.dumps(body).encode())
    return read_object(response, purpose=PURPOSE, now=NOW, request=request)


def refused(*args, **kwargs):
    with pytest.raises(DoorwardError) as caught:
        read(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json", "x/y+json ; a=b"]
)
def test_a_json_object_is_read(media_type):
    assert read(body={"a": 1}, content_type=media_type) == {"a": 1}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 999, 429, 408])
def test_outages_are_worth_retrying_whatever_they_say(status):
    error = refused(status, {"error": "invalid_grant"})
    assert type(error) is ProviderUnavailable
    assert error.reason == ("too_many_requests" if status == 429 else "server_failure")
    assert error.retry_after_s is None
    assert error.message == f"The token endpoint can't answer now ({status}). Try again later."


def test_an_outage_says_when_to_come_back():
    error = refused(503, retry_after="7")
    assert (error.retry_after_s, error.message[-17:]) == (7.0, "Try again in 7 s.")


@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error"])
def test_oauth_errors_that_are_outages(code):
    error = refused(400, {"error": code, "error_description": "busy"})
    assert type(error) is ProviderUnavailable
    assert (error.reason, error.message) == (
        code,
        f"The token endpoint can't answer now: {code} (busy). Try again later.",
    )


@pytest.mark.parametrize("status", [300, 302, 304, 307, 399])
def test_redirects_are_not_followed(status):
    error = refused(status, location="http://169.254.169.254/")
    assert (type(error), error.reason) == (InvalidResponse, "redirect")
    assert "169.254" not in error.message


@pytest.mark.parametrize(
    ("status", "body", "media_type", "reason"),
    [
        (200, b"<html>Sign in</html>", "text/html", "not_json"),
        (200, b"{}", "text/plain", "not_json"),
        (200, b"{}", "", "not_json"),
        (200, b"access_token=x&token_type=bearer", "application/x-www-form-urlencoded; charset=utf-8", "form_encoded"),
        (400, b"error=invalid_grant", "application/x-www-form-urlencoded", "form_encoded"),
        (200, b'{"access_token": "x', "application/json", "invalid_json"),
        (200, b"", "application/json", "invalid_json"),
        (200, b"[]", "application/json", "invalid_json"),
        (200, b'{"a":1,"a":2}', "application/json", "invalid_json"),
        (200, b"\xff", "application/json", "invalid_json"),
        (200, b"[" * 100_000, "application/json", "invalid_json"),
        (200, b'{"ok": false}', "application/json", "malformed_error"),
        (200, b'{"error": {"code": 403}}', "application/json", "malformed_error"),
        (200, b'{"error": false}', "application/json", "malformed_error"),
        (404, b"<html>Not found</html>", "text/html", "unexpected_status"),
        (404, b"{}", "application/json", "unexpected_status"),
        (400, b'{"error": {"code": 403}}', "application/json", "unexpected_status"),
        (400, b'{"error":', "application/json", "unexpected_status"),
        (204, b"", "", "unexpected_status"),
        (202, b"{}", "application/json", "unexpected_status"),
        (201, b"", "application/json", "invalid_json"),
        (103, b"{}", "application/json", "unexpected_status"),
    ],
)
def test_wrong_answers_have_their_own_reasons(status, body, media_type, reason):
    error = refused(status, body, content_type=media_type)
    assert (type(error), error.reason) == (InvalidResponse, reason)
    assert error.message.startswith("The token endpoint ")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 428])
def test_an_oauth_error_is_one_with_any_status(status):
    error = refused(status, {"ok": False, "error": "invalid_client", "error_description": "who?"})
    assert type(error) is OAuthError
    assert (error.error, error.description, error.reason) == ("invalid_client", "who?", "invalid_client")
    assert error.message == (
        "The token endpoint refused: invalid_client (who?). "
        "Check the client ID, the client secret, and how this client is registered to authenticate."
    )


@pytest.mark.parametrize(
    ("body", "error", "description"),
    [
        ({"status": 400, "error": "Bad Request", "message": "Invalid token"}, "Bad Request", "Invalid token"),
        ({"error_code": "INVALID_GRANT", "message": "expired"}, "INVALID_GRANT", "expired"),
        ({"message": "no"}, "status 400", "no"),
    ],
    ids=["twitch", "databricks", "a message alone"],
)
def test_a_refusal_in_other_words_is_one(body, error, description):
    told = refused(400, body)
    assert (type(told), told.error, told.description) == (OAuthError, error, description)
    assert type(refused(400, {"message": ["x"]})) is OAuthError
    assert read_object(HttpResponse(200, JSON, b'{"message": "welcome"}'), purpose="x", now=0) == {"message": "welcome"}


def test_created_is_a_success():
    assert read_object(HttpResponse(201, JSON, b'{"a": 1}'), purpose="the token endpoint", now=0) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "body", "purpose", "says"),
    [
        (400, b"grant_type=refresh_token&refresh_token=planted", "the token endpoint", "sign in again"),
        (400, b"grant_type=authorization_code&code=planted", "the token endpoint", "redirect URI"),
        (400, b"grant_type=client_credentials", "the token endpoint", "Have this way to get tokens allowed"),
        (400, b"grant_type=x", "the token endpoint", "how it is registered"),
        (401, b"grant_type=refresh_token&refresh_token=planted", "the token endpoint", "client secret"),
        (403, b"token=planted", "the introspection endpoint", "client secret"),
        (400, b"token=planted", "the revocation endpoint", "without a secret"),
        (404, None, "the provider's JWK Set", "Check the issuer,"),
    ],
)
def test_a_failure_without_a_word_says_what_it_most_likely_means(status, body, purpose, says):
    request = HttpRequest("POST" if body else "GET", "https://id.example.org/x", purpose, body=body)
    with pytest.raises(InvalidResponse, match=says) as caught:
        read_object(HttpResponse(status), purpose=purpose, now=0, request=request)
    assert caught.value.reason == "unexpected_status"
    assert "planted" not in caught.value.message
    assert "issuer's address" not in caught.value.message


def test_an_unknown_oauth_error_keeps_its_name_but_is_no_slug():
    error = refused(400, {"error": "AADSTS_odd", "error_description": ["not a string"]})
    assert (error.error, error.description, error.reason) == ("AADSTS_odd", "", "oauth_error")


@pytest.mark.parametrize("none", [None, ""])
def test_an_empty_error_member_is_no_error(none):
    assert read(body={"error": none, "ok": True, "a": 1})["a"] == 1


def test_text_from_the_provider_can_not_drive_a_terminal():
    error = refused(400, {"error": "x\x1b[2J\r\n", "error_description": "\u202egpj.exe\x07" + "a" * 5000})
    assert error.error == "x [2J"
    assert error.message.isprintable()
    assert len(error.message) < 500


def test_what_our_request_held_secret_is_taken_out():
    basic = base64.b64encode(b"client:s%2Bcret%20word").decode()
    body = (
        b"grant_type=refresh_token&refresh_token=rt+%26%C3%A9-value&client_id=public-client&code=a&code_verifier=v%2Fer"
    )
    request = HttpRequest("POST", "https://id.example.org/token", PURPOSE, {"authorization": f"Basic {basic}"}, body)
    echoes = ["rt &é-value", "rt%20%26%C3%A9-value", basic, "s+cret word", "s%2Bcret%20word", "v/er"]
    error = refused(
        400,
        {"error": "v/er", "error_description": "; ".join([*echoes, "public-client refresh_token"])},
        request=request,
    )
    shown = repr(error) + error.error + error.description
    assert not [echo for echo in echoes if echo in shown]
    assert error.description.endswith("public-client refresh_token")
    assert error.description.count("<secret>") == len(echoes)


def test_so_is_a_bearer_token():
    request = HttpRequest("GET", "https://id.example.org/token", PURPOSE, {"authorization": "Bearer planted-token"})
    error = refused(403, {"error": "access_denied", "error_description": "planted-token is not good"}, request=request)
    assert "planted" not in repr(error) + error.description


def test_a_callback_error_needs_no_request():
    assert oauth_error("invalid_scope", None, purpose="x").message == "X refused: invalid_scope. Ask for other scopes."


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("9999999999", 86_400.0),
        ("99999999999", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Fri, 15 Jan 2027 08:01:00 +0000", None),
        ("Fri, 31 Feb 2027 08:01:00 GMT", None),
        ("Fri, 15 Jam 2027 08:01:00 GMT", None),
        ("Fri, 15 Jan 0000 08:01:00 GMT", None),
        ("Friday, 15-Jan-27 08:01:00 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after_s(HttpResponse(503, {"retry-after": value}), now=NOW) == seconds


def test_no_retry_after():
    assert retry_after_s(HttpResponse(503), now=NOW) is None


def test_clock_skew():
    ahead = HttpResponse(200, {"date": "Fri, 15 Jan 2027 07:58:00 GMT"})
    assert clock_skew_s(ahead, now=NOW) == 120.0
    assert clock_skew_s(HttpResponse(200, {"date": "yesterday"}), now=NOW) is None
    assert clock_skew_s(HttpResponse(200), now=NOW) is None


def test_a_sentence_begins_with_a_capital():
    assert sentence("the JWK Set") == "The JWK Set"
