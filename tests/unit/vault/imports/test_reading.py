"""What other programs kept, read strictly: their own shapes, and everything that only looks like them."""

import datetime as dt
import json
import pickle

import pytest

from doorward.errors import ConfigurationError
from doorward.vault.imports.bmlibrarian import read_bmlibrarian
from doorward.vault.imports.tokens import read_kubelogin, read_micromegas, read_msal

TENANT = "0b6c0fb1-84f8-4b1c-8b1c-7c5f0b6c0fb1"
MICROMEGAS = {
    "issuer": "https://id.example.org",
    "client_id": "cli",
    "token": {
        "access_token": "planted-access",
        "id_token": "planted.id.token",
        "refresh_token": "planted-refresh",
        "token_type": "Bearer",
        "expires_in": 3600,
        "expires_at": 1_795_000_000,
        "scope": "openid email profile",
    },
}
KUBELOGIN = {"id_token": "planted.id.token", "refresh_token": "planted-refresh"}
_OF_ALICE = {"home_account_id": "a.t", "environment": "login.microsoftonline.com", "client_id": "cli"}
MSAL = {
    "AccessToken": {
        "older": {**_OF_ALICE, "secret": "planted-older", "target": "Mail.Read", "expires_on": "1795000000"},
        "last": {
            **_OF_ALICE,
            "secret": "planted-access",
            "target": "User.Read profile",
            "cached_at": "1795000000",
            "expires_on": "1795003600",
            "token_type": "Bearer",
        },
        "bound": {**_OF_ALICE, "secret": "planted-pop", "target": "x", "expires_on": "1795009999", "token_type": "pop"},
    },
    "Account": {"a": {**_OF_ALICE, "username": "alice@example.org"}},
    "IdToken": {"a": {**_OF_ALICE, "secret": "planted.id.token", "realm": TENANT}},
    "RefreshToken": {"a": {**_OF_ALICE, "secret": "planted-refresh", "target": "", "family_id": "1"}},
    "AppMetadata": {},
}
BMLIBRARIAN = {
    "created_at": "2026-11-28T09:30:00.123456",
    "cookies": [{"name": "_shibsession_1", "value": "planted-cookie", "domain": "sp.example", "path": "/"}],
    "institution_url": "https://go.openathens.net/redirector/jcu.edu.au",
    "user_agent": "Mozilla/5.0",
}

READERS = {
    "micromegas": (read_micromegas, MICROMEGAS),
    "kubelogin": (read_kubelogin, KUBELOGIN),
    "msal": (read_msal, MSAL),
    "bmlibrarian": (read_bmlibrarian, BMLIBRARIAN),
}


def changed(document, path, value):
    """Return a copy with the member at the path set, or left out for ``...``."""
    *way, last = path
    document = json.loads(json.dumps(document))
    at = document
    for name in way:
        at = at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(document).encode()


class TestWhatIsRead:
    def test_micromegas(self):
        kept = read_micromegas(json.dumps(MICROMEGAS, indent=2).encode())
        assert (kept.issuer, kept.client_id, kept.scopes) == (
            "https://id.example.org",
            "cli",
            ("openid", "email", "profile"),
        )
        assert (kept.refresh_token.reveal(), kept.access_token.reveal()) == ("planted-refresh", "planted-access")
        assert (kept.access_token_issued_at, kept.access_token_expires_at) == (1_794_996_400, 1_795_000_000)
        assert kept.has_id_token
        assert "planted" not in repr(kept)

    def test_kubelogin(self):
        kept = read_kubelogin(json.dumps(KUBELOGIN).encode())
        assert (kept.issuer, kept.client_id, kept.access_token) == (None, None, None)
        assert (kept.refresh_token.reveal(), kept.has_id_token) == ("planted-refresh", True)

    def test_msal(self):
        (kept,) = read_msal(json.dumps(MSAL).encode())
        assert kept.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
        assert (kept.client_id, kept.account) == ("cli", "alice@example.org")
        assert kept.scopes == ("User.Read", "profile", "openid", "offline_access")
        assert kept.access_token.reveal() == "planted-access", "the last one that is no proof of possession"
        assert (kept.access_token_issued_at, kept.access_token_expires_at) == (1_795_000_000, 1_795_003_600)

    def test_msal_of_another_authority_does_not_say_which_issuer(self):
        data = json.dumps(MSAL).replace("login.microsoftonline.com", "adfs.example.org").encode()
        assert read_msal(data)[0].issuer is None

    def test_bmlibrarian(self):
        kept = read_bmlibrarian(json.dumps(BMLIBRARIAN).encode())
        assert kept.institution_url == "https://go.openathens.net/redirector/jcu.edu.au"
        assert kept.created_at == dt.datetime(2026, 11, 28, 9, 30, 0, 123456)  # noqa: DTZ001 - as it is written
        assert kept.cookies[0]["value"] == "planted-cookie"
        assert "planted" not in repr(kept)

    def test_an_entry_has_nothing_that_nobody_verified(self):
        entry = read_micromegas(json.dumps(MICROMEGAS).encode()).entry(
            profile="work",
            issuer="https://id.example.org",
            client_id="cli",
            client_authentication="none",
            scopes=("openid",),
            provider=None,
            insecure_loopback_http=False,
            now=1.0,
        )
        assert (entry.claims, entry.id_token, entry.id_token_renewable) == (None, None, True)


class TestWhatIsRefused:
    @pytest.mark.parametrize("program", READERS)
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"[]",
            b"null",
            b"{",
            b"\xff\xfe{}",
            b'{"token": {}, "token": {}}',
            b'{"a":' * 60 + b"1" + b"}" * 60,
            b"gAAAAABencrypted",
            b"{" + b" " * 5_000_000 + b"}",
        ],
        ids=["empty", "list", "null", "cut off", "utf-16", "twice", "deep", "encrypted", "5 MB"],
    )
    def test_what_is_no_json_object(self, program, data):
        with pytest.raises(ConfigurationError) as refused:
            READERS[program][0](data)
        assert refused.value.reason in ("import_not_json", "import_too_large")

    @pytest.mark.parametrize("program", READERS)
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_is_never_loaded(self, program, protocol, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (open, (str(tmp_path / "it-ran"), "w"))

        with pytest.raises(ConfigurationError, match="runs whatever is in it") as refused:
            READERS[program][0](pickle.dumps({"cookies": Bomb()}, protocol))
        assert refused.value.reason == "import_pickle"
        assert not (tmp_path / "it-ran").exists()

    @pytest.mark.parametrize(
        ("program", "path", "value"),
        [
            ("micromegas", ["issuer"], ...),
            ("micromegas", ["issuer"], 7),
            ("micromegas", ["client_id"], ""),
            ("micromegas", ["client_id"], "a\u001b[2J"),
            ("micromegas", ["token"], []),
            ("micromegas", ["token", "refresh_token"], ["planted"]),
            ("micromegas", ["token", "refresh_token"], "planted two"),
            ("micromegas", ["token", "refresh_token"], "plantéd"),
            ("micromegas", ["token", "refresh_token"], "planted" * 10_000),
            ("micromegas", ["token", "refresh_token"], ...),
            ("micromegas", ["token", "token_type"], "DPoP"),
            ("kubelogin", ["refresh_token"], ...),
            ("kubelogin", ["refresh_token"], {}),
            ("msal", ["RefreshToken"], {}),
            ("msal", ["RefreshToken"], ...),
            ("msal", ["RefreshToken", "a"], "planted"),
            ("msal", ["RefreshToken", "a", "secret"], ...),
            ("msal", ["RefreshToken", "a", "environment"], 7),
            ("msal", ["Account", "a"], "planted"),
            ("bmlibrarian", ["cookies"], {}),
            ("bmlibrarian", ["cookies"], ["planted"]),
            ("bmlibrarian", ["created_at"], "yesterday"),
            ("bmlibrarian", ["created_at"], 1_795_000_000),
            ("bmlibrarian", ["institution_url"], ...),
        ],
    )
    def test_what_is_missing_or_of_another_kind(self, program, path, value):
        read, document = READERS[program]
        with pytest.raises(ConfigurationError) as refused:
            read(changed(document, path, value))
        assert refused.value.field == "FILE"
        assert refused.value.reason.startswith("import_")
        assert "planted" not in refused.value.message
        assert refused.value.message.isprintable()

    @pytest.mark.parametrize("until", [..., None, "soon", True, -1, 1e300, "9" * 400])
    def test_an_access_token_whose_end_is_not_known_is_not_taken(self, until):
        kept = read_micromegas(changed(MICROMEGAS, ["token", "expires_at"], until))
        assert (kept.access_token, kept.access_token_expires_at, kept.access_token_issued_at) == (None, None, None)
