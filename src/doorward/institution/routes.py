"""Where an institution is, and the links that lead through it: OpenAthens, EZproxy, Shibboleth, CAS, portals. Pure.

What a person gives is read strictly, once, by ``parse_institution``; a ``Route`` then makes links and reads them back.
Nothing here asks a server: which service takes a link, and whether a person may in, is for the probe to find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit

from doorward.errors import ConfigurationError, printable
from doorward.protocol.reading.urls import FLAWS, url_flaw

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPENATHENS_HOST", "Route", "RouteKind", "parse_institution"]

RouteKind: TypeAlias = Literal["openathens", "ezproxy", "shibboleth", "cas", "portal"]

OPENATHENS_HOST: Final = "go.openathens.net"

_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
_REDIRECTOR_PATH = "/redirector/"
_LINK = re.compile(r"https?://[!-~]{1,16384}")  # a target is 2048 characters at most, and three times that encoded

# The parameters that name a target; the first is the one that our links have.
_TARGET_PARAMETERS: Final[Mapping[RouteKind, tuple[str, ...]]] = MappingProxyType(
    {
        "openathens": ("url",),
        "ezproxy": ("qurl", "url"),
        "shibboleth": ("target",),
        "cas": ("service",),
        "portal": (),
    }
)

# Where a Shibboleth sign-in starts without asking "where are you from", and the parameter that says it instead: at the
# service, which is told the identity provider, or at the identity provider, which is told the service.
_WAYFLESS: Final = (
    ("/Shibboleth.sso/", "entityID", "its identity provider"),
    ("/SAML2/Unsolicited/SSO", "providerId", "its service"),
)

_GOOD_ONCE: Final = frozenset({"SAMLRequest", "SAMLResponse", "execution", "ticket"})


@dataclass(frozen=True, slots=True)
class Route:
    """A way through an institution, made by ``parse_institution``.

    Attributes:
        kind: What stands there.
        institution_url: The address without a target, normalised: equal for equal institutions, and what
            ``parse_institution`` reads as this route.
        host: Its host, in lower case, without the port.
        asked_url: The same with the slash at the end of its path, if it was given with one: what is asked for, since
            to many servers that is another page. Routes that differ in it alone are equal.
    """

    kind: RouteKind
    institution_url: str
    host: str
    asked_url: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked_url", self.asked_url or self.institution_url)

    @property
    def answers_without_target(self) -> bool:
        """Whether the address answers as it stands. An OpenAthens redirector answers nothing without a target."""
        return self.kind != "openathens"

    def link_to(self, target: str) -> str:
        """Return where a browser goes to reach ``target`` through the institution.

        A link of this route, and an address that an EZproxy has rewritten, is made for what it leads to: wrapping twice
        is wrapping once. Through a portal there is no link: the target itself is returned. A proxy that takes the
        person to be on campus sends them to the target as it is, so do not wrap again what it led to.

        Raises:
            ConfigurationError: field ``target``; the reason is a flaw of ``protocol.urls``.
        """
        target = self.target_of(target) or target
        if flaw := _target_flaw(target):
            message = f"The address to open {FLAWS[flaw]}. Give it whole, with https:// (or http://) in front."
            raise ConfigurationError(message, field="target", reason=flaw)
        if self.kind == "portal":
            return target
        return _with_target(self.asked_url, self.kind, quote(target, safe=""))

    def target_of(self, link: str) -> str | None:
        """Return what ``link`` leads to, if it is a link of this route to a fit target; None otherwise.

        Where links were wrapped in one another, this is the innermost target.
        """
        target = None
        while (inner := self._unwrap(target or link)) is not None and not _target_flaw(inner):
            target = inner
        return target

    def _unwrap(self, link: str) -> str | None:
        """Take one layer off: what it returns is shorter than ``link``."""
        theirs = _split(link)
        if theirs is None or self.kind == "portal":
            return None
        if self.kind == "ezproxy" and (rewritten := _before_rewriting(theirs, proxy=_proxy_host(self.host))):
            return rewritten
        ours = urlsplit(self.institution_url)
        others, target = _take_target(theirs, self.kind)
        wanted, _ = _take_target(ours, self.kind)
        return target if _place(theirs, self.kind) == _place(ours, self.kind) and set(wanted) <= set(others) else None


def parse_institution(where: str, *, openathens_host: str = OPENATHENS_HOST) -> Route:
    """Read what a person gives as their institution.

    A bare domain (``jcu.edu.au``) is one of OpenAthens. A URL may be that of a redirector, of an EZproxy (any link of
    it), of a WAYFless Shibboleth login, of CAS, or of a portal; a target in it is left out.

    Args:
        where: A domain or an https URL.
        openathens_host: The redirector's ``host[:port]``. Only tests have another one.

    Raises:
        ConfigurationError: field ``institution``; reason ``empty``, ``no_scheme``, ``email_address``, ``not_a_domain``,
            ``not_a_redirector``, ``no_redirector_domain``, ``no_entity_id``, ``one_time_address``, or a flaw of
            ``protocol.urls``, such as ``not_https``.
    """
    if not isinstance(where, str):
        _refuse("not_a_string", "is not a string. Give a domain such as jcu.edu.au, or an https address.")
    where = where.strip()
    if not where:
        _refuse("empty", "is empty. Give its domain, such as jcu.edu.au, or the https address of its login.")
    if "://" not in where:
        return _openathens(_parse_domain(where), openathens_host)
    if flaw := url_flaw(where, loopback_http=False, query=True, fragment=True):
        _refuse(flaw, f"{FLAWS[flaw]}. Give an https address, or a domain such as jcu.edu.au.")
    parts = urlsplit(where)
    if parts.netloc.lower() in {openathens_host, f"{openathens_host}:443"}:
        return _openathens(_redirector_domain(parts), openathens_host)
    if {name for name, _ in _named(parts.query)} & _GOOD_ONCE:
        _refuse(
            "one_time_address", "is given by an address from the middle of a login, good once. Give where it began."
        )
    return _route(parts)


def _refuse(reason: str, flaw: str) -> NoReturn:
    # What was given is not shown: an address may have a password in it, or a ticket.
    raise ConfigurationError(f"The institution {flaw}", field="institution", reason=reason)


def _parse_domain(where: str) -> str:
    if "@" in where:
        _refuse("email_address", "is given by an e-mail address. Give the part behind the @ alone.")
    domain = where.lower().rstrip("/")
    if _DOMAIN.fullmatch(domain):
        return domain
    if re.match(r"[^/]*[/?#:]", domain):
        _refuse("no_scheme", "is an address without https:// in front. Write it whole, or give the domain alone.")
    _refuse(
        "not_a_domain",
        f"{printable(where)!r} is not a domain. Write it as jcu.edu.au, in ASCII (a domain of another script begins "
        f"with xn--), or give the https address of its login.",
    )


def _redirector_domain(parts: SplitResult) -> str:
    head, found, domain = parts.path.partition(_REDIRECTOR_PATH)
    if head or not found:
        _refuse("not_a_redirector", "is an OpenAthens address, but no redirector: …/redirector/ and its domain.")
    domain = domain.rstrip("/").lower()
    if not domain:
        _refuse("no_redirector_domain", "is a redirector without a domain. Write …/redirector/jcu.edu.au.")
    if not _DOMAIN.fullmatch(domain):
        _refuse("not_a_redirector", "is a redirector for something that is no domain. Write …/redirector/jcu.edu.au.")
    return domain


def _openathens(domain: str, openathens_host: str) -> Route:
    host = openathens_host.partition(":")[0]
    return Route("openathens", f"https://{openathens_host}{_REDIRECTOR_PATH}{domain}", host)


def _route(parts: SplitResult) -> Route:
    kind = _kind(parts)
    if kind == "ezproxy" and not _ends_in_login(parts):
        parts = _proxy_login(parts)
    place = f"https://{_place(parts)}"
    slash = parts.path[len(parts.path.rstrip("/")) :]
    if kind == "portal":
        query = f"?{parts.query}" if parts.query else ""
        fragment = f"#{parts.fragment}" if parts.fragment else ""  # some portals are one page, and this their login
        return Route(kind, f"{place}{query}{fragment}", parts.hostname or "", f"{place}{slash}{query}{fragment}")
    others, _ = _take_target(parts, kind)
    query = f"?{'&'.join(others)}" if others else ""
    if _kind(urlsplit(f"{place}{query}")) != kind:  # it is the parameter alone that tells it from a portal
        query = _with_target(query, kind, "")
    return Route(kind, f"{place}{query}", parts.hostname or "", f"{place}{slash}{query}")


def _with_target(url: str, kind: RouteKind, target: str) -> str:
    parameter = f"{_TARGET_PARAMETERS[kind][0]}="
    url = url.removesuffix(parameter).rstrip("?&")
    return f"{url}{'&' if '?' in url else '?'}{parameter}{target}"


def _kind(parts: SplitResult) -> RouteKind:
    given = dict(_named(parts.query))
    login = _ends_in_login(parts)
    if login and given.keys() & {"url", "qurl"}:
        return "ezproxy"
    for path, entity, whom in _WAYFLESS:
        if path in parts.path:
            if not given.get(entity):
                _refuse("no_entity_id", f"is a Shibboleth login that does not name {whom}: add ?{entity}=… to it.")
            return "shibboleth"
    if login and ("service" in given or "/cas/" in parts.path):
        return "cas"
    return "ezproxy" if _proxy_host(parts.hostname or "", certain=True) else "portal"


def _ends_in_login(parts: SplitResult) -> bool:
    return parts.path.rstrip("/").endswith("/login")


def _split(url: str) -> SplitResult | None:
    """Take a URL apart that may be anything; None for what is no link."""
    try:
        parts = urlsplit(url) if isinstance(url, str) and _LINK.fullmatch(url) else None
        _ = parts and parts.port  # reading the port checks it
    except ValueError:
        return None
    return parts if parts and parts.hostname else None


def _place(parts: SplitResult, kind: RouteKind = "portal") -> str:
    """Return host, port and path as they compare: without what goes without saying.

    An EZproxy may be called with ``login.`` in front or without, and OpenAthens does not mind the case of a domain.
    """
    host = parts.hostname or ""
    path = parts.path.rstrip("/")
    if kind == "ezproxy":
        host = host.removeprefix("login.")
    elif kind == "openathens":
        path = path.lower()
    port = "" if parts.port in {None, 443 if parts.scheme == "https" else 80} else f":{parts.port}"
    return f"{f'[{host}]' if ':' in host else host}{port}{path}"


def _parameters(query: str) -> list[str]:
    return [parameter for parameter in query.split("&") if parameter]


def _named(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (parameter.partition("=") for parameter in _parameters(query))]


def _take_target(link: SplitResult, kind: RouteKind) -> tuple[list[str], str | None]:
    """Part the query of ``link`` into its other parameters, as they stand, and the target, decoded."""
    query, target = link.query, None
    if kind == "ezproxy" and (raw := re.search(r"(?:^|&)url=(.*)", query)):
        # EZproxy takes all that follows for the target, as it stands, with every & and = and # in it.
        query, target = query[: raw.start()], raw[1] + (f"#{link.fragment}" if link.fragment else "")
        if not re.match(r"https?://", target):
            target = _decode(target)
    others = []
    for parameter, (name, value) in zip(_parameters(query), _named(query), strict=True):
        if name not in _TARGET_PARAMETERS[kind]:
            others.append(parameter)
        elif target is None:
            target = _decode(value)
    return others, target


def _decode(value: str) -> str | None:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None


def _target_flaw(target: str) -> str:
    """Say what keeps ``target`` from being one. It may be http: the login stands before it, not on it."""
    if isinstance(target, str) and target.startswith("http://"):
        target = f"https://{target.removeprefix('http://')}"
    return url_flaw(target, loopback_http=False, query=True, fragment=True)


def _proxy_host(host: str, *, certain: bool = False) -> str:
    """Return the name that an EZproxy puts behind the hosts it rewrites.

    ``ezproxy.example.edu`` of ``www-nature-com.ezproxy.example.edu``; OCLC's are ``….NAME.idm.oclc.org``. Of any other
    host it is all but ``login.``, or, if it is to be certain, nothing.
    """
    labels = host.split(".")
    for at, label in enumerate(labels):
        if "ezproxy" in label:
            return ".".join(labels[at:])
    if host.endswith(".idm.oclc.org"):
        return ".".join(labels[-4:])
    return "" if certain else host.removeprefix("login.")


def _proxy_login(parts: SplitResult) -> SplitResult:
    """Return the login of the EZproxy whose address this is, rewritten or not."""
    host = parts.hostname or ""
    proxy = _proxy_host(host)
    if host != proxy:  # it has names below its own, hence also this one: EZproxy gives it to the login itself
        proxy = f"login.{proxy}"
    port = "" if parts.port is None else f":{parts.port}"
    return SplitResult("https", f"{proxy}{port}", "/login", "", "")


def _before_rewriting(parts: SplitResult, *, proxy: str) -> str | None:
    """Return the address that EZproxy made this one of ("proxy by hostname"); None if it made none.

    Of https addresses the dots become hyphens, and hyphens two; those of http stay as they are. ``p8080-`` is a port.
    """
    host = parts.hostname or ""
    name = host.removesuffix(f".{proxy}")
    if name in {host, "login"}:
        return None
    port = ""
    if found := re.match(r"p(\d{1,5})-", name):
        name, port = name[found.end() :], f":{found[1]}"
    if "." not in name:
        name = name.replace("--", "\0").replace("-", ".").replace("\0", "-")
    if not _DOMAIN.fullmatch(name):
        return None
    rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{name}{port}{rest}" + (f"#{parts.fragment}" if parts.fragment else "")
