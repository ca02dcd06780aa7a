"""Every lie and every habit, held to what it says it touches: a whole conversation, honest and not, compared."""

from __future__ import annotations

import base64
import gzip
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from doorward.errors import DoorwardError
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import generate_signing_key, parse_jwk
from doorward.protocol.stronger.dpop import build_proof
from doorward.testing import HABITS, MISBEHAVIOURS, DevIssuer
from doorward.testing.lies.habits import HABIT_SWITCHES
from doorward.testing.lies.misbehaviours import LIES
from doorward.testing.provider.keys import hash_of

ABSENT = "absent"
REDIRECT = "http://127.0.0.1:1"
TOKEN_STAGES = ("token", "bound", "refresh", "reuse", "pending", "slow_down", "denied", "bad_code")
ERROR_STAGES = ("reuse", "pending", "slow_down", "denied", "bad_code")


@pytest.fixture(scope="module")
def standing_issuer():
    """One issuer for all rows: a switch must leave nothing behind."""

    class StandingClock:
        at = 1_800_000_000.0

        def now(self):
            return self.at

    with DevIssuer(clock=StandingClock()) as issuer:
        issuer.add_client("cli")
        issuer.add_user("alice", email="alice@example.org", groups=["staff"])
        yield issuer


@pytest.fixture(scope="module")
def honest(standing_issuer, new_caller):
    """The honest conversation, and the keys."""
    caller = new_caller(standing_issuer)
    keys = caller.get("/jwks").json["keys"]
    heard = converse(standing_issuer, keys, caller)
    assert not differences(heard, converse(standing_issuer, keys, caller)), "an honest issuer repeats itself"
    return heard, keys


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep repeated names, as lists that no honest answer has."""
    names = [name for name, _ in pairs]
    return {
        name: value if names.count(name) == 1 else ["repeated", *(v for n, v in pairs if n == name)]
        for name, value in pairs
    }


def plain(value: Any) -> Any:
    """Put a constant in the place of what is random."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, str):
        if re.fullmatch(r"[A-Za-z0-9_-]{43}", value):
            return "random"
        value = re.sub(r"(?<=request_uri:)[A-Za-z0-9_-]{43}", "random", value)
        return re.sub(r"\b[B-Z]{4}-[B-Z]{4}\b", "user code", value)
    return value


def read_object(body: bytes) -> Any:
    try:
        value = json.loads(body, object_pairs_hook=members)
    except (ValueError, RecursionError):
        return "unreadable"
    return value if isinstance(value, dict) else f"a {type(value).__name__}"


def look_at(answer) -> dict[str, Any]:
    """Return what a client sees around and in an answer."""
    headers = answer.headers
    envelope = {
        "status": answer.status,
        "content_type": headers["Content-Type"],
        "content_encoding": headers["Content-Encoding"] or "",
        "cache_control": headers["Cache-Control"],
        "location": headers["Location"] or "",
        "size": "huge" if len(answer.body) > 70_000_000 else "small",
    }
    body = read_object(answer.body)
    if answer.headers["Content-Encoding"] == "gzip":
        assert len(gzip.decompress(answer.body)) > 70_000_000
    return {"http": envelope, "body": body}


def look_at_token(token: Any, keys: list[dict[str, Any]], access_token: Any) -> Any:
    """Take a JWT apart as far as it goes."""
    if not isinstance(token, str) or token.count(".") != 2:
        return plain(token)
    try:
        header, payload, signature = (base64url(part) for part in token.split("."))
    except ValueError:
        return "unreadable"
    seen = {"header": read_object(header), "payload": read_object(payload)}
    seen["signature"] = judge(seen["header"], token.rpartition(".")[0].encode(), signature, keys)
    claims = seen["payload"]
    if isinstance(claims, dict):
        algorithm = seen["header"]["alg"] if seen["header"]["alg"] in ALGORITHMS else "RS256"
        if not isinstance(access_token, str) or claims.get("at_hash") == hash_of(access_token, algorithm):
            claims["at_hash"] = "right"
        seen["payload"] = plain(claims)
    return seen


def base64url(part: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]*", part):
        raise ValueError(part)
    return base64.urlsafe_b64decode(part + "==")


def judge(header: dict[str, Any], signing_input: bytes, signature: bytes, keys: list[dict[str, Any]]) -> str:
    """Say whether any key verifies the signature: whatever its name and strength, for this is no guard."""
    algorithm = ALGORITHMS.get(header["alg"])
    for key in keys if algorithm else []:
        try:
            algorithm.verify(public_key(key), signature, signing_input)
        except (DoorwardError, AttributeError, TypeError, ValueError):
            continue
        return "good"
    return "bad"


def public_key(jwk: dict[str, Any]) -> Any:
    if jwk.get("kty") == "RSA":
        numbers = (int.from_bytes(base64url(jwk[name]), "big") for name in ("e", "n"))
        return rsa.RSAPublicNumbers(*numbers).public_key()
    return parse_jwk(jwk).public_key


def converse(issuer: DevIssuer, issuer_keys: list[dict[str, Any]], caller) -> dict[str, Any]:
    """Ask everything that can be asked, and return what was answered, without what is random."""
    seen: dict[str, Any] = {}

    def note(stage: str, answer) -> Any:
        looked = look_at(answer)
        seen[f"{stage}_http"], seen[stage] = looked["http"], plain(looked["body"])
        return looked["body"]

    note("metadata", caller.get("/.well-known/openid-configuration"))
    document = note("jwks", caller.get("/jwks"))
    published = document.get("keys") if isinstance(document, dict) else None
    keys = [key for key in published if isinstance(key, dict)] if isinstance(published, list) else []

    issuer.sign_in_as("alice")
    note("pushed", push(caller))
    code = sign_in(caller, seen)
    if code is not None:
        use(caller, code, [*issuer_keys, *keys[:100]], note, seen)
        use_bound(issuer, caller, [*issuer_keys, *keys[:100]], note, seen)
    use_device(issuer, caller, note)
    note("logout", caller.get("/end_session", client_id="cli", post_logout_redirect_uri=REDIRECT))
    return seen


def push(caller) -> Any:
    asked = {"response_type": "code", "redirect_uri": REDIRECT, "code_challenge": "c" * 43}
    return caller.post("/par", client_id="cli", code_challenge_method="S256", **asked)


def sign_in(caller, seen) -> str | None:
    location = urlsplit(caller.authorize(redirect_uri=REDIRECT).headers["Location"])
    query = parse_qs(location.query, keep_blank_values=True)
    seen["callback"] = {name: plain(values[0]) if len(values) == 1 else "repeated" for name, values in query.items()}
    seen["redirect"] = location._replace(query="").geturl()
    code = query.get("code", [""])[0]
    return code if re.fullmatch(r"[A-Za-z0-9_-]{43}", code) else None


def tokens_in(stage: str, answer, keys, note, seen) -> dict[str, Any]:
    body = note(stage, answer)
    if isinstance(body, dict):
        access_token = body.get("access_token")
        for kind in ("access_token", "id_token"):
            if kind in body:
                seen[stage][kind] = look_at_token(body[kind], keys, access_token)
        return body
    return {}


def use_bound(issuer: DevIssuer, caller, keys, note, seen) -> None:
    issuer.change(dpop="offered", dpop_nonces=True)
    key, url, nonce = generate_signing_key("ES256"), issuer.endpoint("token"), None
    query = parse_qs(urlsplit(caller.authorize(redirect_uri=REDIRECT).headers["Location"]).query)
    for _ in range(2):
        now, jti = issuer.clock.now(), secrets.token_hex(16)
        proof = build_proof(key, method="POST", url=url, now=now, jti=jti, nonce=nonce)
        answer = caller.redeem(query["code"][0], redirect_uri=REDIRECT, headers={"DPoP": proof})
        nonce = answer.headers["DPoP-Nonce"]
    tokens_in("bound", answer, keys, note, seen)
    issuer.change(dpop="not_offered", dpop_nonces=False)


def use(caller, code: str, keys, note, seen) -> None:
    def tokens(stage: str, answer) -> dict[str, Any]:
        return tokens_in(stage, answer, keys, note, seen)

    first = tokens("token", caller.redeem(code, redirect_uri=REDIRECT))
    access_token = first.get("access_token")
    if isinstance(access_token, str) and re.fullmatch(r"[!-~]{1,20000}", access_token):
        note("userinfo", caller.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"}))
    if re.fullmatch(r"[A-Za-z0-9_-]{43}", str(first.get("refresh_token"))):
        refreshed = tokens("refresh", caller.refresh(first["refresh_token"]))
        if "error" not in refreshed:
            if "userinfo" in seen:
                bearer = {"Authorization": f"Bearer {access_token}"}
                seen["old_token"] = caller.get("/userinfo", headers=bearer).status
            note("reuse", caller.refresh(first["refresh_token"]))


def use_device(issuer: DevIssuer, caller, note) -> None:
    issuer.ask()
    device = note("device", caller.post("/device_authorization", client_id="cli", scope="openid"))
    if isinstance(device.get("device_code"), str):
        note("pending", caller.poll_device(device["device_code"]))
        note("slow_down", caller.poll_device(device["device_code"]))
    note("bad_code", caller.poll_device("no-such-code"))
    issuer.deny()
    issuer.change(device_pending_polls=0)
    device = caller.post("/device_authorization", client_id="cli").json
    if isinstance(device.get("device_code"), str):
        note("denied", caller.poll_device(device["device_code"]))
    issuer.change(device_pending_polls=1)


def differences(honest: Any, other: Any, path: str = "") -> set[str]:
    if isinstance(honest, dict) and isinstance(other, dict):
        inner = (
            differences(honest.get(name, ABSENT), other.get(name, ABSENT), f"{path}.{name}".lstrip("."))
            for name in honest.keys() | other.keys()
        )
        return set().union(*inner)
    return set() if honest == other else {path}


def names_for(path: str) -> list[str]:
    """Return the names under which a switch may have announced a change at this path."""
    stage, _, rest = path.partition(".")
    document, http = stage.removesuffix("_http"), "_http" if stage.endswith("_http") else ""
    names = [path]
    if document in TOKEN_STAGES:
        names.append(f"token{http}.{rest}".rstrip("."))
        if rest.startswith(("id_token", "access_token")):
            names.append(rest)
    if document in ERROR_STAGES:
        names.append(f"errors{http}.{rest}".rstrip("."))
    return names


def covered(path: str, touches: frozenset[str]) -> set[str]:
    return {
        touch for touch in touches if any(name == touch or name.startswith(f"{touch}.") for name in names_for(path))
    }


@pytest.mark.parametrize("switch", [*LIES.values(), *HABIT_SWITCHES.values()], ids=lambda switch: switch.name)
def test_a_switch_changes_what_it_says_and_nothing_else(switch, standing_issuer, new_caller, honest):
    heard, keys = honest
    turn_on = standing_issuer.misbehave if switch.name in LIES else standing_issuer.adopt
    with turn_on(switch.name):
        found = converse(standing_issuer, keys, new_caller(standing_issuer))
    both = heard.keys() & found.keys()
    changed = set().union(*(differences(heard[stage], found[stage], stage) for stage in both))
    unannounced = {path for path in changed if not covered(path, switch.touches)}
    assert not unannounced, "changes what it does not announce"
    assert set().union(*(covered(path, switch.touches) for path in changed)) == switch.touches


def test_after_all_switches_the_issuer_is_honest_again(standing_issuer, new_caller, honest):
    heard, keys = honest
    assert not differences(heard, converse(standing_issuer, keys, new_caller(standing_issuer)))


def test_there_are_many_and_each_has_a_description():
    assert len(MISBEHAVIOURS) >= 200
    assert len(HABITS) >= 60
    assert not set(MISBEHAVIOURS) & set(HABITS)
    assert all(MISBEHAVIOURS.values())
    assert all(HABITS.values())
    assert len({switch.name for switch in LIES.values()}) == len(LIES)
