"""Settings that can't be are refused by name."""

from __future__ import annotations

import pytest

from doorward import papers
from doorward.errors import ConfigurationError
from doorward.papers import DownloadSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_bytes", 0), ("idle_timeout_s", -1), ("head_timeout_s", float("inf")), ("total_timeout_s", float("nan")),
     ("resumes", -1), ("resumes", 101), ("template", "x")],
)  # fmt: skip
def test_a_setting_out_of_range(field, value):
    with pytest.raises(ConfigurationError) as caught:
        DownloadSettings(**{field: value})
    assert caught.value.field == field


def test_the_room_offers_what_it_says():
    assert [getattr(papers, name).__name__ for name in papers.__all__] == papers.__all__
    with pytest.raises(AttributeError):
        papers.nothing  # noqa: B018 - reading it is the test
