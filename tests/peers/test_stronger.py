"""PAR and DPoP at a certified provider, through Chromium: what it demands, and what no other key can use."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import doorward
from doorward.errors import ConfigurationError, DoorwardError
from doorward.model import Secret
from doorward.protocol.jwk import SigningKey, generate_signing_key
from doorward.protocol.stronger.dpop import PROOF_ALGORITHMS, build_proof, thumbprint
from doorward.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.ports import BoundTokenSource

pytestmark = pytest.mark.usefixtures("trust_test_ca")

MODULES = Path(__file__).parent.parent.parent / ".peers" / "node_modules"


@pytest.fixture
def sign_in(oidc_provider: Any, person: Any) -> Callable[..., doorward.Session]:
    def do(client_id: str, **options: Any) -> doorward.Session:
        prompt = person(oidc_provider.sign_in)
        options = {"prompt": prompt, "provider": "oidc-provider", "timeout_s": 60, **options}
        return doorward.sign_in(oidc_provider.https, client_id, **options)

    return do


def me(oidc_provider: Any, source: BoundTokenSource, token: str) -> tuple[int, dict[str, Any]]:
    """Ask the UserInfo endpoint as an adapter does: once more with the nonce that it wants."""
    url, nonce = f"{oidc_provider.https}/me", None
    for _ in range(2):
        headers = dict(source.authorization(token, "GET", url, nonce=nonce))
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                status, nonce, body = refused.code, refused.headers["DPoP-Nonce"], json.load(refused)
        if nonce is None:
            break
    return status, body


def test_a_client_that_may_only_push(sign_in: Callable[..., doorward.Session]) -> None:
    assert sign_in("native-pushed").principal.subject == "alice"


@pytest.mark.parametrize(
    ("client_id", "dpop"), [("native", "always"), ("native-bound", "auto"), ("nonce-bound", "auto")]
)
def test_what_is_bound_is_renewed_and_used_with_its_key_alone(
    sign_in: Callable[..., doorward.Session], oidc_provider: Any, client_id: str, dpop: Any
) -> None:
    session = sign_in(client_id, dpop=dpop)
    status, body = me(oidc_provider, session, session.token())
    assert (status, body.get("sub")) == (200, "alice")
    token = session.renew()
    assert me(oidc_provider, session, token)[0] == 200
    other = doorward.ClientCredentials(
        oidc_provider.https, "service-bound", client_secret="service-bound-secret", dpop="always"
    )
    other.token()
    assert me(oidc_provider, other, token)[0] == 401  # a proof by another key
    bearer = {"Authorization": f"Bearer {token}"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{oidc_provider.https}/me", headers=bearer), timeout=20)
    refused.value.close()
    assert refused.value.code == 401
    assert Vault().get("default").dpop_alg == "ES256"


def test_a_client_that_must_bind_and_may_not(sign_in: Callable[..., doorward.Session]) -> None:
    with pytest.raises(DoorwardError):
        sign_in("native-bound", dpop="never")
    assert Vault().get("default") is None


@pytest.mark.parametrize("dpop", ["auto", "always"])
def test_a_service(oidc_provider: Any, dpop: Any) -> None:
    service = doorward.ClientCredentials(
        oidc_provider.https, "service-bound", client_secret="service-bound-secret", dpop=dpop
    )
    token = service.token()
    assert service.authorization(token, "GET", "https://x.example")["Authorization"] == f"DPoP {token}"


class TestCertificate:
    """RFC 8705: the client is known by its certificate, at the endpoints that are meant for it."""

    def test_a_service(self, oidc_provider: Any, tmp_path: Path) -> None:
        certificate = str(oidc_provider.client_certificate)
        service = doorward.ClientCredentials(oidc_provider.https, "service-certificate", client_certificate=certificate)
        assert service.token()
        with pytest.raises(DoorwardError):
            doorward.ClientCredentials(oidc_provider.https, "service-certificate", client_secret="a guess").token()

    def test_a_person(self, sign_in: Callable[..., doorward.Session], oidc_provider: Any) -> None:
        session = sign_in("native-certificate", client_certificate=str(oidc_provider.client_certificate))
        assert session.renew() != ""
        assert doorward.open_session().renew() != ""
        entry = Vault().get("default")
        assert entry.client_authentication == "self_signed_tls_client_auth"
        assert entry.client_certificate == str(oidc_provider.client_certificate)


class TestFapi:
    def test_with_a_key(self, sign_in: Callable[..., doorward.Session], oidc_provider: Any) -> None:
        key = SigningKey.from_pem(oidc_provider.client_keys["ES256"], alg="ES256", kid="client-ES256")
        session = sign_in("fapi-jwt", client_key=key, security_profile="fapi2")
        status, body = me(oidc_provider, session, session.token())
        assert (status, body.get("sub")) == (200, "alice")
        assert session.renew() != ""
        entry = Vault().get("default")
        assert (entry.security_profile, entry.dpop_alg) == ("fapi2", "ES256")

    def test_with_a_certificate(self, sign_in: Callable[..., doorward.Session], oidc_provider: Any) -> None:
        certificate = str(oidc_provider.client_certificate)
        session = sign_in("fapi-certificate", client_certificate=certificate, security_profile="fapi2")
        assert session.renew() != ""
        assert Vault().get("default").dpop_key is None  # bound to the certificate

    def test_a_public_client_is_not_let_in(self, sign_in: Callable[..., doorward.Session]) -> None:
        with pytest.raises(ConfigurationError) as refused:
            sign_in("native", security_profile="fapi2")
        assert refused.value.reason == "fapi2_client"


VERIFY = """
import { jwtVerify, EmbeddedJWK, calculateJwkThumbprint } from %s;
for (const line of (await new Response(process.stdin).text()).trim().split('\\n')) {
  const { payload, protectedHeader } = await jwtVerify(line, EmbeddedJWK, { typ: 'dpop+jwt' });
  console.log(JSON.stringify([payload, await calculateJwkThumbprint(protectedHeader.jwk)]));
}
"""


def test_our_proofs_as_another_library_reads_them(require_peer: Callable[[str, object], None]) -> None:
    node, jose = shutil.which("node"), MODULES / "jose"
    require_peer("node", node)
    require_peer("jose", jose.is_dir())
    keys = [generate_signing_key(alg) for alg in PROOF_ALGORITHMS]
    said = {"method": "GET", "url": "HTTPS://API.example.org:443/a?b=c", "now": 1_800_000_000, "jti": "j", "nonce": "n"}
    proofs = [build_proof(key, **said, access_token=Secret("t")) for key in keys]
    entry = (jose / "dist" / "webapi" / "index.js").as_uri()
    done = subprocess.run(
        [node, "--input-type=module", "-e", VERIFY % json.dumps(entry)],
        input="\n".join(proofs),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert [jkt for _, jkt in read] == [thumbprint(key) for key in keys]
    assert all(claims["htu"] == "https://api.example.org/a" and claims["nonce"] == "n" for claims, _ in read)
