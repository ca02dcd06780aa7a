from __future__ import annotations

import time

import pytest

from doorward.errors import ConfigurationError
from doorward.institution.patterns import DEFAULT_PATTERNS, CookiePatterns


class TestWhatANameMeans:
    @pytest.mark.parametrize(
        ("name", "meaning"),
        [
            ("_shibstate_1763771_ab12", "before"),
            ("_opensaml_req_ss%3Amem%3A0f", "before"),
            ("_saml_idp", "before"),
            ("SimpleSAML", "before"),
            ("SimpleSAMLSessionID", "before"),
            ("mod_auth_openidc_state_x", "before"),
            ("oasamlreqid", "before"),
            ("oaselorg", "before"),
            ("oa2fastate_1", "before"),
            ("SimpleSAMLAuthToken", "idp"),
            ("simplesamlauthtoken", "idp"),
            ("shib_idp_session", "idp"),
            ("TGC", "idp"),
            ("_shibsession_64656661756c74", "service"),
            ("_SHIBSESSION_64", "service"),
            ("mod_auth_openidc_session", "service"),
            ("mellon-cookie", "service"),
            ("ezproxy", "service"),
            ("JSESSIONID", None),
            ("PHPSESSID", None),
            ("x_shibsession_1", None),
            ("_ga", None),
            ("", None),
            ("_shibsession_" + "1" * 5000, None),
        ],
    )
    def test_by_default(self, name, meaning):
        assert CookiePatterns().matches(name) == meaning

    def test_a_persons_own_count_first(self):
        patterns = CookiePatterns(["institution_auth_.*", "_saml_i.*"])
        assert patterns.matches("INSTITUTION_AUTH_7") == "service"
        assert patterns.matches("institution_auth") is None
        assert patterns.matches("_saml_idp") == "service"
        assert patterns.matches("_shibstate_1") == "before"

    @pytest.mark.parametrize(
        ("pattern", "matched", "unmatched"),
        [
            ("auth_[0-9a-f]+_x", "auth_0f_x", "auth__x"),
            ("auth.x[_-]+", "auth.x_-", "authx"),
            (r"auth\.x1", "AUTH.x1", "auth_x1"),
            ("auth.+", "auth1", "auth"),
        ],
    )
    def test_the_syntax(self, pattern, matched, unmatched):
        patterns = CookiePatterns([pattern])
        assert (patterns.matches(matched), patterns.matches(unmatched)) == ("service", None)

    def test_every_default_would_be_taken_from_a_person(self):
        texts = [text for group in DEFAULT_PATTERNS.values() for text in group]
        assert len(set(texts)) == len(texts)
        CookiePatterns(texts)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ("institution_.*", "pattern_not_a_string"),
        ([None], "pattern_not_a_string"),
        (["abc"] * 101, "too_many_patterns"),
        (["a" * 101], "pattern_too_long"),
        ([""], "pattern_too_wide"),
        ([".*"], "pattern_too_wide"),
        ([".+"], "pattern_too_wide"),
        (["[a-z]*"], "pattern_too_wide"),
        (["__-.*"], "pattern_too_wide"),
        (["ab.*"], "pattern_too_wide"),
        (["abc.*.*"], "pattern_repeats"),
        (["abc[0-9]+.*"], "pattern_repeats"),
        (["(abc+)+"], "pattern_syntax"),
        (["abc|.*"], "pattern_syntax"),
        (["abc*"], "pattern_syntax"),
        (["abc.**"], "pattern_syntax"),
        (["abc.*?"], "pattern_syntax"),
        (["abc.{1,9}"], "pattern_syntax"),
        (["^abc$"], "pattern_syntax"),
        ([r"abc\w"], "pattern_syntax"),
        (["abc\\"], "pattern_syntax"),
        (["abc[^x]"], "pattern_syntax"),
        (["abc[]"], "pattern_syntax"),
        (["abc[z-a]"], "pattern_syntax"),
        (["(?i)abc"], "pattern_syntax"),
        (["abc\x1b[31m"], "pattern_syntax"),
    ],
)
def test_what_is_refused(texts, reason):
    with pytest.raises(ConfigurationError) as caught:
        CookiePatterns(texts)
    assert (caught.value.field, caught.value.reason) == ("cookie_patterns", reason)
    assert "\x1b" not in str(caught.value)


def test_the_worst_pattern_and_name_take_no_time():
    patterns = CookiePatterns(["a" * 48 + "[a].*" + "a" * 46 + "b"] * 100)
    began = time.process_time()
    assert patterns.matches("a" * 4096) is None
    assert time.process_time() - began < 5
