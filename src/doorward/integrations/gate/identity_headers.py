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
    "auth-user*",
    "authenticated-user*",
    "cf-access-*",  # Cloudflare Access
    "client-cert*",  # RFC 9440
    "eppn",  # eduPerson, as Shibboleth's and SimpleSAMLphp's front ends pass it on
    "gap-auth",  # oauth2-proxy
    "grafana-user",
    "impersonate-*",  # Kubernetes
    "iv-*",  # IBM Verify Access
    "kubeflow-userid",
    "mail",
    "mellon-*",  # mod_auth_mellon
    "oam-remote-user",  # Oracle Access Manager
    "proxy-user*",
    "oidc-*",  # mod_auth_openidc
    "remote-email",  # Authelia, as the three below
    "remote-groups",
    "remote-name",
    "remote-user",
    "shib-*",  # Shibboleth
    "sm-server*",  # SiteMinder, as the two below
    "sm-universalid",
    "sm-user*",
    "ssl-cert*",
    "ssl-client-*",  # nginx, Apache
    "tailscale-*",
    "teleport-jwt-assertion",
    "tls-client-*",
    "user",
    "userid",
    "username",
    "wl-proxy-*",  # WebLogic
    "x-admin",
    "x-amzn-mtls-*",  # AWS load balancers, as the next
    "x-amzn-oidc-*",
    "x-api-key-name",
    "x-api-user",
    "x-apigateway-api-userinfo",  # Google, as the four with goog and endpoint below
    "x-appengine-user-*",
    "x-argo-user*",
    "x-arr-clientcert",  # Azure
    "x-auth-*",
    "x-authenticated-*",  # Kong, Envoy
    "x-authentik-*",
    "x-cas-*",
    "x-claim*",
    "x-client-cert*",
    "x-client-dn",
    "x-client-verify",
    "x-consumer-*",  # Kong
    "x-credential-*",  # Kong
    "x-dn",
    "x-doorward-*",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-entra-*",
    "x-eppn",
    "x-forwarded-access-token",  # oauth2-proxy, as most with forwarded
    "x-forwarded-client-cert*",  # Envoy
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-login",
    "x-forwarded-name",
    "x-forwarded-preferred-username",
    "x-forwarded-roles",
    "x-forwarded-sub*",
    "x-forwarded-tls-client-cert*",  # Traefik
    "x-forwarded-uid",
    "x-forwarded-user*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-*",
    "x-grafana-*",
    "x-group",
    "x-groups",
    "x-hasura-*",
    "x-id-token",
    "x-identity",
    "x-is-admin",
    "x-isrw-proxy-*",
    "x-jwt-assertion",
    "x-jwt-claim*",
    "x-jwt-payload",  # Istio, Envoy
    "x-jwt-sub",
    "x-krb-*",
    "x-kubernetes-*",
    "x-ldap-*",
    "x-login",
    "x-mail",
    "x-member-of",
    "x-ms-client-principal*",  # Azure
    "x-ms-token-*",
    "x-nginx-ssl-*",
    "x-oidc-*",
    "x-original-user",
    "x-pomerium-*",
    "x-principal",
    "x-proxy-user*",
    "x-remote-*",  # Kubernetes
    "x-role",
    "x-roles",
    "x-saml-*",
    "x-scope-orgid",  # Grafana's Mimir, Loki and Tempo
    "x-shib-*",
    "x-spiffe-id",
    "x-ssl-cert",
    "x-ssl-client-*",
    "x-sso-*",
    "x-subject",
    "x-teleport-*",
    "x-tls-client-*",
    "x-token-*",
    "x-trusted-remote-user",
    "x-uid",
    "x-user*",
    "x-vouch-*",
    "x-webauth-*",  # Grafana
    "x-zitadel-*",
)
_OF_HTTP = (
    "accept*",
    "access-control-request-*",
    "authorization",
    "cache-control",
    "connection",
    "content-*",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "if-*",
    "keep-alive",
    "last-event-id",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "range",
    "referer",
    "sec-*",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade*",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
)
"""What says how a request is to be understood, and never who makes it: these pass where only named headers do."""

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
        only: names that pass, besides those of HTTP itself, and nothing else. None: what is not known passes.

    Raises:
        ConfigurationError: field ``identity_headers`` or ``only_headers``.
    """

    def __init__(self, extra: Iterable[str] = (), *, only: Iterable[str] | None = None) -> None:
        super().__init__()
        self._stripped = _Names((*_PATTERNS, *_listed("identity_headers", extra)), field="identity_headers")
        self._passing = None
        if only is not None:
            self._passing = _Names((*_OF_HTTP, *_listed("only_headers", only)), field="only_headers")

    def __missing__(self, name: bytes) -> bool:
        folded = _fold(name)
        stripped = not _TOKEN.fullmatch(name) or folded in self._stripped
        if self._passing is not None:
            stripped = stripped or folded not in self._passing
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = stripped
        return stripped


class _Names:
    """Names of headers, as they are folded, and beginnings of names."""

    def __init__(self, patterns: Iterable[str], *, field: str) -> None:
        names, prefixes = set(), []
        for pattern in patterns:
            if not _NAME.fullmatch(pattern):
                message = f"{field} has what is no header name. Write names, each maybe with a * at its end."
                raise ConfigurationError(message, field=field, reason="not_a_header_name")
            folded = _fold(pattern.removesuffix("*").encode())
            if pattern.endswith("*"):
                prefixes.append(folded)
            else:
                names.add(folded)
        self._names = frozenset(names)
        self._prefixes = tuple(prefixes)

    def __contains__(self, folded: bytes) -> bool:
        return folded in self._names or folded.startswith(self._prefixes)


def _listed(field: str, given: Iterable[str]) -> Iterable[str]:
    if isinstance(given, str):
        raise ConfigurationError(f"{field} is one text: give a list of header names.", field=field, reason="not_a_list")
    return given


def _fold(name: bytes) -> bytes:
    return _SEPARATORS.sub(b"-", name.lower())
