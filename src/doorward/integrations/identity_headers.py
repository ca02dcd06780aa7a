"""Which request headers say who is calling, and so must never come from the caller. Names alone; nothing is verified.

Proxies and sign-in front ends put identities in headers, under many names; frameworks and gateways fold case, ``-``,
``_`` and ``.`` in them. A name is judged here as the laxest of them would read it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from doorward.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IdentityHeaders"]

_PATTERNS = (
    "cf-access-*",  # Cloudflare Access
    "client-cert*",  # RFC 9440
    "gap-auth",  # oauth2-proxy
    "impersonate-*",  # Kubernetes
    "iv-*",  # IBM Verify Access
    "kubeflow-userid",
    "mellon-*",  # mod_auth_mellon
    "oam-remote-user",  # Oracle Access Manager
    "oidc-*",  # mod_auth_openidc
    "remote-email",  # Authelia, as the three below
    "remote-groups",
    "remote-name",
    "remote-user",
    "shib-*",  # Shibboleth
    "sm-user*",  # SiteMinder
    "ssl-client-*",  # nginx, Apache
    "tailscale-*",
    "teleport-jwt-assertion",
    "x-amzn-oidc-*",  # AWS load balancers
    "x-apigateway-api-userinfo",  # Google, as the four with goog and endpoint below
    "x-arr-clientcert",  # Azure
    "x-auth-*",
    "x-authenticated-*",  # Kong, Envoy
    "x-authentik-*",
    "x-client-cert*",
    "x-consumer-*",  # Kong
    "x-credential-*",  # Kong
    "x-doorward-*",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-forwarded-access-token",  # oauth2-proxy, as most with forwarded
    "x-forwarded-client-cert*",  # Envoy
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-tls-client-cert*",  # Traefik
    "x-forwarded-user*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-*",
    "x-groups",
    "x-hasura-*",
    "x-jwt-assertion",
    "x-jwt-payload",  # Istio, Envoy
    "x-ms-client-principal*",  # Azure
    "x-ms-token-*",
    "x-oidc-*",
    "x-pomerium-*",
    "x-proxy-user*",
    "x-remote-*",  # Kubernetes
    "x-roles",
    "x-ssl-client-*",
    "x-user*",
    "x-vouch-*",
    "x-webauth-*",  # Grafana
)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.1
_SEPARATORS = re.compile(rb"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_.]*\*?")
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 128


class IdentityHeaders(dict[bytes, bool]):
    """``headers[name]`` tells whether ``name`` must be stripped. Names seen before cost a dictionary look-up.

    It is a dictionary for the sake of ``__missing__``: every header of every request asks it. Callers choose names, so
    it remembers a bounded number of them, and no long ones. What is not a header name at all is stripped too.

    Args:
        extra: names to strip besides those that are known, each maybe with a ``*`` at its end.

    Raises:
        ConfigurationError: field ``identity_headers``.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        super().__init__()
        if isinstance(extra, str):
            message = "identity_headers is one text: give a list of header names."
            raise ConfigurationError(message, field="identity_headers", reason="not_a_list")
        names, prefixes = set(), []
        for pattern in (*_PATTERNS, *extra):
            if not _NAME.fullmatch(pattern):
                message = "identity_headers has what is no header name. Write names, each maybe with a * at its end."
                raise ConfigurationError(message, field="identity_headers", reason="not_a_header_name")
            folded = _fold(pattern.removesuffix("*").encode())
            if pattern.endswith("*"):
                prefixes.append(folded)
            else:
                names.add(folded)
        self._names = frozenset(names)
        self._prefixes = tuple(prefixes)

    def __missing__(self, name: bytes) -> bool:
        folded = _fold(name)
        stripped = not _TOKEN.fullmatch(name) or folded in self._names or folded.startswith(self._prefixes)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = stripped
        return stripped


def _fold(name: bytes) -> bytes:
    return _SEPARATORS.sub(b"-", name.lower())
