"""A directive for Sphinx that documents the public names of a module: those of its ``__all__``, by their docstrings.

The names of Doorward's rooms load late, so they are asked for with ``getattr`` and not looked for in the source. A
signature may name the module that a class is made in; the link then goes to where the class is described.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Element, Node
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

ROOMS = (
    "doorward",
    "doorward.guard",
    "doorward.institution",
    "doorward.papers",
    "doorward.integrations.httpx",
    "doorward.integrations.requests",
    "doorward.integrations.aiohttp",
    "doorward.integrations.grpc",
    "doorward.integrations.flight",
    "doorward.integrations.sending",
    "doorward.integrations.asgi",
    "doorward.integrations.fastapi",
    "doorward.integrations.wsgi",
    "doorward.integrations.flask",
    "doorward.testing",
    "doorward.errors",
)
"""What the reference describes. A name of two rooms is described in the first."""


def public_names(room: str) -> dict[str, object]:
    """Return the public names of a module but its rooms, with what they stand for."""
    module = import_module(room)
    values = {name: getattr(module, name) for name in sorted(module.__all__)}
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("__") and not inspect.ismodule(value)
    }


def made_as(value: object) -> str | None:
    """Return the dotted name that a class or function is made under; None for any other value."""
    named = inspect.isclass(value) or inspect.isroutine(value)
    return f"{value.__module__}.{value.__qualname__}" if named else None


def described_as() -> dict[str, str]:
    """Return for the dotted name that a public object is made under the one that it is described under."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for name, value in public_names(room).items():
            made = made_as(value)
            if made is not None:
                found.setdefault(made, f"{room}.{name}")
    return found


def names_described_in(room: str) -> dict[str, object]:
    """Return the public names of a module but those that another room describes."""
    described = described_as()
    here = {name: f"{room}.{name}" for name in public_names(room)}
    return {
        name: value
        for name, value in public_names(room).items()
        if described.get(made_as(value) or "", here[name]) == here[name]
    }


class PublicNames(SphinxDirective):
    """``.. public-names:: MODULE``: a list of its public names, then each of them."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Write what autodoc is to document, and have it read."""
        room = self.arguments[0]
        names = names_described_in(room)
        lines = [
            f".. currentmodule:: {room}",
            "",
            ".. autosummary::",
            "   :nosignatures:",
            "",
        ]
        lines += [*(f"   {name}" for name in names), ""]
        for name, value in names.items():
            lines += [f".. {_directive(value)}:: {name}", *_options(value), ""]
        return self.parse_text_to_nodes(
            StringList(lines, source=self.get_source_info()[0])
        )


def _directive(value: object) -> str:
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"


def _options(value: object) -> list[str]:
    if not inspect.isclass(value):
        return [] if inspect.isroutine(value) else ["   :no-value:"]
    return [
        "   :members:",
        *(["   :show-inheritance:"] if issubclass(value, BaseException) else []),
    ]


def link_to_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Any:
    """Have a reference to where a class is made lead to where it is described."""
    target = described_as().get(node["reftarget"])
    if node.get("refdomain") != "py" or target is None:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, content
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx what is here."""
    app.add_directive("public-names", PublicNames)
    app.connect("missing-reference", link_to_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
