"""What the reasons of probes and verdicts mean, in sentences for people: one table, so that none is shown as a slug."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROBE_REASONS", "probe_in_words", "verdict_in_words"]

PROBE_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "target_shown": "The service showed the page, as to somebody who is signed in.",
        "sent_to_login": "The service sent us to a login.",
        "elsewhere": "The service sent us to another place.",
        "refused_401": "The service refused the page (401).",
        "refused_403": "The service refused the page (403).",
        "login_address": "The service sent us to its login page.",
        "saml_form": "The service answered with a form of a login under way.",
        "passing_page": "The service answered with a page that leads on by itself.",
        "passing_form": "The service answered with a form that passes on by itself.",
        "login_form": "The service showed a login page.",
        "discovery_page": "The service asked where we are from.",
        "empty": "The service showed an empty page.",
        "human_check": "The service keeps programs out: it wants to see a person.",
        "rate_limited": "The service has had too many requests, so there is no telling.",
        "server_error": "The service has an outage, so there is no telling.",
        "not_found": "The page is not there any more, so there is no telling.",
        "odd_status": "The service gave an answer that says nothing.",
        "target_open": "The page shows itself to anybody, so it proves nothing.",
        "probe_timeout": "The service did not answer in time.",
        "redirect_loop": "The service sent us around in circles.",
        "redirect_malformed": "The service sent us to an address that can't be read.",
        "redirect_bad_characters": "The service sent us to an address that can't be read.",
        "redirect_has_userinfo": "The service sent us to an address with a user name in it, where we do not go.",
        "redirect_header_malformed": "The service set a cookie that can't be sent.",
        "redirect_no_host": "The service sent us to an address that can't be read.",
        "redirect_not_a_host": "The service sent us to an address that can't be read.",
        "redirect_not_a_url": "The service sent us to an address that can't be read.",
        "redirect_not_https": "The service sent us to an address without https, where we do not go.",
        "connection_failed": "The service could not be reached.",
        "connection_refused": "The service could not be reached: connection refused.",
        "connection_reset": "The connection to the service was cut off.",
        "dns_failed": "The service's name could not be resolved: is this computer online?",
        "protocol_error": "What answered does not speak HTTP.",
        "proxy_failed": "The proxy on the way to the service failed.",
        "proxy_malformed": "The proxy that the environment names can't be used.",
        "proxy_scheme": "The proxy that the environment names can't be used.",
        "response_encoded": "The service answered in an encoding that we can't read.",
        "response_too_large": "The service's answer was too large.",
        "socks_missing": "The proxy that the environment names needs an extra: pip install 'doorward[socks]'.",
        "timeout_connect": "The service could not be reached in time.",
        "timeout_idle": "The service stopped in the middle of its answer.",
        "timeout_total": "The service did not answer in time.",
        "tls_certificate": "The service's certificate is not accepted.",
        "tls_failed": "TLS could not be agreed on with the service.",
        "truncated": "The service's answer was cut off.",
        "trust_unreadable": "The certificates that the environment names can't be read.",
    }
)
"""Why a probe, or a walk that asked for something, ended as it did."""

_VERDICT_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "not_started": "nothing was seen yet",
        "page_under_way": "a page is under way",
        "assertion_under_way": "the service has not answered yet",
        "elsewhere": "this is not the service",
        "nothing_changed": "this is the service, but it has set nothing",
        "human_check": "the site wants to see a person, or refuses",
        "cookies_mean_nothing": "at the service, with cookies that are also set without a login",
        "not_proven": "not proven yet; the next probe has to wait a little",
        "service_cookie": "at the service, with a cookie such as it sets after a login",
        "assertion_taken": "at the service, which has taken the assertion",
        "cookie_changed": "at the service, which has set a cookie",
        "window_closed": "the window was closed",
        "browser_ended": "the browser ended before the login was done",
        "page_crashed": "the page crashed",
        "page_unreachable": "the login page could not be reached",
        "page_timeout": "the login page did not load in time",
        "login_timeout": "the login was not done in time",
        "needs_person": "the page waits for a person",
        "target_shown": "the page opened",
    }
)
"""What evidence makes of what it saw, as parts of a sentence. A probe's reason that is not here is told as above."""


def probe_in_words(reason: str) -> str:
    """Say the reason of a probe as a sentence."""
    return PROBE_REASONS.get(reason, "The service could not be asked.")


def verdict_in_words(reason: str) -> str:
    """Say the reason of a verdict as what may follow a colon. It may be that of the probe that decided it."""
    return _VERDICT_REASONS.get(reason) or probe_in_words(reason)
