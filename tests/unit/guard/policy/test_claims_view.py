from __future__ import annotations

import copy
import json
import pickle

import pytest

from doorward.guard.policy.claims_view import ReadOnlyClaims

JSON = {"sub": "u1", "aud": ["a", "b"], "realm_access": {"roles": ["x", {"deep": [1]}]}, "n": None}


@pytest.fixture
def claims():
    return ReadOnlyClaims(copy.deepcopy(JSON))


def test_claims_read_like_a_dictionary(claims):
    assert claims["sub"] == "u1"
    assert claims.get("absent") is None
    assert "aud" in claims
    assert list(claims) == list(JSON)
    assert len(claims) == 4
    with pytest.raises(KeyError):
        claims["absent"]


def test_nothing_inside_can_be_changed(claims):
    assert claims["aud"] == ("a", "b")
    deep = claims["realm_access"]["roles"][1]
    assert deep["deep"] == (1,)
    for part in (claims, claims["realm_access"], deep):
        with pytest.raises(TypeError):
            part["sub"] = "root"
        with pytest.raises(AttributeError):
            part.sub = "root"
    claims.to_dict()["realm_access"]["roles"].append("admin")
    assert claims == JSON


def test_claims_equal_what_has_the_same_content(claims):
    assert claims == JSON == claims
    assert claims == dict(claims)
    assert claims == ReadOnlyClaims(JSON)
    assert claims["realm_access"] == JSON["realm_access"]
    assert claims != {**JSON, "sub": "u2"}
    assert claims != [*JSON]
    with pytest.raises(TypeError):
        hash(claims)


def test_claims_can_be_copied_pickled_and_written(claims):
    assert copy.deepcopy(claims) is copy.copy(claims) is claims
    assert pickle.loads(pickle.dumps(claims)) == JSON  # noqa: S301 - what we pickled ourselves
    assert json.loads(json.dumps(claims.to_dict())) == JSON


def test_claims_do_not_show(claims):
    assert repr(claims) == str(claims) == f"{claims}" == "<claims>"
