"""Names for people that are safe for every system."""

from __future__ import annotations

import pytest

from doorward.errors import ConfigurationError
from doorward.papers.naming import candidates, check_template, file_stem, suggested_name, year_folder


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("A study.pdf", "A study"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "paper"),
        ("", "paper"),
        ("...", "paper"),
        ("-rf", "rf"),
        (".bashrc", "bashrc"),
        ("CON", "_CON"),
        ("nul.tar.pdf", "_nul.tar"),
        ("com1", "_com1"),
        ("console", "console"),
        ('a<b>c:d"e\\f|g?h*i', "a_b_c_d_e_f_g_h_i"),
        ("a\x00b\nc\x1b[31m", "a b c [31m"),
        ("\u202efdp.exe", "fdp.exe"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("trailing. . ", "trailing"),
        ("\U0001f600", "paper"),
        ("\ud800x", "x"),
        ("é" * 200, "é" * 60),
        ("x" * 5000, "x" * 120),
    ],
)
def test_a_name_from_outside_becomes_one_of_ours(name, stem):
    assert file_stem("{name}", {"name": name}) == stem


def test_a_template_is_filled_in_and_made_safe_as_a_whole():
    fields = {"name": "x.pdf", "host": "example.org", "year": "2020"}
    assert file_stem("{year} {host} {name}", fields) == "2020 example.org x"
    assert file_stem("../{name}", fields) == "_x"
    assert file_stem("{{{name}}}", fields) == "{x}"


@pytest.mark.parametrize(
    "template", ["", "x", "{year}", "{name.__class__}", "{name!r}", "{name:>9}", "{0}", "{}", "{name", "{other}{name}"]
)
def test_a_template_that_is_none(template):
    with pytest.raises(ConfigurationError) as caught:
        check_template(template)
    assert caught.value.field == "template"


@pytest.mark.parametrize(
    ("url", "disposition", "name"),
    [
        ("https://x.example/doi/pdf/10.1000/xyz", None, "xyz"),
        ("https://x.example/articles/7/pdf", None, "7"),
        ("https://x.example/a%2Fb.pdf?x=1", None, "a/b.pdf"),
        ("https://x.example/download?id=7", None, "id=7"),
        ("https://x.example/", None, ""),
        ("https://x.example/7", 'attachment; filename="A \\"B\\".pdf"', 'A "B".pdf'),
        ("https://x.example/7", "attachment; filename=plain.pdf; size=1", "plain.pdf"),
        ("https://x.example/7", "attachment; filename=\"old.pdf\"; filename*=UTF-8''caf%C3%A9.pdf", "café.pdf"),
        ("https://x.example/7", "attachment; filename*=iso-8859-1'en'caf%E9.pdf", "café.pdf"),
        ("https://x.example/7", "inline", "7"),
    ],
)
def test_what_a_server_calls_it(url, disposition, name):
    assert suggested_name(url, disposition) == name


def test_the_folder_of_a_year():
    assert [year_folder(year) for year in (2021, 800, None, 0, -1, 10_000)] == ["2021", "0800", *["unknown"] * 4]


def test_names_run_out():
    names = list(candidates("x"))
    assert names[:2] == ["x.pdf", "x (2).pdf"]
    assert len(set(names)) == 1000
