"""The promises of docs/architecture.md that a tool can hold us to."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
import tomllib
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import msgspec
import pytest

from doorward.secret import shows_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "doorward"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.stem.isidentifier()]  # PyInstaller's hook is no module
MODULES = {str(path.relative_to(PACKAGE)): path.read_text() for path in FILES}
ROOMS = {name: text for name, text in MODULES.items() if len(ast.parse(text).body) <= 1}  # no more than a docstring
SPEAKING = {name: text for name, text in MODULES.items() if name not in ROOMS}

LONGEST = 400
MOST_MODULES = 15
LONGER_FOR_A_REASON = {}


def _dotted(name: str) -> str:
    return ".".join(("doorward", *Path(name).with_suffix("").parts)).removesuffix(".__init__")


def _python(code: str) -> str:
    """Run code in a fresh interpreter; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_a_module_begins_by_saying_what_lives_in_it(name):
    assert ast.get_docstring(ast.parse(MODULES[name]))


@pytest.mark.parametrize("name", SPEAKING)
def test_a_module_has_one_subject(name):
    too_long = len(SPEAKING[name].splitlines()) > LONGEST
    assert too_long == (name in LONGER_FOR_A_REASON), f"over {LONGEST} lines: split it, or list it with its reason"


def test_no_room_is_too_full_to_find_ones_way_in():
    modules = Counter(str(Path(name).parent) for name in MODULES if not name.endswith("__init__.py"))
    assert {room: count for room, count in modules.items() if count > MOST_MODULES} == {}


def test_no_module_imports_in_a_circle():
    """Not even for the sake of types, or late: what is in a circle can't be understood one by one."""
    graph = grimp.build_graph("doorward", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, and names the circle


def _defined(tree: ast.Module) -> set[str]:
    """The public names a module makes itself. A type variable belongs to its signatures."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.If(body=body, orelse=orelse):  # one for each system
                names |= _defined(ast.Module([*body, *orelse], []))
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.add(node.name)
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
                pass
            case ast.Assign(targets=targets):
                names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    return {name for name in names if not name.startswith("_") and name != "TYPE_CHECKING"} | names & {"__version__"}


def _imported(tree: ast.Module) -> set[str]:
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("name", SPEAKING)
def test_all_is_exactly_what_a_module_offers(name):
    module = importlib.import_module(_dotted(name))
    promised = set(module.__all__)
    assert len(promised) == len(module.__all__)
    assert {each for each in promised if not hasattr(module, each)} == set()
    tree = ast.parse(SPEAKING[name])
    if _imported(tree) != {"late_names"}:
        assert promised - _imported(tree) == _defined(tree)
        return
    stub = (PACKAGE / name).with_suffix(".pyi")  # where the names stand
    tree = ast.parse(stub.read_text())
    assert promised == _imported(tree)
    rooms = {alias.name for node in tree.body if node.module == _dotted(name) for alias in node.names}
    covered = {path.stem for path in stub.parent.iterdir()} & promised - rooms
    assert covered == set(), "a module of the same name would take this one's place once it is imported"


def test_the_public_face_is_this():
    assert set(importlib.import_module("doorward").__all__) == {
        "BoundTokenSource",
        "ClientCredentials",
        "DoorwardError",
        "OnBehalfOf",
        "Principal",
        "Secret",
        "Session",
        "TokenSource",
        "WorkloadIdentity",
        "__version__",
        "asign_in",
        "errors",
        "guard",
        "institution",
        "integrations",
        "open_session",
        "papers",
        "sign_in",
        "testing",
    }


LATE = [_dotted(name) for name, text in SPEAKING.items() if "late_names(__name__)" in text]


@pytest.mark.parametrize("name", LATE)
def test_help_knows_a_package_whose_names_load_late(name):
    package = importlib.import_module(name)
    text = pydoc.plain(pydoc.render_doc(package))
    assert {each for each in package.__all__ if not each.startswith("__") and each not in text} == set()


def _public_callables(package: str) -> dict[str, Callable[..., object]]:
    """The functions, classes and methods that a package or a module of it promises."""
    found: dict[str, Callable[..., object]] = {}
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.ismodule(value):
            found |= _public_callables(value.__name__)
        elif inspect.isclass(value):
            methods = {name for name in dir(value) if not name.startswith("_") and callable(getattr(value, name))}
            found |= {f"{package}.{name}.{each}": getattr(value, each) for each in methods}
            if not getattr(value, "_is_protocol", False):  # which nobody makes one of
                found[f"{package}.{name}"] = value.__init__
        elif inspect.isroutine(value):
            found[f"{package}.{name}"] = value
    return found


TAKES_ANY_KEYWORD_FOR_A_REASON = {
    "doorward.testing.DevIssuer.change": "the fields of Rules, which describes each",
    "doorward.testing.DevIssuer.issue_access_token": "claims, whatever their names",
    **dict.fromkeys(
        (f"doorward.guard.{room}Revocations.{name}" for room in ("", "revocation.") for name in ("ask", "check")),
        "what a token can be revoked by, typed by Marks: for the guard alone",
    ),
}


def test_each_keyword_of_the_front_doors_stands_in_its_signature():
    found = {name: each for package in LATE for name, each in _public_callables(package).items()}
    taking_any = set()
    for name, each in found.items():
        if inspect.isfunction(each) or inspect.ismethod(each):
            kinds = [parameter.kind for parameter in inspect.signature(each).parameters.values()]
            taking_any |= {name} if inspect.Parameter.VAR_KEYWORD in kinds else set()
    assert {"doorward.sign_in", "doorward.institution.Institution.named"} < found.keys()
    assert taking_any == TAKES_ANY_KEYWORD_FOR_A_REASON.keys()


def test_only_what_speaks_to_a_person_prints():
    printing = {
        name
        for name, text in SPEAKING.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name for name in printing if not name.startswith("cli/")} <= {"signin/prompt.py"}


def test_importing_everything_changes_no_class_of_the_standard_library():
    modules = [_dotted(name) for name in SPEAKING]
    code = f"""
import asyncio, http.client, http.server, importlib, inspect, json, logging, selectors, socket, socketserver, ssl
import sys, threading, urllib.request, webbrowser
def everything():
    found = {{}}
    for module in [each for name, each in sys.modules.items() if name.partition(".")[0] in sys.stdlib_module_names]:
        for name, kind in list(vars(module).items()):
            if inspect.isclass(kind) and kind.__module__.partition(".")[0] in sys.stdlib_module_names:
                for attribute, value in list(vars(kind).items()):
                    found[kind, attribute] = value
    return found

before = everything()
for name in {modules!r}:
    importlib.import_module(name)
after = everything()
kinds = {{kind for kind, _ in before}}
notes = ("_dirty", "_registered_with_atexit")  # what weakref.finalize notes when somebody uses it
print([f"{{kind.__module__}}.{{kind.__qualname__}}.{{attribute}}" for kind, attribute in after
       if kind in kinds and before.get((kind, attribute)) is not after[kind, attribute]
       and attribute not in ("__abstractmethods__", "__annotations__", "__doc__", *notes)])
"""
    assert _python(code).strip() == "[]"


def test_importing_doorward_is_light():
    heavy = "{'asyncio', 'click', 'cryptography', 'httpcore2', 'httpx2', 'msgspec', 'rich', 'ssl'}"
    assert _python(f"import doorward, sys; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_every_import_from_elsewhere_is_a_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for name, group in project["optional-dependencies"].items() if name != "dev" for each in group]
    declared = {re.match(r"[\w-]+", each)[0].replace("-", "_").lower() for each in project["dependencies"] + extras}
    used = set()
    for text in SPEAKING.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(node.module.partition(".")[0])
    declared |= {module for module, package in {"nacl": "pynacl", "grpc": "grpcio"}.items() if package in declared}
    # pytest is there wherever its plug-in is loaded
    assert used - sys.stdlib_module_names - {"doorward", "pytest"} <= declared


def test_decisions_are_cited_and_recorded():
    cited = {int(each) for text in SPEAKING.values() for each in re.findall(r"\bdecision\s+(\d+)", text)}
    recorded = {int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    assert cited == recorded


def test_rooms_import_downward_only():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_constraints_are_names_and_versions_alone():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line)] == []


def test_what_hides_something_hides_it_from_rich_too():
    """A msgspec struct tells rich every field, whatever its ``__repr__`` leaves out."""
    structs = {
        kind
        for name in SPEAKING
        for kind in vars(importlib.import_module(_dotted(name))).values()
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
    }
    hiding = {kind for kind in structs if "__repr__" in vars(kind)}
    assert {"HttpRequest", "HttpResponse", "Principal", "Request"} <= {kind.__name__ for kind in hiding}
    assert {kind.__name__ for kind in hiding if vars(kind).get("__rich_repr__") is not shows_nothing} == set()
