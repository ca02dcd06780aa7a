"""A backend of keyring that answers for listed package indexes alone, and is in nobody's way."""

from __future__ import annotations

import keyring
import pytest
from keyring import backend, errors
from keyring.backends import chainer, fail

from doorward.integrations.package_index import PackageIndexKeyring


class Other(backend.KeyringBackend):
    """A keyring of somebody else's that keeps passwords."""

    priority = 5

    def __init__(self):
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture(autouse=True, scope="module")
def _forget_other():
    yield
    backend.KeyringBackend._classes.discard(Other)  # noqa: SLF001 - each class that is defined becomes known


@pytest.fixture
def chain(monkeypatch):
    """What keyring makes of several backends, asked in the order of their priorities."""
    both = [PackageIndexKeyring(), Other()]
    monkeypatch.setattr(chainer.ChainerBackend, "backends", both)
    return chainer.ChainerBackend()


@pytest.mark.parametrize("service", ["mail", "https://mail.example.org", "https://files.example.org/a?b#c", ""])
def test_what_others_keep_is_theirs(chain, service):
    chain.set_password(service, "alice", "secret")
    assert chain.get_password(service, "alice") == "secret"
    assert chain.get_credential(service, "alice").password == "secret"
    chain.delete_password(service, "alice")
    assert chain.get_password(service, "alice") is None


@pytest.mark.parametrize(
    "service",
    [
        "https://pypi.example.org.evil.example/simple",
        "https://u@pypi.example.org/simple",
        "https://evil.example/https://pypi.example.org",
        "http://pypi.example.org/simple",
        "pypi.example.org",
        "https://pypi.example.org\n",
        "https://pypi.example.org:8443/simple",
    ],
)
def test_what_only_looks_like_a_listed_index_gets_nothing(doorward_home, caplog, service):
    _list(doorward_home)
    assert PackageIndexKeyring().get_credential(service, None) is None
    assert PackageIndexKeyring().get_password(service, "oauth2") is None
    assert caplog.messages == [], "nobody was asked for a token"


def test_a_listed_index_without_a_session_is_told_of_and_left_to_others(doorward_home, caplog):
    _list(doorward_home)
    assert PackageIndexKeyring().get_credential("https://pypi.example.org/simple", None) is None
    (message,) = caplog.messages
    assert "doorward login --profile work" in message


def test_settings_that_are_wrong_break_no_program(doorward_home, caplog):
    _list(doorward_home, "nonsense = 1")
    assert PackageIndexKeyring().get_credential("https://pypi.example.org/simple", None) is None
    assert "nonsense" in caplog.text


def test_where_it_is_alone_a_program_hears_that_there_is_no_keyring():
    for ask in (
        lambda: PackageIndexKeyring().set_password("a", "b", "c"),
        lambda: PackageIndexKeyring().delete_password("a", "b"),
    ):
        with pytest.raises(errors.NoKeyringError, match="No keyring is here"):
            ask()


def test_keyring_finds_it_by_its_entry_point():
    assert PackageIndexKeyring in {type(each) for each in backend.get_all_keyring()}
    assert PackageIndexKeyring.priority > fail.Keyring.priority
    assert keyring.get_keyring()


def _list(home, *more):
    home.mkdir(exist_ok=True)
    lines = ["[profiles.work]", "issuer = 'https://id.example.org'", "client_id = 'cli'"]
    (home / "doorward.toml").write_text("\n".join([*lines, "origins = ['https://pypi.example.org']", *more]))
