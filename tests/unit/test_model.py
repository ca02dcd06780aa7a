from __future__ import annotations

from doorward.model import Secret


def test_secrets_compare_by_value_whatever_the_environment_put_in_them() -> None:
    odd = b"\xff".decode(errors="surrogateescape")
    assert Secret(odd) == Secret(odd)
    assert Secret(odd) != Secret("other")
    assert Secret("value") != "value"
    assert len({Secret("value"), Secret("value"), Secret(odd)}) == 2
