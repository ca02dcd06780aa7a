"""Instants as text, and when a token is fresh."""

import math

import pytest

from doorward.vault.times import format_instant, is_fresh, parse_instant, refresh_margin_s


def test_an_instant_is_rfc_3339_in_utc():
    assert format_instant(1_795_300_000.25) == "2026-11-21T22:26:40.250000Z"
    assert parse_instant("2026-11-21T22:26:40.250000Z") == 1_795_300_000.25


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1e15, -1e15, 1e300])
def test_what_is_no_instant_is_not_written(at):
    with pytest.raises(ValueError, match=r"instant|NaN|year"):
        format_instant(at)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-11-21",
        "2026-11-21T22:26:40Z",
        "2026-11-21T22:26:40.250Z",
        "2026-11-21T22:26:40.250000",
        "2026-11-21T22:26:40.250000z",
        "9999-12-31T23:59:59.999999Z",
        "2026-11-21T22:26:40.250000ZZ",
        "2026-11-21T22:26:40.250000+00:00",
        "2026-11-21T22:26:40.250000+02:00",
        "2026-11-21T22:26:40.250000+00:00Z",
        "2026-11-21 22:26:40.250000Z",
        "20261121T222640.250000Z",
        "2026-W47-6T22:26:40.250000Z",
        "2026-11-21T24:00:00.000000Z",
        "2026-11-21T22:26:60.000000Z",
        "2026-02-30T22:26:40.250000Z",
        "0000-01-01T00:00:00.000000Z",
        "10000-01-01T00:00:00.000000Z",
        "٢٠٢٦-11-21T22:26:40.250000Z",
        " 2026-11-21T22:26:40.250000Z",
        "2026-11-21T22:26:40,250000Z",
        "1795300000.25",
        "\0",
    ],
)
def test_no_other_form_is_read(text):
    with pytest.raises(ValueError):  # noqa: PT011 - that it is refused is all that matters here
        parse_instant(text)


@pytest.mark.parametrize(
    ("lifetime_s", "margin_s"), [(86400, 300), (600, 300), (300, 150), (120, 60), (1, 0.5), (0, 0), (-5, 0)]
)
def test_the_margin_shrinks_with_the_life(lifetime_s, margin_s):
    assert refresh_margin_s(lifetime_s) == margin_s


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "now", "fresh"),
    [
        (0, 3600, 3299, True),
        (0, 3600, 3300, False),
        (0, 120, 59, True),
        (0, 120, 60, False),
        (0, 0, 0, False),
        (10, 5, 5, False),
        (None, 3600, 3299, True),
        (None, 3600, 3300, False),
        (0, None, 1e12, True),
    ],
)
def test_a_token_is_fresh_while_more_than_the_margin_is_left(issued_at, expires_at, now, fresh):
    assert is_fresh(issued_at, expires_at, now=now, bounded=False) is fresh


@pytest.mark.parametrize(
    ("issued_at", "now", "least_s", "fresh"),
    [(0, 3299, 0, True), (0, 3300, 0, False), (0, 1799, 1800, True), (0, 1800, 1800, False), (None, 1e12, 0, True)],
)
def test_one_whose_end_is_not_told_counts_as_one_of_an_hour_where_it_is_bounded(issued_at, now, least_s, fresh):
    assert is_fresh(issued_at, None, now=now, bounded=True, least_s=least_s) is fresh


@pytest.mark.parametrize(("least_s", "fresh"), [(0, True), (300, True), (999, True), (1000, False)])
def test_a_least_life_counts_where_it_is_more_than_the_margin(least_s, fresh):
    assert is_fresh(0, 3600, now=2600, bounded=False, least_s=least_s) is fresh
