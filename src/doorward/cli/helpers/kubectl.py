"""``doorward credential kubectl``: an exec credential for kubectl and everything built on client-go.

Source: kubernetes.io, "client-go credential plugins"; the API ``client.authentication.k8s.io``, v1 and v1beta1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from doorward.cli.helpers.options import origin_option, origins_from
from doorward.cli.options import profile_option
from doorward.cli.terminal import print_json
from doorward.cli.view import instant
from doorward.errors import ConfigurationError, Malformed, printable
from doorward.protocol.reading.origins import origin_of
from doorward.protocol.reading.strict_json import loads_object
from doorward.signin.handing.permission import may_go_to
from doorward.signin.handing.tokens import hand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["kubectl"]

_API = "client.authentication.k8s.io"
_KNOWN = (f"{_API}/v1", f"{_API}/v1beta1")
_VARIABLE = "KUBERNETES_EXEC_INFO"


@click.command("kubectl")
@profile_option
@click.option("--access", "access_token", is_flag=True, help="The access token instead of the ID token.")
@origin_option
def kubectl(*, profile: str, access_token: bool, origin: Sequence[str]) -> None:
    """Print a credential for kubectl: the ID token, which is what a Kubernetes API server takes.

    With --origin, it is given for these API servers alone; the kubeconfig then needs provideClusterInfo: true.
    """
    asked = _asked()
    server = _server(asked)
    named = origins_from(origin)
    to = origin_of(server) if server else None
    if named and (to is None or may_go_to(to, profile=profile, named=named) is None):
        what = (
            f"{printable(server)} is none of the API servers named" if server else "kubectl does not say which server"
        )
        message = f"{what} with --origin. Add it there, or set provideClusterInfo: true in the kubeconfig."
        raise ConfigurationError(message, field="--origin", reason="origin_not_allowed")
    handed = hand(profile, "access" if access_token else "id", to=server or "kubectl", by="kubectl")
    status = {"token": handed.token.reveal()}
    if handed.expires_at is not None:
        status["expirationTimestamp"] = str(instant(handed.expires_at))
    print_json({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status})


def _asked() -> Mapping[str, Any]:
    """Return what kubectl says of itself in the environment. Who runs this by hand says nothing."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        return {"apiVersion": _KNOWN[0]}
    try:
        asked = loads_object(os.fsencode(text), _VARIABLE)
    except Malformed:
        message = f"{_VARIABLE} is not what kubectl sets: JSON of an ExecCredential. Unset it to try this by hand."
        raise ConfigurationError(message, field=_VARIABLE, reason="exec_info_malformed") from None
    if asked.get("kind") != "ExecCredential" or asked.get("apiVersion") not in _KNOWN:
        message = f"{_VARIABLE} asks for what is not known here. Set apiVersion: {_KNOWN[0]} in the kubeconfig."
        raise ConfigurationError(message, field=_VARIABLE, reason="exec_api_unknown")
    return asked


def _server(asked: Mapping[str, Any]) -> str:
    spec = asked.get("spec")
    cluster = spec.get("cluster") if isinstance(spec, dict) else None
    server = cluster.get("server") if isinstance(cluster, dict) else None
    return server if isinstance(server, str) else ""
