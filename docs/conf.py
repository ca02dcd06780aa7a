"""How Sphinx builds the site: ``make docs``. Pages are Markdown; the reference is made from docstrings."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_tools"))

project = "Doorward"
copyright = "the Doorward authors"  # noqa: A001 - Sphinx calls it so
version = release = version_of("doorward")
html_title = "Doorward"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.autosummary",
    "public_names",
]
exclude_patterns = ["_tools"]

# the anchors that a repository's own view gives to headings
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]

# else a default such as os.environ shows what it held when the site was built
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
add_module_names = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "default"
pygments_dark_style = "github-dark"
