"""What waits to be written while the disk stalls takes little memory, whatever tokens say."""

from __future__ import annotations

import time

import msgspec
import pytest

from doorward.errors import DoorwardError
from doorward.guard.audit.decisions import Decision
from doorward.guard.guard import Guard
from doorward.guard.issuers.issuer import Issuer
from doorward.protocol.base64url import encode_base64url
from doorward.protocol.claims import sign_claims
from doorward.protocol.jwk import generate_signing_key

URL = "https://id.example.org"
KEY = generate_signing_key("ES256", kid="k1")
LONG = "\u202ea long text \\" * 100


class Kept(list):
    record = list.append


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({"sub": LONG, "jti": LONG}, ["subject", "jti"]),
        ({"sub": LONG, "exp": 1}, ["subject"]),
        ({"iss": LONG, "sub": LONG}, ["issuer", "subject"]),
    ],
)
def test_long_texts_wait_as_their_line_will_tell_them(claims, names):
    kept = Kept()
    guard = Guard([Issuer(URL, ["api"], jwks={"keys": [KEY.public_jwk()]})], audit=kept)
    token = sign_claims({"iss": URL, "sub": "alice", "aud": "api", "exp": int(time.time()) + 60, **claims}, KEY)
    try:
        guard.authenticate(f"Bearer {token}", client_ip="192.0.2.1", resource=f"GET /{LONG}?secret")
    except DoorwardError as error:
        assert error.status_hint == 401  # noqa: PT017 - one of three is let in
    (decision,) = kept
    assert max(len(text) for text in msgspec.structs.astuple(decision) if isinstance(text, str)) <= 300
    whole = {"outcome": "accepted", "at": 0.0, "resource": f"GET /{LONG}", **dict.fromkeys(names, LONG)}
    told, expected = decision.describe(), Decision(**whole).describe()
    assert {name: told[name] for name in [*names, "resource"]} == {
        name: expected[name] for name in [*names, "resource"]
    }


def test_the_name_of_a_key_that_nobody_has_is_bounded():
    kept = Kept()
    guard = Guard([Issuer(URL, ["api"], jwks={"keys": [KEY.public_jwk()]})], audit=kept)
    token = sign_claims({"iss": URL, "sub": "alice", "aud": "api", "exp": int(time.time()) + 60}, KEY)
    header = encode_base64url(msgspec.json.encode({"alg": "ES256", "kid": "k" * 400}))
    with pytest.raises(DoorwardError):
        guard.authenticate(f"Bearer {header}.{token.partition('.')[2]}", client_ip="192.0.2.1")
    assert kept[0].code == "unknown_key"
    assert 0 < len(kept[0].key_id) <= 300
