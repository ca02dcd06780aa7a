"""Which domains are too wide for a cookie: a rule of thumb in place of the Public Suffix List. Pure.

Cookies of a person's sign-in come from a browser, which has the whole list. This guards only what a server sets while
we fetch with them: what it lets through is a cookie set for others under the same
suffix, never one that they are shown.
"""

from __future__ import annotations

import re

__all__ = ["is_public_suffix"]

# Below these, and below a country (edu.au, ac.uk, co.jp), names belong to different owners.
_SECOND_LEVEL = frozenset(
    {
        "ac", "asn", "co", "com", "ed", "edu", "gc", "go", "gob", "gouv", "gov", "govt", "gv", "id", "ltd", "mil", "ne",
        "net", "nhs", "nom", "or", "org", "plc", "re", "sch", "school", "sci", "web",
    }
)  # fmt: skip
_COUNTRY = re.compile(r"[a-z]{2}")
_SHARED = frozenset(
    {
        "appspot.com", "azurewebsites.net", "blogspot.com", "cloudfront.net", "firebaseapp.com", "fly.dev",
        "github.io", "gitlab.io", "herokuapp.com", "idm.oclc.org", "netlify.app", "onrender.com", "pages.dev",
        "pantheonsite.io", "readthedocs.io", "vercel.app", "web.app", "workers.dev", "wpengine.com",
    }
)  # fmt: skip


def is_public_suffix(domain: str) -> bool:
    """Say whether names under ``domain`` (in lower case) belong to different owners, as far as is known here."""
    labels = domain.rstrip(".").split(".")
    match labels:
        case [_]:
            return True
        case [second, top] if second in _SECOND_LEVEL and _COUNTRY.fullmatch(top):
            return True
        case _:
            return ".".join(labels) in _SHARED
