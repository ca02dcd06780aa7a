"""The examples of the RFCs: what others signed, we verify."""

from __future__ import annotations

import json

import pytest

from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jwk import ASYMMETRIC_ALGORITHMS, parse_jwk_set
from doorward.protocol.jws import parse_jws, verify_jws

JOE = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'

RSA_N = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-p"
    "CgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg"
    "665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FR"
    "WyuXpoQ"
)
RSA_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7"
    "t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12"
    "jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUP"
    "QGe77Rw"
)
EC_X, EC_Y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
EC_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
OKP_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
OKP_SIGNATURE = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"


@pytest.mark.parametrize(
    ("alg", "jwk", "payload", "signature"),
    [
        pytest.param("RS256", {"kty": "RSA", "n": RSA_N, "e": "AQAB"}, JOE, RSA_SIGNATURE, id="RFC 7515 A.2"),
        pytest.param(
            "ES256", {"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y}, JOE, EC_SIGNATURE, id="RFC 7515 A.3"
        ),
        pytest.param(
            "EdDSA",
            {"kty": "OKP", "crv": "Ed25519", "x": OKP_X},
            b"Example of Ed25519 signing",
            OKP_SIGNATURE,
            id="RFC 8037 A.5",
        ),
    ],
)
def test_an_example_of_the_rfcs_verifies(alg, jwk, payload, signature):
    header = f'{{"alg":"{alg}"}}'.encode()
    keys = parse_jwk_set(json.dumps({"keys": [jwk]}).encode())
    jws = parse_jws(f"{encode_base64url(header)}.{encode_base64url(payload)}.{signature}")
    assert verify_jws(jws, keys, algorithms=ASYMMETRIC_ALGORITHMS).payload == payload
