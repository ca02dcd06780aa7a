"""The kit of hostile tokens: some 200 that every guard must refuse, each with a name and a reason.

Its parts are tables: ``forms`` (what anybody can forge) and ``claims`` (what the issuer itself signed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorward.testing.tokens import claims, forms
from doorward.testing.tokens.hostile_token import HostileToken, sign, take_apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from doorward.testing.dev_issuer import DevIssuer

__all__ = ["hostile_tokens", "hostile_variants"]

_AGE_S = 120
"""Old enough that a guard's keys can't be too old for it: so it refuses what their signatures do not fit, at once."""


def hostile_tokens(  # noqa: PLR0913 - keyword-only, and each has a default
    issuer: DevIssuer,
    subject: str = "alice",
    *,
    audience: str,
    scopes: Sequence[str] = (),
    access_only: bool = False,
    max_token_age_s: int | None = None,
) -> list[HostileToken]:
    """Make every hostile variant of a token of ``issuer`` that a guard of ``audience`` would accept.

    A test for an API in any framework, which trusts ``issuer.url`` for ``my-api``::

        from doorward.testing import hostile_tokens

        def test_my_api_refuses_hostile_tokens(dev_issuer, client):
            good = dev_issuer.issue_access_token("alice", audience="my-api")
            assert client.get("/me", headers={"Authorization": f"Bearer {good}"}).status_code == 200
            for hostile in hostile_tokens(dev_issuer, audience="my-api"):
                if hostile.sendable:  # else no HTTP client would send it
                    answer = client.get("/me", headers={"Authorization": f"Bearer {hostile.token}"})
                    assert answer.status_code == 401, hostile

    Not all of them are attacks by themselves: that ``exp`` is a string or a payload begins with a byte order mark is
    refused because two readers might disagree. What a guard of another make lets in of these is for its owner to judge.

    A server may itself refuse the longest with 400 or 431. They are more than a throttle allows one address: give the
    guard under test none.

    Args:
        issuer: a running one; the tokens are good by its clock and for its key of the moment.
        subject: ``sub`` of the valid token they come from.
        audience: the name of the API, which must be among the audiences its guard knows.
        scopes: what the API asks for.
        access_only: the guard takes access tokens alone (RFC 9068): adds what passes for one elsewhere.
        max_token_age_s: how old the guard lets a token be: adds one that is older.

    Returns:
        New tokens each time; the names stay the same, but for what only some algorithms have.
    """
    key, now = issuer.signing_key, issuer.clock.now()
    made = int(now) - _AGE_S
    sample = take_apart(issuer.issue_access_token(subject, audience=audience, scopes=scopes, iat=made))
    other = take_apart(issuer.issue_access_token(f"not-{subject}", audience=audience, scopes=scopes, iat=made))
    found = [
        *hostile_variants(sample.token, jwks={"keys": [key.public_jwk()]}),
        *claims.wrong_claims(sample, key, now=now),
        *claims.spoiled_payloads(sample, key),
        *claims.asking_headers(sample, key),
        *claims.other_keys_of_the_issuer(sample, key, other),
    ]
    if access_only:
        wrong_type = frozenset({"wrong_type"})
        for typ in ("JWT", None):
            header = {name: value for name, value in {**sample.header, "typ": typ}.items() if value is not None}
            token = sign(header, sample.claims, key)
            name = "id_token_by_type" if typ else "untyped"
            found.append(HostileToken(name, token, f"typ is {typ}: it may be an ID token", wrong_type))
    if max_token_age_s is not None:
        older = {**sample.claims, "iat": int(now) - max_token_age_s - 301, "exp": int(now) + 3600}
        why = "not expired, but older than the guard allows"
        found.append(HostileToken("too_old", sign(sample.header, older, key), why, frozenset({"expired"})))
    return found


def hostile_variants(token: str, *, jwks: Mapping[str, Any] | None = None) -> list[HostileToken]:
    """Make the hostile variants of any valid token that need no signature of its issuer.

    For a guard that trusts a real provider: sign in, and hand over the token. Let it be some minutes old: of a token
    that is newer than its keys, a guard may say 503 until it may fetch them again.

    Args:
        token: a signed JWT that the guard under test accepts.
        jwks: the issuer's JWK Set, for the variants that misuse a public key; without it they are left out.

    Raises:
        ConfigurationError: not a signed JWT of an asymmetric algorithm.
        UnknownKey: ``jwks`` does not hold the key of this token.
    """
    sample = take_apart(token)
    families: list[Iterable[HostileToken]] = [
        forms.other_algorithms(sample),
        forms.brought_keys(sample),
        forms.forged_signatures(sample),
        forms.spoiled_headers(sample),
        forms.respelled(sample),
    ]
    if jwks is not None:
        families.append(forms.confused_keys(sample, jwks))
    return [hostile for family in families for hostile in family]
