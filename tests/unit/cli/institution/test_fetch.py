"""What each outcome of ``doorward fetch`` advises, and how it ends the command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from doorward.cli.ending import SIGN_IN_NEEDED, UNAVAILABLE
from doorward.cli.institution.fetch import EXIT_CODES, _in_words
from doorward.papers.outcomes import ADVICE, Outcome, OutcomeName

PAGE = Path(__file__).parents[4] / "docs" / "institutions.md"


@pytest.mark.parametrize("outcome", get_args(OutcomeName))
def test_advice_exit_code_and_page_agree(outcome):
    code, advice = EXIT_CODES[outcome], ADVICE[outcome]
    assert (code == UNAVAILABLE) == bool(re.search(r"[Tt]ry again|Wait|Fetch it again", advice))
    assert (code == SIGN_IN_NEEDED) == ("Sign in" in advice)
    assert (code == 0) == (outcome == "saved")
    assert re.search(rf"^\| `{outcome}` \|.*\| {code} \|$", PAGE.read_text(), re.MULTILINE)


def test_a_reason_is_not_said_twice():
    assert _in_words(Outcome("https://publisher.example/a", "truncated", "truncated"), None).endswith(" (truncated)")


def test_a_host_that_does_not_exist_is_told_as_such():
    advice = Outcome("https://publisher.invalid/a", "unavailable", "dns_failed").advice
    assert "can't be resolved. Check the address" in advice
