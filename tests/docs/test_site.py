"""The site builds without a warning, needs no network to be read, and describes every public name."""

from __future__ import annotations

import inspect
import os
import re
import runpy
import subprocess
from importlib import import_module

import pytest
from markdown_pages import PAGES, ROOT

from doorward import integrations

ROOMS = runpy.run_path(str(ROOT / "docs" / "_tools" / "public_names.py"))["ROOMS"]
PLANTED = "PLANTED-environment"
PACKAGES = ["doorward", "doorward.guard", "doorward.institution", "doorward.papers", "doorward.testing"]


def public(room):
    module = import_module(room)
    values = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    return {name: value for name, value in values.items() if not inspect.ismodule(value)}  # rooms have their own page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "OF_THE_BUILDER": PLANTED}
    command = [ROOT / "scripts" / "docs", folder]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_there(site):
    pages = [page for page in PAGES if page.startswith("docs/")]
    assert [page for page in pages if not (site / page[5:]).with_suffix(".html").exists()] == []
    assert "Report privately" in (site / "security" / "policy.html").read_text()  # SECURITY.md stands there


@pytest.mark.slow
def test_every_public_name_is_described(site):
    described = set()
    for page in (site / "api").glob("*.html"):
        described |= set(re.findall(r'<dt class="sig[^"]*" id="([\w.]+)"', page.read_text()))
    short = {name.rpartition(".")[2] for name in described}
    assert {name for room in ROOMS for name in public(room)} <= short
    assert {"doorward.sign_in", "doorward.guard.Guard.authenticate", "doorward.errors.Expired"} <= described


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    loading = (
        r"""(?:src|srcset)=["'](?:https?:)?//|<link[^>]+href=["'](?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
    )
    files = [path for path in site.rglob("*") if path.suffix in (".css", ".html", ".svg")]
    assert len(files) > len(PAGES)
    assert [str(path) for path in files if re.search(loading, path.read_text())] == []


@pytest.mark.slow
def test_nothing_of_who_built_it_is_told(site):
    told = (PLANTED.encode(), str(ROOT).encode())  # a default such as os.environ would tell all of it
    files = [path for path in site.rglob("*") if path.is_file()]
    assert [str(path) for path in files if any(each in path.read_bytes() for each in told)] == []


def test_all_rooms_are_in_the_reference():
    assert {*PACKAGES, "doorward.errors", *(f"doorward.integrations.{name}" for name in integrations.__all__)} == set(
        ROOMS
    )


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_explain_themselves(room):
    for name, value in public(room).items():
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), name
            inspect.signature(value)  # what help() shows; it fails on a name that was imported for type checkers alone
