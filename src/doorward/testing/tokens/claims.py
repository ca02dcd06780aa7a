"""Hostile tokens that the issuer itself has signed: wrong claims, spoiled payloads, headers that ask for too much.

The signature is good, so that nothing but the one wrong thing can lead to a refusal. Times are
by the issuer's clock.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from doorward.protocol.jwa import ALGORITHMS
from doorward.testing.lies.bends import toggle_slash
from doorward.testing.tokens.hostile_token import HostileToken, join, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.protocol.jwk import SigningKey
    from doorward.testing.tokens.hostile_token import Sample

__all__ = ["asking_headers", "other_keys_of_the_issuer", "spoiled_payloads", "wrong_claims"]

_MALFORMED = frozenset({"malformed"})
_MISSING = frozenset({"missing_claim"})
_ISSUER = frozenset({"unknown_issuer"})
_ISSUER_OR_FORM = _ISSUER | _MALFORMED
_AUDIENCE = frozenset({"wrong_audience"})
_EXPIRED = frozenset({"expired"})
_EARLY = frozenset({"not_yet_valid"})
_TYPE = frozenset({"wrong_type"})
_KEY = frozenset({"unknown_key"})

_HOUR_S = 3600
_LONGEST_LEEWAY_S = 300
_REMOVED = object()


def wrong_claims(sample: Sample, key: SigningKey, *, now: float) -> Iterator[HostileToken]:
    """One claim that is not there, of another type, or of another value."""
    for name, claim, value, why, refused_as in (
        *_issuers(sample),
        *_audiences(sample),
        *_subjects(),
        *_times(int(now)),
    ):
        claims = {each: content for each, content in {**sample.claims, claim: value}.items() if content is not _REMOVED}
        yield HostileToken(name, sign(sample.header, claims, key), f"{claim} {why}", refused_as)


def _issuers(sample: Sample) -> tuple[tuple[str, str, Any, str, frozenset[str]], ...]:
    right = str(sample.claims["iss"])
    return (
        ("iss_missing", "iss", _REMOVED, "is missing", _MISSING | _ISSUER_OR_FORM),
        ("iss_null", "iss", None, "is null", _ISSUER_OR_FORM),
        ("iss_empty", "iss", "", "is empty", _ISSUER_OR_FORM),
        ("iss_list", "iss", [right], "is a list with the right one", _ISSUER_OR_FORM),
        ("iss_object", "iss", {right: right}, "is an object", _ISSUER_OR_FORM),
        ("iss_other", "iss", "https://evil.example", "is another issuer", _ISSUER),
        ("iss_slash", "iss", toggle_slash(right), "has a slash more or less", _ISSUER),
        ("iss_longer", "iss", f"{right}.evil.example", "begins with the right one", _ISSUER),
        ("iss_shorter", "iss", right[:-1], "is where the right one begins", _ISSUER),
        ("iss_user_info", "iss", right.replace("://", "://evil@", 1), "names a user at the right one", _ISSUER),
        ("iss_upper_case", "iss", right.upper(), "is in upper case", _ISSUER),
        ("iss_space", "iss", f"{right} ", "has a space at its end", _ISSUER),
        ("iss_fragment", "iss", f"{right}#", "has a fragment", _ISSUER),
    )


def _audiences(sample: Sample) -> tuple[tuple[str, str, Any, str, frozenset[str]], ...]:
    named = sample.claims["aud"]
    right = str(named if isinstance(named, str) else named[0])
    form = _MALFORMED | _AUDIENCE
    return (
        ("aud_missing", "aud", _REMOVED, "is missing", _MISSING | _AUDIENCE),
        ("aud_null", "aud", None, "is null", form),
        ("aud_empty", "aud", "", "is empty", form),
        ("aud_empty_list", "aud", [], "is an empty list", form),
        ("aud_other", "aud", "somebody-else", "is somebody else", _AUDIENCE),
        ("aud_others", "aud", ["somebody-else", "another"], "lists only others", _AUDIENCE),
        ("aud_nested", "aud", [[right]], "is a list in a list", form),
        ("aud_object", "aud", {right: True}, "is an object with us as a member", form),
        ("aud_number", "aud", 7, "is a number", form),
        ("aud_true", "aud", True, "is true", form),
        ("aud_mixed", "aud", [right, 7], "lists us and a number", form),
        ("aud_longer", "aud", f"{right}-admin", "begins with our name", _AUDIENCE),
        ("aud_shorter", "aud", right[:-1], "is where our name begins", form),
        (
            "aud_case",
            "aud",
            right.swapcase() if right.swapcase() != right else f"{right}A",
            "is in another case",
            _AUDIENCE,
        ),
        ("aud_star", "aud", "*", "is a star", _AUDIENCE),
        ("aud_joined", "aud", f"somebody-else {right}", "holds our name among others, with a space", _AUDIENCE),
    )


def _subjects() -> tuple[tuple[str, str, Any, str, frozenset[str]], ...]:
    form = _MALFORMED | _MISSING
    return (
        ("sub_missing", "sub", _REMOVED, "is missing", form),
        ("sub_null", "sub", None, "is null", form),
        ("sub_empty", "sub", "", "is empty", form),
        ("sub_number", "sub", 0, "is a number", form),
        ("sub_list", "sub", ["alice", "admin"], "is a list", form),
        ("sub_object", "sub", {"name": "alice"}, "is an object", form),
    )


def _times(now: int) -> tuple[tuple[str, str, Any, str, frozenset[str]], ...]:
    later = now + _HOUR_S
    return (
        ("exp_missing", "exp", _REMOVED, "is missing", _MISSING),
        ("exp_null", "exp", None, "is null", _MALFORMED),
        ("exp_past", "exp", now - _HOUR_S, "was an hour ago", _EXPIRED),
        ("exp_just_past", "exp", now - _LONGEST_LEEWAY_S, "was five minutes ago: no clock is that wrong", _EXPIRED),
        ("exp_zero", "exp", 0, "is 0", _EXPIRED),
        ("exp_negative", "exp", -later, "is negative", _MALFORMED | _EXPIRED),
        ("exp_milliseconds", "exp", later * 1000, "is in milliseconds: the year 50000", _MALFORMED),
        ("exp_string", "exp", str(later), "is a string of digits", _MALFORMED),
        ("exp_signed_string", "exp", " +9999999999 ", "is a string with a sign and spaces", _MALFORMED),
        ("exp_date", "exp", "9999-12-31T23:59:59Z", "is a date in words", _MALFORMED),
        ("exp_true", "exp", True, "is true", _MALFORMED),
        ("exp_list", "exp", [later], "is a list", _MALFORMED),
        ("exp_object", "exp", {"at": later}, "is an object", _MALFORMED),
        ("exp_huge", "exp", 10**400, "has 401 digits", _MALFORMED),
        ("exp_65_bits", "exp", 2**64 + later, "overflows 64 bits, and comes out right", _MALFORMED),
        ("exp_infinity", "exp", float("inf"), "is Infinity", _MALFORMED),
        ("exp_nan", "exp", float("nan"), "is NaN, which is less than nothing", _MALFORMED),
        ("exp_1e300", "exp", 1e300, "is a float beyond all time", _MALFORMED),
        ("nbf_future", "nbf", later, "is in an hour", _EARLY),
        ("nbf_string", "nbf", str(now), "is a string", _MALFORMED),
        ("nbf_nan", "nbf", float("nan"), "is NaN", _MALFORMED),
        ("iat_future", "iat", later, "is in an hour", _EARLY),
        ("iat_string", "iat", str(now), "is a string", _MALFORMED),
        ("iat_true", "iat", True, "is true", _MALFORMED),
        ("iat_huge", "iat", -(10**400), "has 401 digits", _MALFORMED),
    )


def spoiled_payloads(sample: Sample, key: SigningKey) -> Iterator[HostileToken]:
    """Payloads that two parsers read differently, or that no parser should survive."""
    good = json.dumps(sample.claims).encode()
    open_end = good[:-1]
    payloads = {
        "sub_twice": (open_end + b',"sub":"admin"}', "sub stands twice"),
        "sub_twice_escaped": (open_end + b',"su\\u0062":"admin"}', "sub stands twice, once escaped"),
        "inner_name_twice": (open_end + b',"x":{"a":1,"a":2}}', "a name stands twice, deeper"),
        "exp_1e400": (open_end.replace(b'"exp"', b'"exp":1e400,"x"', 1) + b"}", "exp is 1e400"),
        "deep_lists": (open_end + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}", "2000 lists in each other"),
        "deep_objects": (open_end + b',"x":' + b'{"a":' * 1000 + b"1" + b"}" * 1001, "1000 objects in each other"),
        "list": (b"[" + good + b"]", "a list"),
        "string": (json.dumps(good.decode()).encode(), "a string"),
        "null": (b"null", "null"),
        "empty": (b"", "empty"),
        "no_json": (b"sub=alice&admin=1", "no JSON"),
        "trailing": (good + b'{"sub":"admin"}', "another object after it"),
        "trailing_comma": (open_end + b",}", "a comma too many"),
        "comment": (open_end + b"/* sub: admin */}", "a comment"),
        "single_quotes": (good.replace(b'"', b"'"), "quotes of another language"),
        "bom": (b"\xef\xbb\xbf" + good, "a byte order mark in front"),
        "utf_16": (good.decode().encode("utf-16"), "UTF-16"),
        "not_utf_8": (open_end + b',"x":"\xff\xfe"}', "not UTF-8"),
        "overlong_utf_8": (open_end + b',"x":"\xc0\xaf"}', "a slash in overlong UTF-8"),
        "lone_surrogate": (open_end + b',"x":"\\ud800"}', "half a character"),
        "raw_nul": (open_end + b',"x":"a\0b"}', "a NUL inside a string"),
        "nul_at_end": (good + b"\0", "a NUL at its end"),
        "nan": (open_end + b',"x":NaN}', "NaN in another claim"),
        "huge_integer": (open_end + b',"x":1' + b"0" * 5000 + b"}", "an integer of 5001 digits"),
        "gzip": (gzip.compress(good, mtime=0), "packed with gzip"),
        "too_long": (open_end + b',"x":"' + b"x" * 20_000 + b'"}', "longer than any token should be"),
        "token": (sample.token.encode(), "a token inside a token"),
    }
    for name, (payload, why) in payloads.items():
        token = sign(sample.header, payload, key)
        yield HostileToken(f"payload_{name}", token, f"the payload: {why}", _MALFORMED)


def asking_headers(sample: Sample, key: SigningKey) -> Iterator[HostileToken]:
    """Header members that change what is verified or point elsewhere, and types of tokens that open no door."""
    payload, elsewhere = sample.payload, "https://evil.example"
    members: tuple[tuple[str, str, Any, str], ...] = (
        ("crit", "crit", ["exp"], "an extension that must be understood (CVE-2025-59420)"),
        ("crit_empty", "crit", [], "an empty list of extensions"),
        ("b64_false", "b64", False, "a payload that is not encoded"),
        ("zip_unused", "zip", "DEF", "a payload said to be packed"),
        ("jwk_right", "jwk", key.public_jwk(), "the right key, brought along"),
        ("enc", "enc", "A256GCM", "that it is encrypted"),
        ("x5u", "x5u", f"{elsewhere}/certificate", "where a certificate is"),
        ("typ_number", "typ", 7, "a type that is a number"),
        ("typ_list", "typ", ["at+jwt"], "a type that is a list"),
        ("typ_control", "typ", "at+jwt\n", "a type with a line break"),
        ("kid_quoted", "kid", f'"{key.kid}"', "the right key in quotes"),
    )
    for name, member, value, why in members:
        token = sign({**sample.header, member: value}, payload, key)
        yield HostileToken(f"signed_{name}", token, f"the header says {why}", _KEY if member == "kid" else _MALFORMED)
    token = sign({**sample.header, "zip": "DEF"}, zlib.compress(payload), key)
    yield HostileToken("signed_zip", token, "the payload is packed (CVE-2024-33664)", _MALFORMED)
    for typ, what in (
        ("logout+jwt", "a logout token"),
        ("secevent+jwt", "a security event"),
        ("rt+jwt", "a refresh token"),
        ("dpop+jwt", "a proof of possession"),
        ("token-introspection+jwt", "an answer of introspection"),
    ):
        token = sign({**sample.header, "typ": typ}, payload, key)
        yield HostileToken(f"typ_{typ.partition('+')[0]}", token, f"it is {what}", _TYPE)
    events: dict[str, Any] = {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
    token = sign({**sample.header, "typ": "JWT"}, {**sample.claims, **events}, key)
    yield HostileToken("logout_without_type", token, "it is a logout token that does not say so in typ", _TYPE)


def other_keys_of_the_issuer(sample: Sample, key: SigningKey, other: Sample) -> Iterator[HostileToken]:
    """The issuer's own key, used as it never does; ``other`` is another valid token."""
    token = ".".join((*sample.parts[:2], other.parts[2]))
    yield HostileToken(
        "signature_of_another_token", token, "the signature of another token", frozenset({"bad_signature"})
    )
    token = ".".join((sample.parts[0], other.parts[1], sample.parts[2]))
    yield HostileToken("payload_of_another_token", token, "the payload of another token", frozenset({"bad_signature"}))
    if ALGORITHMS[key.alg].kty != "RSA":
        return
    for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        if alg == key.alg:
            continue
        token = sign({**sample.header, "alg": alg}, sample.payload, key, alg=alg)
        refused_as = frozenset({"unknown_key", "algorithm_not_allowed"})
        yield HostileToken(f"rsa_key_as_{alg.lower()}", token, f"the right key, used for {alg}", refused_as)
    twin = ("PS" if key.alg.startswith("RS") else "RS") + key.alg[2:]
    signature = ALGORITHMS[twin].sign(key.private_key, ".".join(sample.parts[:2]).encode())
    token = join(sample.header, sample.payload, signature)
    yield HostileToken("rsa_other_padding", token, f"says {key.alg} and is {twin}", frozenset({"bad_signature"}))
