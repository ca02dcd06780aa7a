"""Project Wycheproof's vectors for JWS and JWK. Where our verdict is another one, it stands here with the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from doorward.errors import DoorwardError
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.protocol.jws import parse_jws, verify_jws

REPOSITORY = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("DOORWARD_WYCHEPROOF", REPOSITORY.parent / "shared" / "peers" / "vectors"))

SYMMETRIC = "we take no symmetric keys: whoever checks a token could make one"
CURVE_NAME = "the key says alg ES521, which does not exist; the token says ES512"
OTHER_ALG = "the key says alg PS256, the token PS384: the key's word counts"
LENIENT_BASE64 = "a symmetric key; and a question mark in base64url is not skipped"

# Vectors that are called valid and that we refuse. There is none the other way round, and there must be none.
STRICTER = {
    "json_web_key_test.json": {2: SYMMETRIC, 13: SYMMETRIC, 14: SYMMETRIC, 15: SYMMETRIC},
    "json_web_signature_test.json": {
        1: SYMMETRIC,
        346: OTHER_ALG,
        347: CURVE_NAME,
        348: SYMMETRIC,
        350: OTHER_ALG,
        351: CURVE_NAME,
        352: SYMMETRIC,
        357: SYMMETRIC,
        358: SYMMETRIC,
        359: SYMMETRIC,
        372: LENIENT_BASE64,
        373: LENIENT_BASE64,
        376: SYMMETRIC,
        377: SYMMETRIC,
    },
}


def verdict(token: str, jwk_set: object) -> str:
    try:
        keys = parse_jwk_set(json.dumps(jwk_set).encode())
        verify_jws(parse_jws(token), keys, algorithms=ASYMMETRIC_ALGORITHMS)
    except DoorwardError:
        return "invalid"
    return "valid"


@pytest.mark.parametrize("name", STRICTER)
def test_every_vector_has_the_verdict_that_we_stand_by(name):
    if not (FOLDER / name).is_file():
        # Not among the peers that scripts/peers installs: no package registry has them.
        leave = pytest.fail if "DOORWARD_WYCHEPROOF" in os.environ else pytest.skip
        leave(f"{name} is missing: let DOORWARD_WYCHEPROOF name a folder with Project Wycheproof's vectors")
    document = json.loads((FOLDER / name).read_text())
    accepted, refused = set(), set()
    for group in document["testGroups"]:
        keys = group.get("public", group["private"])
        for test in group["tests"]:
            ours = verdict(test["jws"], keys if "keys" in keys else {"keys": [keys]})
            if ours != test["result"]:
                (accepted if ours == "valid" else refused).add(test["tcId"])
    assert not accepted
    assert refused == set(STRICTER[name])
    assert sum(len(group["tests"]) for group in document["testGroups"]) == document["numberOfTests"]
