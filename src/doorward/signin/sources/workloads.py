"""The identity that a platform gives a program that runs on it: where its token is found, and what it is good for.

Read anew each time that a token is asked for, since platforms replace it every few minutes. Nothing here is kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, get_args
from urllib.parse import quote

from doorward.errors import ConfigurationError, InvalidCredential, printable
from doorward.model import HttpRequest, Secret
from doorward.protocol.claims import audience, parse_jwt, validate_times
from doorward.protocol.reading.answers import Answer
from doorward.signin.exchanges import answer_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doorward.ports import Flow

__all__ = ["WorkloadIdentity", "WorkloadUse", "read_workload_identity"]

WorkloadUse: TypeAlias = Literal["assertion", "token-exchange", "jwt-bearer"]

_LONGEST_TOKEN = 65_536
_GITHUB_URL, _GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_FILES = ("AZURE_FEDERATED_TOKEN_FILE",)
"""Variables by which a platform says where a token lies that is meant for identity providers."""


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """Proves a service by a token of its platform, in place of a secret. Give it to ``ClientCredentials``.

    Where neither ``token_file`` nor ``variable`` is given, GitHub Actions is asked if the program runs there, else the
    file is read that ``AZURE_FEDERATED_TOKEN_FILE`` names. Anything else has to be named: the token that lies in every
    Kubernetes pod is meant for the cluster, and nobody else may see it.

    Args:
        token_file: Where the token lies, such as a projected volume of Kubernetes, or a JWT-SVID of SPIFFE.
        variable: The environment variable that holds it, such as one of ``id_tokens`` in GitLab.
        audience: Whom the token is for. GitHub is asked for it; a token from elsewhere is held to it. Left out, GitHub
            is asked for the issuer, and a token from elsewhere is sent as it is.
        use: How it is presented: ``"assertion"``, as the client's proof (RFC 7523 section 2.2, and what Microsoft Entra
            calls a federated credential); ``"token-exchange"`` (RFC 8693) or ``"jwt-bearer"`` (RFC 7523 section 2.1),
            as the grant itself.
        environ: For tests.

    Raises:
        ConfigurationError: ``field`` names what is wrong.

    Source: RFC 7523 section 2; GitHub, About security hardening with OpenID Connect; GitLab, ID tokens; Kubernetes,
    Configure service accounts, ServiceAccount token volume projection; SPIFFE, JWT-SVID.
    """

    token_file: str | os.PathLike[str] | None = None
    variable: str | None = None
    audience: str | None = None
    use: WorkloadUse = "assertion"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.token_file is not None and self.variable is not None:
            message = "Give token_file or variable, not both: the token lies in one place."
            raise ConfigurationError(message, field="variable", reason="two_places")
        if self.use not in get_args(WorkloadUse):
            message = "use must be 'assertion', 'token-exchange' or 'jwt-bearer'."
            raise ConfigurationError(message, field="use")

    def __reduce__(self) -> tuple[type[WorkloadIdentity], tuple[object, ...]]:  # without the environment
        return WorkloadIdentity, (self.token_file, self.variable, self.audience, self.use)

    def flow(self, issuer: str, *, now: float) -> Flow[Secret]:
        """Return the platform's token.

        Raises:
            ConfigurationError: There is none, it can't be read, or it is not what it has to be; ``field`` is ``proof``.
            UnavailableError, ProviderError: The platform did not give one.
        """
        if self.token_file is not None:
            return self._checked(_read(self.token_file), now=now)
        if self.variable is not None:
            return self._checked(self._from_variable(self.variable), now=now)
        if self.environ.get(_GITHUB_URL) and self.environ.get(_GITHUB_TOKEN):
            return self._checked((yield from self._from_github(self.audience or issuer, now=now)), now=now)
        for name in _FILES:
            if self.environ.get(name):
                return self._checked(_read(self.environ[name]), now=now)
        self._refuse()

    def _from_variable(self, name: str) -> Secret:
        if not self.environ.get(name):
            message = f"The environment variable {printable(name)} holds no token. In GitLab, declare it in id_tokens."
            raise ConfigurationError(message, field="proof", reason="workload_variable_empty")
        return Secret(self.environ[name].strip())

    def _from_github(self, audience: str, *, now: float) -> Flow[Secret]:
        url = self.environ[_GITHUB_URL]
        request = HttpRequest(
            "GET",
            f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}",
            "the identity service of GitHub Actions",
            {"accept": "application/json", "authorization": f"Bearer {self.environ[_GITHUB_TOKEN]}"},
        )
        return Answer.read((yield from answer_to(request)), request=request, now=now).token("value")

    def _checked(self, token: Secret, *, now: float) -> Secret:
        """Hold a token to its form, its audience and its times, so that nobody is sent what can't be good there."""
        try:
            claims = parse_jwt(token.reveal(), max_bytes=_LONGEST_TOKEN).claims
            validate_times(claims, now=now)
            others = self.audience is not None and self.audience not in audience(claims)
        except InvalidCredential as error:
            message = f"The platform's token can't be used ({error.reason}). Check where it comes from, and its age."
            raise ConfigurationError(message, field="proof", reason="workload_token_bad") from error
        if others:
            message = "The platform's token is meant for somebody else. Have it made for the audience that you named."
            raise ConfigurationError(message, field="proof", reason="workload_audience")
        return token

    def _refuse(self) -> NoReturn:
        if self.environ.get("GITHUB_ACTIONS"):
            message = "This job of GitHub Actions may ask for no token. Give it the permission `id-token: write`."
            raise ConfigurationError(message, field="proof", reason="no_github_permission")
        message = (
            "No token of a platform was found. Name its file with token_file (Kubernetes: a projected volume with the "
            "provider as audience; SPIFFE: a JWT-SVID), or its variable with variable (GitLab: one of id_tokens)."
        )
        raise ConfigurationError(message, field="proof", reason="no_workload_token")


def read_workload_identity(prefix: str, environ: Mapping[str, str]) -> WorkloadIdentity | None:
    """Return what ``PREFIX_WORKLOAD_IDENTITY`` names: ``auto``, ``file:PATH`` or ``env:VARIABLE``; None if it is unset.

    Raises:
        ConfigurationError: It names something else, or ``PREFIX_WORKLOAD_USE`` does.
    """
    place = environ.get(f"{prefix}_WORKLOAD_IDENTITY")
    if not place:
        return None
    kind, _, name = place.partition(":")
    if place != "auto" and not (kind in ("file", "env") and name):
        field = f"{prefix}_WORKLOAD_IDENTITY"
        raise ConfigurationError(f"{field} must be auto, file:PATH or env:VARIABLE.", field=field)
    use = environ.get(f"{prefix}_WORKLOAD_USE") or "assertion"
    return WorkloadIdentity(
        token_file=name if kind == "file" else None,
        variable=name if kind == "env" else None,
        audience=environ.get(f"{prefix}_WORKLOAD_AUDIENCE") or None,
        use=use,  # type: ignore[arg-type] # checked when it is made
        environ=environ,
    )


def _read(path: str | os.PathLike[str]) -> Secret:
    shown = printable(os.fspath(path))
    try:
        with open(path, "rb", opener=_at_once) as file:
            data = file.read(_LONGEST_TOKEN + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no path"
        message = f"The platform's token in {shown} can't be read: {why}. Check where it is mounted."
        raise ConfigurationError(message, field="proof", reason="workload_file_unreadable") from None
    if len(data) > _LONGEST_TOKEN or not data.isascii():
        message = f"What lies in {shown} is no token. Check token_file."
        raise ConfigurationError(message, field="proof", reason="workload_file_bad")
    return Secret(data.decode("ascii").strip())


def _at_once(path: str, flags: int) -> int:
    """Open a file. A pipe that nobody writes to would hold up the service for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
