from __future__ import annotations

from urllib.parse import quote

import pytest

from doorward.errors import ConfigurationError
from doorward.institution.routes import Route, parse_institution

PAPER = "https://www.nature.com/articles/s41586-1?a=b&c=d%20e#sec1"
ENCODED = quote(PAPER, safe="")
IDP = "entityID=https%3A%2F%2Fidp.example.edu%2Fidp"


class TestWhatAPersonGives:
    @pytest.mark.parametrize(
        ("where", "kind", "url"),
        [
            ("jcu.edu.au", "openathens", "https://go.openathens.net/redirector/jcu.edu.au"),
            ("  JCU.edu.au/ ", "openathens", "https://go.openathens.net/redirector/jcu.edu.au"),
            ("xn--mnchen-3ya.de", "openathens", "https://go.openathens.net/redirector/xn--mnchen-3ya.de"),
            (
                "https://go.openathens.net/redirector/jcu.edu.au",
                "openathens",
                "https://go.openathens.net/redirector/jcu.edu.au",
            ),
            (
                f"https://GO.openathens.net:443/redirector/JCU.edu.au/?url={ENCODED}",
                "openathens",
                "https://go.openathens.net/redirector/jcu.edu.au",
            ),
            ("https://My.OpenAthens.net/", "portal", "https://my.openathens.net"),
            ("https://library.example.edu:443/find/?tab=1", "portal", "https://library.example.edu/find?tab=1"),
            ("https://one.example.edu/app/#/login", "portal", "https://one.example.edu/app#/login"),
            ("https://[2001:DB8::1]:8443/", "portal", "https://[2001:db8::1]:8443"),
            ("https://idp.example.edu/login", "portal", "https://idp.example.edu/login"),
            (
                f"https://login.ezproxy.example.edu/login?url={PAPER}",
                "ezproxy",
                "https://login.ezproxy.example.edu/login",
            ),
            (f"https://proxy.example.edu/login?qurl={ENCODED}", "ezproxy", "https://proxy.example.edu/login?qurl="),
            (
                f"https://ezproxy.example.edu/login?auth=shib&url={PAPER}",
                "ezproxy",
                "https://ezproxy.example.edu/login?auth=shib",
            ),
            ("https://ezproxy.example.edu", "ezproxy", "https://ezproxy.example.edu/login"),
            ("https://ezproxy.example.edu:2443/menu", "ezproxy", "https://ezproxy.example.edu:2443/login"),
            (
                "https://www-nature-com.ezproxy.example.edu/articles/1?a=b",
                "ezproxy",
                "https://login.ezproxy.example.edu/login",
            ),
            (
                "https://www-nature-com.uni.idm.oclc.org/articles/1",
                "ezproxy",
                "https://login.uni.idm.oclc.org/login",
            ),
            ("https://ezproxy-prd.lib.example.ac.uk/login", "ezproxy", "https://ezproxy-prd.lib.example.ac.uk/login"),
            (
                f"https://proxy.openathens.net/login?{IDP}&qurl={ENCODED}",
                "ezproxy",
                f"https://proxy.openathens.net/login?{IDP}&qurl=",
            ),
            (
                f"https://sp.example.com/Shibboleth.sso/Login?{IDP}&target={ENCODED}",
                "shibboleth",
                f"https://sp.example.com/Shibboleth.sso/Login?{IDP}",
            ),
            (
                f"https://sp.example.com/Shibboleth.sso/Login?target={ENCODED}&{IDP}&forceAuthn=1",
                "shibboleth",
                f"https://sp.example.com/Shibboleth.sso/Login?{IDP}&forceAuthn=1",
            ),
            (
                f"https://idp.example.edu/idp/profile/SAML2/Unsolicited/SSO?providerId=urn%3Asp&target={ENCODED}",
                "shibboleth",
                "https://idp.example.edu/idp/profile/SAML2/Unsolicited/SSO?providerId=urn%3Asp",
            ),
            (
                f"https://cas.example.edu/cas/login?service={ENCODED}",
                "cas",
                "https://cas.example.edu/cas/login",
            ),
            ("https://cas.example.edu/cas/login/", "cas", "https://cas.example.edu/cas/login"),
            (f"https://sso.example.edu/login?service={ENCODED}", "cas", "https://sso.example.edu/login?service="),
        ],
    )
    def test_every_form_becomes_one_address(self, where, kind, url):
        route = parse_institution(where)
        assert (route.kind, route.institution_url) == (kind, url)
        assert parse_institution(route.institution_url) == route

    @pytest.mark.parametrize(
        ("where", "reason"),
        [
            (None, "not_a_string"),
            ("", "empty"),
            (" \n", "empty"),
            ("alice@jcu.edu.au", "email_address"),
            ("jcu", "not_a_domain"),
            ("localhost", "not_a_domain"),
            ("192.0.2.1", "not_a_domain"),
            ("universität.example", "not_a_domain"),
            ("James Cook University", "not_a_domain"),
            ("jcu..edu.au", "not_a_domain"),
            ("-jcu.edu.au", "not_a_domain"),
            (f"{'a' * 64}.edu", "not_a_domain"),
            ("a." * 126 + "edu", "not_a_domain"),
            ("ezproxy.example.edu/login", "no_scheme"),
            ("ezproxy.example.edu:2443", "no_scheme"),
            ("javascript:alert(1)", "no_scheme"),
            ("http://ezproxy.example.edu/login", "not_https"),
            ("http://localhost/login", "not_https"),
            ("ftp://example.edu", "not_https"),
            ("https://", "no_host"),
            ("https:///login", "no_host"),
            ("https://alice:pw@example.edu/", "has_userinfo"),
            ("https://example.edu:port/", "not_a_url"),
            ("https://exa mple.edu/", "bad_characters"),
            ("https://example.edu/\u202e", "bad_characters"),
            ("https://example.edu/" + "a" * 2048, "bad_characters"),
            ("https://go.openathens.net/", "not_a_redirector"),
            ("https://go.openathens.net/x/redirector/jcu.edu.au", "not_a_redirector"),
            ("https://go.openathens.net/redirector/jcu.edu.au/x", "not_a_redirector"),
            ("https://go.openathens.net/redirector/", "no_redirector_domain"),
            (f"https://go.openathens.net/redirector?url={ENCODED}", "not_a_redirector"),
            (f"https://sp.example.com/Shibboleth.sso/Login?target={ENCODED}", "no_entity_id"),
            ("https://sp.example.com/Shibboleth.sso/Login?entityID=", "no_entity_id"),
            ("https://idp.example.edu/idp/profile/SAML2/Unsolicited/SSO?target=x", "no_entity_id"),
            ("https://idp.example.edu/sso?SAMLRequest=abc&RelayState=x", "one_time_address"),
            ("https://idp.example.edu/idp/profile/SAML2/Redirect/SSO?execution=e1s2", "one_time_address"),
        ],
    )
    def test_each_mistake_has_its_own_answer(self, where, reason):
        with pytest.raises(ConfigurationError) as caught:
            parse_institution(where)
        assert (caught.value.field, caught.value.reason) == ("institution", reason)
        assert "alice:pw" not in str(caught.value)

    @pytest.mark.parametrize(
        ("where", "asked"),
        [
            ("https://lib.example.org/members/", "https://lib.example.org/members/"),
            ("https://lib.example.org/members/?a=1#x", "https://lib.example.org/members/?a=1#x"),
            ("https://lib.example.org", "https://lib.example.org"),
            ("https://CAS.example.edu:443/cas/login/?service=x", "https://cas.example.edu/cas/login/"),
            ("https://sso.example.edu/login/?service=x", "https://sso.example.edu/login/?service="),
            ("https://proxy.example.edu/login/?qurl=x", "https://proxy.example.edu/login/?qurl="),
            ("jcu.edu.au/", "https://go.openathens.net/redirector/jcu.edu.au"),
        ],
    )
    def test_what_is_asked_for_keeps_its_slash_and_what_is_compared_does_not(self, where, asked):
        route = parse_institution(where)
        assert route.asked_url == asked
        assert route == parse_institution(asked) == parse_institution(route.institution_url)
        assert "/?" not in route.institution_url
        assert route.kind == "portal" or route.link_to(PAPER).startswith(asked)

    def test_the_redirector_of_the_tests(self):
        route = parse_institution("jcu.edu.au", openathens_host="go.openathens.test:8443")
        assert route == Route(
            "openathens", "https://go.openathens.test:8443/redirector/jcu.edu.au", "go.openathens.test"
        )
        assert route == parse_institution(route.link_to(PAPER), openathens_host="go.openathens.test:8443")


class TestLinks:
    @pytest.mark.parametrize(
        ("where", "link"),
        [
            ("jcu.edu.au", f"https://go.openathens.net/redirector/jcu.edu.au?url={ENCODED}"),
            ("https://ezproxy.example.edu", f"https://ezproxy.example.edu/login?qurl={ENCODED}"),
            (
                f"https://proxy.openathens.net/login?{IDP}&qurl=x",
                f"https://proxy.openathens.net/login?{IDP}&qurl={ENCODED}",
            ),
            (
                f"https://sp.example.com/Shibboleth.sso/Login?{IDP}",
                f"https://sp.example.com/Shibboleth.sso/Login?{IDP}&target={ENCODED}",
            ),
            ("https://cas.example.edu/cas/login", f"https://cas.example.edu/cas/login?service={ENCODED}"),
        ],
    )
    def test_there_and_back(self, where, link):
        route = parse_institution(where)
        assert route.link_to(PAPER) == link
        assert route.target_of(link) == PAPER
        assert route.link_to(link) == link
        assert parse_institution(link) == route
        assert route.target_of(PAPER) is None

    def test_through_a_portal_a_target_is_its_own_link(self):
        route = parse_institution("https://my.openathens.net/")
        assert route.link_to(PAPER) == PAPER
        assert route.target_of(PAPER) is None

    @pytest.mark.parametrize(
        "link",
        [
            f"https://login.ezproxy.example.edu/login?url={PAPER}",
            f"http://ezproxy.example.edu:80/login?auth=x&url={PAPER}",
            f"https://ezproxy.example.edu/login?url={ENCODED}",
            f"https://ezproxy.example.edu/login?qurl={ENCODED}&auth=x",
            "https://ezproxy.example.edu/login?qurl="
            + quote(f"https://ezproxy.example.edu/login?url={PAPER}", safe=""),
            PAPER.replace("www.nature.com", "www-nature-com.ezproxy.example.edu"),
        ],
    )
    def test_every_link_of_an_ezproxy_is_read(self, link):
        route = parse_institution("https://ezproxy.example.edu/login")
        assert route.target_of(link) == PAPER
        assert route.link_to(link) == f"https://ezproxy.example.edu/login?qurl={ENCODED}"

    @pytest.mark.parametrize(
        ("rewritten", "target"),
        [
            ("https://static--content-springer-com.ezproxy.example.edu/x", "https://static-content.springer.com/x"),
            ("http://www.jstor.org.ezproxy.example.edu", "http://www.jstor.org/"),
            ("https://p8443-db-example-com.ezproxy.example.edu/a", "https://db.example.com:8443/a"),
            ("https://login.ezproxy.example.edu/menu", None),
            ("https://ezproxy.example.edu/menu", None),
            ("https://-.ezproxy.example.edu/", None),
            ("https://ezproxy.example.edu.evil.example/login?qurl=https%3A%2F%2Fa.example", None),
        ],
    )
    def test_rewritten_hosts(self, rewritten, target):
        assert parse_institution("https://ezproxy.example.edu").target_of(rewritten) == target

    @pytest.mark.parametrize(
        "link",
        [
            f"https://go.openathens.net/redirector/other.edu?url={ENCODED}",
            f"https://go.openathens.net.evil.example/redirector/jcu.edu.au?url={ENCODED}",
            f"https://go.openathens.net:444/redirector/jcu.edu.au?url={ENCODED}",
            "https://go.openathens.net/redirector/jcu.edu.au",
            "https://go.openathens.net/redirector/jcu.edu.au?url=",
            "https://go.openathens.net/redirector/jcu.edu.au?url=javascript%3Aalert(1)",
            "https://go.openathens.net/redirector/jcu.edu.au?url=https%3A%2F%2Fa%40b.example",
            "https://go.openathens.net/redirector/jcu.edu.au?url=%FF",
            "https://go.openathens.net:x/redirector/jcu.edu.au",
            "https://[",
            "no link",
            None,
        ],
    )
    def test_what_is_no_link_of_this_route_leads_nowhere(self, link):
        assert parse_institution("jcu.edu.au").target_of(link) is None

    def test_another_identity_provider_is_another_route(self):
        route = parse_institution(f"https://sp.example.com/Shibboleth.sso/Login?{IDP}")
        link = f"https://sp.example.com/Shibboleth.sso/Login?entityID=urn%3Aother&target={ENCODED}"
        assert route.target_of(link) is None

    def test_openathens_takes_a_domain_in_any_case(self):
        link = f"https://GO.openathens.net/redirector/JCU.EDU.AU?url={ENCODED}"
        assert parse_institution("jcu.edu.au").target_of(link) == PAPER

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("", "bad_characters"),
            ("www.nature.com", "no_host"),
            ("ftp://www.nature.com", "not_https"),
            ("javascript:alert(1)", "no_host"),
            ("https://a:b@www.nature.com/", "has_userinfo"),
            ("https://www.nature.com/ü", "bad_characters"),
            (None, "not_a_string"),
        ],
    )
    @pytest.mark.parametrize("where", ["jcu.edu.au", "https://my.openathens.net"])
    def test_a_target_is_an_address(self, where, target, reason):
        with pytest.raises(ConfigurationError) as caught:
            parse_institution(where).link_to(target)
        assert (caught.value.field, caught.value.reason) == ("target", reason)

    def test_only_a_redirector_answers_nothing_without_a_target(self):
        kinds = ["jcu.edu.au", "https://ezproxy.example.edu", "https://cas.example.edu/cas/login", "https://a.example"]
        assert [parse_institution(where).answers_without_target for where in kinds] == [False, True, True, True]
