"""The pages about settings name all settings there are, and no other."""

from __future__ import annotations

import re
import tomllib

import pytest
from markdown_pages import blocks_of

from doorward.errors import ConfigurationError
from doorward.guard import Guard
from doorward.institution.settings import read_institutions

(FILE,) = [block for block in blocks_of("docs/guard-settings.md") if block.language == "toml"]
DOCUMENTED = tomllib.loads(FILE.text)
TABLES = [
    "issuers",
    "api_keys",
    "introspection",
    "throttle",
    "revocations",
    "audit",
    "cache",
    "jwks",
]  # [grants] is free
AS_FOR_ISSUERS = {
    *("trust_email", "profile", "groups_claim", "scope_claims", "required_claims", "insecure_loopback_http"),
}
NEEDED = {  # by the table, before it says more
    "issuers": 'issuer = "https://id.example.org"\naudience = "api"',
    "api_keys": 'db = "keys.db"',
    "introspection": 'issuer = "https://id.example.org"\nclient_id = "api"\nclient_secret_file = "secret"',
    "revocations": 'db = "revocations.db"',
    "audit": 'path = "audit.log"',
}
IN_WORDS = {  # named in comments of the file, in place of the setting they stand for
    "api_keys": {"db_env", "db_file", "pepper_file", "keyring_file"},
    "audit": {"key_file"},
    "introspection": AS_FOR_ISSUERS | {"client_secret_file", "subject_claim"},
    "revocations": {"db_env", "db_file"},
}


def known_in(tmp_path, text):
    """What a guard says it knows, where it is given something that it doesn't."""
    file = tmp_path / "guard.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        Guard.from_file(file)
    assert refused.value.reason == "unknown_setting"
    return set(re.search(r"known here: (.*)\.", refused.value.message)[1].split(", "))


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_of_a_guard_is_on_the_page(tmp_path, table):
    heading = f"[[{table}]]" if table == "issuers" else f"[{table}]"
    shown = DOCUMENTED[table][0] if table == "issuers" else DOCUMENTED[table]
    (tmp_path / "secret").write_text("a secret")
    known = known_in(tmp_path, f"{heading}\n{NEEDED.get(table, '')}\nbogus = 1\n")
    assert known == shown.keys() | IN_WORDS.get(table, set())
    for word in IN_WORDS.get(table, ()):
        assert word in FILE.text


def test_every_table_of_a_guard_is_on_the_page(tmp_path):
    assert known_in(tmp_path, "bogus = 1\n") == DOCUMENTED.keys()


def test_the_settings_of_institutions_are_as_shown(doorward_home):
    (block,) = [block for block in blocks_of("docs/institutions.md") if block.language == "toml"]
    doorward_home.mkdir()
    (doorward_home / "doorward.toml").write_text(block.text.replace("https://…", "https://publisher.example/a.pdf"))
    assert list(read_institutions()) == ["jcu"]
