"""The device authorization flow (RFC 8628), for a program without a browser: show a code, then ask until it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError, SignInTimeout, UnavailableError
from doorward.model import Pause, Secret, TokenSet
from doorward.protocol.token_endpoint import (
    build_device_authorization_request,
    build_device_token_request,
    parse_device_authorization_response,
    parse_device_token_response,
)
from doorward.signin.exchanges import answer_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.model import HttpRequest
    from doorward.ports import Clock, Entropy, Flow
    from doorward.protocol.client_auth import Client
    from doorward.protocol.metadata import ProviderMetadata
    from doorward.signin.prompt import Prompt
    from doorward.signin.registration import Registration
    from doorward.signin.stronger.proofs import Binding

__all__ = ["obtain_tokens_by_device"]

_SLOW_DOWN_S = 5
"""Added to the interval at each ``slow_down`` (RFC 8628 section 3.5)."""


def obtain_tokens_by_device(  # noqa: PLR0913 - what is asked, and the outside it happens in
    registration: Registration,
    metadata: ProviderMetadata,
    client: Client,
    binding: Binding,
    *,
    max_age_s: int | None,
    parameters: Mapping[str, str],
    prompt: Prompt,
    timeout_s: float,
    clock: Clock,
    entropy: Entropy,
) -> Flow[TokenSet]:
    """Show the person a code, and ask the token endpoint until it was used, refused or too old.

    A question that meets an outage is asked again at twice the interval (RFC 8628 section 3.5), within the deadline.
    ``max_age_s`` and ``parameters`` go along as they would with a browser: Keycloak and others heed them here too, and
    the rest ignore them (RFC 6749 section 3.1).

    Raises:
        ConfigurationError: The provider has no device flow; ``prompt=none`` forbids to ask the person.
        SignInCancelled: The person said no.
        SignInTimeout: Nobody used the code in time.
        UnavailableError: An outage, at the start or when the time was up.
        ProviderError: A wrong answer, or a refusal.
    """
    if parameters.get("prompt") == "none":
        message = "prompt='none' has the person shown nothing, but somebody has to enter a code. Sign in without it."
        raise ConfigurationError(message, field="prompt", reason="prompt_none_by_device")
    code_verifier = Secret(entropy.token_urlsafe(32))
    request = build_device_authorization_request(
        metadata,
        client,
        now=clock.now(),
        jti=entropy.token_urlsafe(16),
        code_verifier=code_verifier,
        scopes=registration.scopes_for(metadata.scopes_supported, openid=metadata.openid),
        audience=registration.audience,
        resource=registration.resource,
        max_age_s=max_age_s,
        parameters=parameters,
    )
    response = yield from answer_to(request)
    authorization = parse_device_authorization_response(response, request=request, now=clock.now())
    prompt.device_code(authorization)

    def question() -> HttpRequest:
        now, jti = clock.now(), entropy.token_urlsafe(16)
        code = authorization.device_code
        return build_device_token_request(metadata, client, code, code_verifier=code_verifier, now=now, jti=jti)

    deadline = clock.monotonic() + min(timeout_s, authorization.expires_at - clock.now())
    interval_s = authorization.interval_s
    outage: UnavailableError | None = None
    while clock.monotonic() + interval_s < deadline:
        yield Pause(interval_s)
        try:
            answer = yield from binding.obtain(question, parse_device_token_response)
        except UnavailableError as error:
            outage, interval_s = error, max(interval_s * 2, error.retry_after_s or 0)
            continue
        outage = None
        if isinstance(answer, TokenSet):
            return answer
        if answer.slow_down:
            interval_s = max(interval_s + _SLOW_DOWN_S, answer.interval_s or 0)
    if outage is not None:  # the person may well have answered
        raise outage
    message = "The code was not used in time. Start the sign-in again when you are ready to enter it."
    raise SignInTimeout(message, reason="device_code_unused")
