"""A vault that is sealed with a key file of its own, and what changes its seal."""

import os

import pytest

from doorward.vault.sealing.changing import Sealing
from doorward.vault.sealing.keys import Keys, make_key_file


@pytest.fixture
def key_file(tmp_path, monkeypatch, folder):
    """The key file that the environment names."""
    path = str(tmp_path / "vault.key")
    make_key_file(path, vault_folder=folder)
    monkeypatch.setenv("DOORWARD_VAULT_KEY_FILE", path)
    return path


@pytest.fixture
def sealing(vault):
    """Return what changes the seal, as a process that starts now has it."""

    def make(**given):
        return Sealing(vault.folder, (vault.profiles, vault.institutions), keys=Keys(**given))

    return make


@pytest.fixture
def sealed(vault, make_entry, sealing, key_file):
    """A sealed vault with one profile."""
    vault.put(make_entry())
    sealing().seal("key_file")
    return vault


@pytest.fixture
def content(folder):
    """Read a file of the vault, or write it: a change by somebody who knows no key."""

    def access(name, data=None):
        path = os.path.join(folder, name)
        if data is None:
            with open(path, "rb") as file:
                return file.read()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            return file.write(data)

    return access
