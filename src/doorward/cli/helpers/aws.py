"""``doorward credential aws``: credentials for AWS's programs, for which STS is shown the ID token.

Nothing is kept: those programs run this anew when what they have is about to expire. Source: the AWS CLI's
``credential_process``; the STS API, ``AssumeRoleWithWebIdentity``, which is called unsigned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.helpers.options import insecure_option
from doorward.cli.options import profile_option
from doorward.cli.terminal import print_json
from doorward.errors import ConfigurationError, InvalidResponse, OAuthError, ProviderUnavailable, printable
from doorward.http.client import HttpClient
from doorward.model import HttpRequest
from doorward.protocol.reading.origins import parse_origin
from doorward.protocol.reading.urls import encode_form
from doorward.signin.handing.tokens import hand

if TYPE_CHECKING:
    from doorward.model import HttpResponse

__all__ = ["aws", "endpoint_of"]

_ROLE = re.compile(r"arn:(aws[a-z0-9-]*):iam::[0-9]{12}:role/[!-~]{1,576}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{1,20}){1,3}-[0-9]{1,2}")
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_DOMAINS = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
}
_SHORTEST_S, _LONGEST_S = 900, 43_200
_MOST = 65_536
_GIVEN = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
_SERVER_ERROR = 500


@click.command("aws")
@profile_option
@click.option("--role-arn", metavar="ARN", required=True, help="The role to take on.")
@click.option("--session-name", metavar="NAME", default="doorward", show_default=True, help="What AWS's log calls you.")
@click.option("--duration", "duration_s", metavar="S", type=int, help="Seconds, 900 to 43200; the role may allow less.")
@click.option("--region", metavar="NAME", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="Whose STS to ask.")
@click.option("--endpoint", metavar="https://HOST", help="Another STS, such as a private endpoint.")
@click.option("--access", "access_token", is_flag=True, help="The access token instead of the ID token.")
@insecure_option
def aws(  # noqa: PLR0913 - click passes each option
    *,
    profile: str,
    role_arn: str,
    session_name: str,
    duration_s: int | None,
    region: str | None,
    endpoint: str | None,
    access_token: bool,
    insecure_loopback_http: bool,
) -> None:
    """Print credentials of a role for AWS's credential_process, for which AWS is shown your ID token."""
    role = _ROLE.fullmatch(role_arn)
    if role is None:
        raise _wrong("--role-arn", "must be the ARN of a role: arn:aws:iam::123456789012:role/NAME")
    if not _SESSION.fullmatch(session_name):
        raise _wrong("--session-name", "must have 2 to 64 letters, digits, or characters of +=,.@_-")
    if duration_s is not None and not _SHORTEST_S <= duration_s <= _LONGEST_S:
        raise _wrong("--duration", f"must be {_SHORTEST_S} to {_LONGEST_S} seconds")
    to = str(parse_origin(endpoint or endpoint_of(role[1], region), loopback_http=insecure_loopback_http))
    token = hand(profile, "access" if access_token else "id", to=to, by="aws").token
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "WebIdentityToken": token.reveal(),
        "DurationSeconds": None if duration_s is None else str(duration_s),
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = encode_form(asked.items()).encode()
    with HttpClient(insecure_loopback_http=insecure_loopback_http) as client:
        answer = client.send(HttpRequest("POST", f"{to}/", "AWS STS", headers, body, max_response_bytes=_MOST))
    print_json({"Version": 1, **_credentials(answer)})


def endpoint_of(partition: str, region: str | None) -> str:
    """Return the origin of the STS of a partition of AWS, which roles name, and a region."""
    domain = _DOMAINS.get(partition)
    if domain is None or (region is None and partition != "aws"):
        raise _wrong("--region", "must be given for this role, or --endpoint")
    if region is not None and not _REGION.fullmatch(region):
        raise _wrong("--region", "must be the name of a region, such as eu-west-1")
    return f"https://sts.{domain}" if region is None else f"https://sts.{region}.{domain}"


def _credentials(answer: HttpResponse) -> dict[str, str]:
    found = _texts(answer.body)
    ok = answer.status == 200  # noqa: PLR2004 - HTTP's
    if ok and found.keys() >= _GIVEN:
        return {name: found[name] for name in sorted(_GIVEN)}
    if answer.status >= _SERVER_ERROR:
        message = f"AWS STS answered with the status {answer.status}. Try again later."
        raise ProviderUnavailable(message, reason="server_error")
    if "Code" in found:
        error, why = printable(found["Code"]), printable(found.get("Message", ""))
        message = f"AWS STS refused: {error}: {why} See whether the role trusts the issuer and the token's audience."
        raise OAuthError(message, error=error, description=why, reason="sts_refused")
    message = "AWS STS answered with something else than credentials. Check --endpoint."
    raise InvalidResponse(message, reason="sts_malformed")


def _texts(body: bytes) -> dict[str, str]:
    """Return the text of each element by its name without the namespace; nothing of what is no XML, or has a DTD."""
    try:
        from defusedxml import DefusedXmlException  # type: ignore[import-untyped] # it has no types
        from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped] # the same
    except ImportError:
        message = "AWS answers in XML, which needs: pip install 'doorward[aws]'."
        raise ConfigurationError(message, field="defusedxml", reason="package_missing") from None
    try:
        root: Any = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException):
        return {}
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter() if not len(element)}


def _wrong(option: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{option} {what}.", field=option, reason="wrong_value")
