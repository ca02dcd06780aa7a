"""A public path is public as it is written, and in no other way that it could be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import ConfigurationError
from doorward.integrations.gate.public_paths import PublicPaths

PATHS = PublicPaths(["/health", "/static/*", "/"])


@pytest.mark.parametrize("path", ["/health", "/", "/static/", "/static/app.js", "/static/a/b/", "/static/.well-known"])
def test_a_plain_path_is_public(path):
    assert PATHS.includes(path, path.encode())
    assert PATHS.includes(path, None), "a server need not say how it was sent"
    assert PATHS.includes(path, path.encode() + b"?key=value"), "some servers leave the query there"


@pytest.mark.parametrize(
    "path",
    [
        "", "//", "/health/", "//health", "/HEALTH", "/healthy", "/health;x", "/health\x00", "/health\n",
        "/health/../admin",
        "/health/..", "/health?", "health", "http://host/health", "/static", "/static/../admin", "/static/./a",
        "/static/...", "/static//a", "/static/..;/admin", "/static/a;b", "/static/a\\..\\..\\admin", "/static/%2e%2e/a",
        "/static/\x00", "/static/\xe9", "/static/a\n", "/STATIC/a", "*",
    ],
)  # fmt: skip
def test_anything_else_is_not(path):
    assert not PATHS.includes(path, path.encode())
    assert not PATHS.includes(path, None)


@pytest.mark.parametrize(
    "raw", [b"/%68ealth", b"/health%00", b"/admin/../health", b"//health", b"", b"/admin", b"/x?/health"]
)
def test_a_path_that_was_sent_otherwise_is_not(raw):
    assert not PATHS.includes("/health", raw)


@given(st.text("/.%;\\a?\x00é", max_size=12))
def test_below_a_public_path_nothing_can_be_read_as_climbing_out(rest):
    if PATHS.includes("/static/" + rest, None):
        assert not set(rest) & set("%;\\?\x00é")
        assert not any(part and not part.strip(".") for part in rest.split("/"))
        assert "//" not in "/" + rest


@pytest.mark.parametrize(
    "wrong",
    ["/health", [""], ["health"], ["/a?b"], ["/%61"], ["/a/../b"], ["/a*"], ["*"], ["/a/*/b"], ["/a//*"], ["/é"]],
)
def test_what_is_no_plain_path_is_refused_at_the_start(wrong):
    with pytest.raises(ConfigurationError) as refused:
        PublicPaths(wrong)
    assert refused.value.field == "public_paths"


def test_everything_below_the_root_can_be_public_if_somebody_says_so():
    everything = PublicPaths(["/*"])
    assert everything.includes("/any/where", b"/any/where")
    assert not everything.includes("/any/../where", None)


def test_one_text_is_no_list_of_paths():
    with pytest.raises(ConfigurationError) as refused:
        PublicPaths("/")
    assert refused.value.reason == "not_a_list"
