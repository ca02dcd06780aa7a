"""Hostile tokens that anybody can make who holds a valid one: forged, respelled, or signed with a key of their own.

The tables say for each: its name, the token, why it is wrong, and the errors that are right for it.
"""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from doorward.protocol.base64url import encode_base64url
from doorward.protocol.jwa import ALGORITHMS
from doorward.protocol.jwk import generate_signing_key, parse_jwk_set
from doorward.testing.tokens.hostile_token import HostileToken, hmac_sign, join, sign, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from doorward.protocol.jwk import SigningKey
    from doorward.testing.tokens.hostile_token import Sample

__all__ = ["brought_keys", "confused_keys", "forged_signatures", "other_algorithms", "respelled", "spoiled_headers"]

_MALFORMED = frozenset({"malformed"})
_ALGORITHM = frozenset({"algorithm_not_allowed"})
_ALGORITHM_OR_KEY = frozenset({"algorithm_not_allowed", "unknown_key"})
_SIGNATURE = frozenset({"bad_signature"})
_KEY = frozenset({"unknown_key"})
_KEY_OR_SIGNATURE = frozenset({"unknown_key", "bad_signature", "algorithm_not_allowed"})
_KEY_OR_FORM = _KEY | _MALFORMED

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ELSEWHERE = "https://evil.example"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551.to_bytes(32, "big")


def other_algorithms(sample: Sample) -> Iterator[HostileToken]:
    """The header names another algorithm, or none."""
    header, payload = sample.header, sample.payload

    def named(alg: Any, signature: bytes = b"") -> str:
        return join({**header, "alg": alg}, payload, signature)

    for name, alg in (("lower", "none"), ("title", "None"), ("upper", "NONE"), ("mixed", "nOnE")):
        yield HostileToken(f"alg_none_{name}_case", named(alg), f"not signed: alg is {alg}", _ALGORITHM)
    kept = named("none", sample.signature)
    yield HostileToken("alg_none_with_signature", kept, "alg none, with a signature that nobody checks", _ALGORITHM)
    without = {name: value for name, value in header.items() if name != "alg"}
    yield HostileToken("alg_missing", join(without, payload, sample.signature), "no alg", _MALFORMED)
    yield HostileToken("alg_empty", named("", sample.signature), "alg is empty", _ALGORITHM)
    yield HostileToken("alg_list", named(["none"], sample.signature), "alg is a list", _MALFORMED)
    yield HostileToken("alg_unknown", named("XX999", sample.signature), "alg is nobody's", _ALGORITHM)
    lower = named(sample.alg.swapcase(), sample.signature)
    yield HostileToken("alg_swapped_case", lower, "algorithms are told apart by case", _ALGORITHM)
    psychic = bytes(64)
    for name, forged, why in (
        ("es256_zero", psychic, "ES256 with r = s = 0: the psychic signature (CVE-2022-21449)"),
        ("es256_order", _P256_ORDER * 2, "ES256 with r = s = the order of the curve"),
        ("eddsa_identity", b"\1" + bytes(63), "EdDSA with the identity as R: good for a key of small order"),
    ):
        alg = "EdDSA" if name.startswith("eddsa") else "ES256"
        yield HostileToken(name, named(alg, forged), why, _KEY_OR_SIGNATURE)
    other = {"RS": "PS", "PS": "RS", "ES": "RS", "Ed": "ES"}[sample.alg[:2]] + "256"
    yield HostileToken(
        "alg_exchanged", named(other, sample.signature), f"{other} over a signature by {sample.alg}", _KEY_OR_SIGNATURE
    )
    for name, secret, why in (
        ("empty", b"", "HS256 with an empty secret"),
        ("guessed", b"secret", "HS256 with the secret that tutorials use"),
        ("kid", str(header.get("kid", "")).encode() or b"kid", "HS256 with the key's name as the secret"),
        ("issuer", str(sample.claims.get("iss")).encode(), "HS256 with the issuer's name as the secret"),
    ):
        token = hmac_sign({**header, "alg": "HS256"}, payload, secret)
        yield HostileToken(f"hs256_secret_{name}", token, why, _ALGORITHM)


def confused_keys(sample: Sample, jwks: Mapping[str, Any]) -> Iterator[HostileToken]:
    """HMAC with the public key as its secret, in every form that a library was ever handed (CVE-2015-9235)."""
    jwk, public_key = _key_of(sample, jwks)
    spki, pem = PublicFormat.SubjectPublicKeyInfo, Encoding.PEM
    first = public_key.public_bytes(pem, spki)
    secrets = {
        "pem": first,
        "pem_without_newline": first.rstrip(),
        "der": public_key.public_bytes(Encoding.DER, spki),
        "openssh": public_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "jwk": json.dumps(jwk, separators=(",", ":")).encode(),
        "number": str(jwk.get("n") or jwk["x"]).encode(),
    }
    if isinstance(public_key, rsa.RSAPublicKey):
        secrets["pkcs1"] = public_key.public_bytes(pem, PublicFormat.PKCS1)
    for form, secret in secrets.items():
        token = hmac_sign({**sample.header, "alg": "HS256"}, sample.payload, secret)
        yield HostileToken(
            f"hs256_public_key_{form}", token, f"HS256 with the public key ({form}) as its secret", _ALGORITHM
        )
    for digest in ("384", "512"):
        token = hmac_sign({**sample.header, "alg": f"HS{digest}"}, sample.payload, first, digest=f"sha{digest}")
        yield HostileToken(
            f"hs{digest}_public_key_pem", token, f"HS{digest} with the public key as its secret", _ALGORITHM
        )


def _key_of(sample: Sample, jwks: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Find the key that signed the sample, as JSON and as a key."""
    key, *_ = parse_jwk_set(json.dumps(jwks).encode()).select(sample.header.get("kid"), sample.alg)
    spki = key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    written = next(each for each in jwks["keys"] if each.get("kid") == key.kid and each.get("kty") == key.kty)
    return written, load_der_public_key(spki)


def brought_keys(sample: Sample) -> Iterator[HostileToken]:
    """Signed by a stranger, who brings a key, says where it is, or plays with its name."""
    stranger = generate_signing_key("ES256", kid="stranger")
    header = {**sample.header, "alg": "ES256"}
    pointers: tuple[tuple[str, Any, str], ...] = (
        ("jwk", stranger.public_jwk(), "brings its own key (CVE-2018-0114)"),
        ("jku", f"{_ELSEWHERE}/jwks", "says where its keys are"),
        ("x5u", f"{_ELSEWHERE}/certificate", "says where its certificate is"),
        ("x5c", [_certificate(stranger)], "brings its own certificate"),
    )
    for member, value, why in pointers:
        token = sign({**header, member: value}, sample.payload, stranger)
        refused_as = _MALFORMED if member in {"jwk", "x5u"} else _KEY_OR_SIGNATURE  # the others are not looked at
        yield HostileToken(f"stranger_{member}", token, f"a stranger signed, and the header {why}", refused_as)
    twin = generate_signing_key(sample.alg, kid="twin")
    token = sign(sample.header, sample.payload, twin)
    yield HostileToken("stranger_same_kid", token, "another key under the right name", _SIGNATURE)
    kids: tuple[tuple[str, Any, str], ...] = (
        ("unknown", "stranger", "a name that the issuer never gave"),
        (
            "random",
            "8c5d1f7e-6a1b-4c53-9d6c-0f5b1d7a2e90",
            "a random name, to make the guard fetch keys (CVE-2026-48524)",
        ),
        ("path", "../../../../dev/null", "a path"),
        ("sql", "x' UNION SELECT 'secret' --", "a query"),
        ("url", f"{_ELSEWHERE}/key", "an address"),
        ("nul", f"{sample.header.get('kid')}\0", "the right name and a NUL"),
        ("newline", f"{sample.header.get('kid')}\nX-Admin: 1", "the right name and a line of log"),
        ("list", [sample.header.get("kid")], "a list"),
        ("number", 7, "a number"),
        ("null", None, "null"),
        ("empty", "", "empty"),
        ("1_mb", "k" * 1_000_000, "a megabyte"),
    )
    for name, kid, why in kids:
        token = sign({**header, "kid": kid}, sample.payload, stranger)
        yield HostileToken(f"kid_{name}", token, f"a stranger signed; kid is {why}", _KEY_OR_FORM)
    token = hmac_sign({**header, "alg": "HS256", "kid": "../../../../dev/null"}, sample.payload, b"")
    yield HostileToken("kid_of_empty_file", token, "kid is the path of an empty file, and that the secret", _ALGORITHM)


def _certificate(key: SigningKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    born = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    private_key: Any = key.private_key
    certificate = (
        x509.CertificateBuilder(name, name, private_key.public_key(), 1, born, born.replace(year=2100))
        .sign(private_key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    return b64encode(certificate).decode()


def forged_signatures(sample: Sample) -> Iterator[HostileToken]:
    """The right header, and a signature that does not belong to it, or a payload that does not."""
    header, payload, signature = sample.header, sample.payload, sample.signature
    first, second, third = sample.parts
    unsigned = f"{first}.{second}"
    spellings = {
        "flipped": (bytes([signature[0] ^ 1]) + signature[1:], "one bit differs"),
        "zero": (bytes(len(signature)), "all zeros"),
        "ones": (b"\xff" * len(signature), "all ones"),
        "short": (signature[:-1], "the last byte is missing"),
        "long": (signature + b"\0", "a zero byte more"),
        "zero_in_front": (b"\0" + signature, "a zero byte in front"),
        "twice": (signature * 2, "written twice"),
        "of_text": (unsigned.encode()[: len(signature)], "what was to be signed"),
    }
    if sample.alg == "ES256":
        del spellings["zero"]  # es256_zero is that
    if ALGORITHMS[sample.alg].kty == "EC":
        half = len(signature) // 2
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        spellings["der"] = (encode_dss_signature(r, s), "in DER and not as two numbers")
        spellings["r_zero"] = (bytes(half) + signature[half:], "r is zero")
        spellings["s_zero"] = (signature[:half] + bytes(half), "s is zero")
    for name, (forged, why) in spellings.items():
        yield HostileToken(
            f"signature_{name}", f"{unsigned}.{encode_base64url(forged)}", f"the signature: {why}", _SIGNATURE
        )
    yield HostileToken("signature_empty", f"{unsigned}.", "no signature, but its dot", _MALFORMED)
    yield HostileToken("signature_missing", unsigned, "no signature", _MALFORMED)
    changes: tuple[tuple[str, Mapping[str, Any], str], ...] = (
        ("subject", {"sub": "admin"}, "sub became admin"),
        ("expiry", {"exp": 253_402_300_799}, "exp became the year 9999"),
        ("scope", {"scope": "admin"}, "scope became admin"),
        ("groups", {"groups": ["admin"]}, "groups became admin"),
    )
    for name, change, why in changes:
        token = f"{first}.{write({**sample.claims, **change})}.{third}"
        yield HostileToken(f"payload_{name}_changed", token, f"{why}; the signature stayed", _SIGNATURE)
    respaced = json.dumps(sample.claims, indent=1).encode()
    yield HostileToken(
        "payload_respaced", f"{first}.{write(respaced)}.{third}", "the same claims, spaced anew", _SIGNATURE
    )
    token = join(json.dumps(header, indent=1).encode(), payload, signature)
    yield HostileToken("header_respaced", token, "the same header, spaced anew", _SIGNATURE)
    token = f"{write({**header, 'x': 1})}.{second}.{third}"
    yield HostileToken("header_member_added", token, "a header member more; the signature stayed", _SIGNATURE)


def spoiled_headers(sample: Sample) -> Iterator[HostileToken]:
    """Headers that two parsers read differently, or one not at all. No signature could help them."""
    alg = json.dumps(sample.alg).encode()
    rest = json.dumps({name: value for name, value in sample.header.items() if name != "alg"}).encode()[1:]
    good = b'{"alg":' + alg + b"," + rest
    headers = {
        "alg_twice": (b'{"alg":"none",' + good[1:], "alg stands twice"),
        "alg_twice_escaped": (b'{"\\u0061lg":"none",' + good[1:], "alg stands twice, once escaped"),
        "kid_twice": (good[:-1] + b',"kid":"a","kid":"b"}', "kid stands twice"),
        "bom": (b"\xef\xbb\xbf" + good, "a byte order mark in front"),
        "utf_16": (good.decode().encode("utf-16-le"), "UTF-16"),
        "not_utf_8": (good[:-1] + b',"x":"\xff"}', "not UTF-8"),
        "deep": (good[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}", "2000 lists in each other"),
        "list": (b"[" + good + b"]", "a list"),
        "truncated": (good[:-1], "its end is missing"),
        "trailing": (good + b"{}", "something comes after it"),
        "nan": (good[:-1] + b',"x":NaN}', "NaN in it"),
        "lone_surrogate": (good[:-1] + b',"x":"\\ud800"}', "half a character in it"),
        "empty": (b"", "empty"),
    }
    for name, (header, why) in headers.items():
        token = join(header, sample.payload, sample.signature)
        yield HostileToken(f"header_{name}", token, f"the header: {why}", _MALFORMED)


def respelled(sample: Sample) -> Iterator[HostileToken]:
    """The same bytes, signed by the issuer, in a spelling that only a lenient decoder takes.

    Whoever accepts one has two texts for one token: what denies or caches by text can be walked around.
    """
    first, second, third = sample.parts
    token, middle = sample.token, len(sample.token) // 2
    spaced = f"{token[:middle]}%s{token[middle:]}"
    texts = {
        "padded_1": (f"{token}=", "= at its end"),
        "padded_2": (f"{token}==", "== at its end"),
        "padded_header": (f"{first}==.{second}.{third}", "== after the header"),
        "padded_payload": (f"{first}.{second}==.{third}", "== after the payload"),
        "standard_alphabet": (_in_standard_alphabet(token), "+ and / instead of - and _"),
        "space_inside": (spaced % " ", "a space inside"),
        "newline_inside": (spaced % "\n", "a line break inside"),
        "nul_inside": (spaced % "\0", "a NUL inside"),
        "letter_outside": (spaced % "!", "a letter inside that decoders skip"),
        "newline_at_end": (f"{token}\n", "a line break at its end"),
        "nul_at_end": (f"{token}\0", "a NUL at its end"),
        "header_smuggled": (f"{token}\r\nX-Auth-User: admin", "another header after it"),
        "bom": (f"\ufeff{token}", "a byte order mark in front"),
        "zero_width_space": (spaced % "\u200b", "a character that nobody sees inside"),
        "full_width": (token.replace("e", "\uff45", 1), "a letter that folds to the right one"),
        "dot_escaped": (token.replace(".", "%2E"), "dots as in a URL"),
        "quoted": (f'"{token}"', "quotes around it"),
        "leading_dot": (f".{token}", "a dot in front"),
        "trailing_dot": (f"{token}.", "a dot at its end"),
        "double_dot": (token.replace(".", "..", 1), "two dots for one"),
        "four_parts": (f"{token}.{third}", "four parts"),
        "upper_case": (token.upper(), "upper case"),
        "cut_short": (token[:-10], "its end is missing"),
        "two_tokens": (f"{token},{token}", "two of them, with a comma"),
        "scheme_twice": (f"Bearer {token}", "Bearer stands twice"),
        "dots_alone": ("..", "nothing but dots"),
        "empty": ("", "nothing at all"),
        "five_parts": (f"{token}.AAAA.AAAA", "five parts, as an encrypted token has"),
        "encrypted": (_encrypted(token), "a token inside an encrypted one"),
        "json_flattened": (_flattened(sample), "the JSON form of a signature"),
        "json_general": (_general(sample), "the JSON form, with a list of signatures"),
        "unsigned_around": (join({"alg": "none", "cty": "JWT"}, token.encode(), b""), "an unsigned token around it"),
    }
    unsigned = _ALGORITHM | _MALFORMED  # also for the one that names alg none
    for name, (text, why) in texts.items():
        refused_as = (
            unsigned if name == "unsigned_around" else _MALFORMED | (_SIGNATURE if name == "cut_short" else set())
        )
        yield HostileToken(f"spelled_{name}", text, f"a valid token: {why}", refused_as)
    for part, text in zip(("header", "payload", "signature"), sample.parts, strict=True):
        if len(text) % 4:  # else its last letter has no bit to spare
            twin = text[:-1] + _LETTERS[_LETTERS.index(text[-1]) + 1]
            yield HostileToken(
                f"spelled_spare_bits_{part}",
                ".".join(twin if each is text else each for each in sample.parts),
                f"a valid token: bits of the {part}'s last letter that decoders drop",
                _MALFORMED,
            )


def _in_standard_alphabet(token: str) -> str:
    spelled = token.replace("-", "+").replace("_", "/")
    return spelled if spelled != token else f"{token[:-1]}+"


def _encrypted(token: str) -> str:
    header = write({"alg": "dir", "enc": "A256GCM", "cty": "JWT"})
    nonce, tag = encode_base64url(bytes(12)), encode_base64url(bytes(16))
    return f"{header}..{nonce}.{encode_base64url(token.encode())}.{tag}"


def _flattened(sample: Sample) -> str:
    first, second, third = sample.parts
    return json.dumps({"protected": first, "payload": second, "signature": third})


def _general(sample: Sample) -> str:
    first, second, third = sample.parts
    return json.dumps({"payload": second, "signatures": [{"protected": first, "signature": third}]})
