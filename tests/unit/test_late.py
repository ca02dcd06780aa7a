"""Names that load late: each where its stub says, and none paid for before."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import doorward

if TYPE_CHECKING:
    from types import ModuleType

SRC = Path(doorward.__file__).parent.parent
_numbers = count()

INIT = '"""A package."""\nfrom doorward.late import late_names\n__getattr__, __dir__, __all__ = late_names(__name__)\n'
HOUSE = {"__init__.py": INIT, "room.py": "from pathlib import Path\n", "bare.py": "import no_such_library\n"}


class Package:
    """Makes packages that can be imported for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, stub: str | None, **more: str) -> ModuleType:
        name = f"late_house_{next(_numbers)}"
        files = {**HOUSE, **more, **({} if stub is None else {"__init__.pyi": stub.replace("HOUSE", name)})}
        (self.folder / name).mkdir()
        for file, text in files.items():
            (self.folder / name / file).write_text(text)
        return importlib.import_module(name)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    return Package(tmp_path)


def test_a_name_is_the_one_of_its_module(package):
    house = package("from HOUSE.room import Path as Path\n")
    assert f"{house.__name__}.room" not in sys.modules
    assert house.Path is Path
    assert "Path" in vars(house)  # and is not asked for again


def test_a_name_from_the_package_itself_is_a_module_of_it(package):
    house = package("from HOUSE import room as room\n\nfrom HOUSE.room import Path as Path\n")
    assert house.room is sys.modules[f"{house.__name__}.room"]
    assert house.__all__ == dir(house) == ["Path", "room"]


def test_what_is_listed_can_not_be_spoilt(package):
    house = package("from HOUSE import room as room\n")
    house.__dir__().clear()
    assert dir(house) == ["room"]


def test_a_name_that_is_not_there_is_an_attribute_error_with_a_suggestion(package):
    house = package("from HOUSE.room import Path as Path\n")
    with pytest.raises(AttributeError, match="has no attribute 'Pathh'") as caught:
        _ = house.Pathh
    assert (caught.value.name, caught.value.obj) == ("Pathh", house)


def test_a_library_that_is_not_installed_is_no_attribute_and_a_failed_import(package):
    house = package("from HOUSE import bare as bare\n")
    assert not hasattr(house, "bare")
    with pytest.raises(AttributeError, match="No module named 'no_such_library'") as caught:
        _ = house.bare
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        exec(f"from {house.__name__} import bare")  # noqa: S102 - the statement is what is tried


def test_a_mistake_of_ours_is_no_missing_library(package):
    house = package("from HOUSE import wrong as wrong\n", **{"wrong.py": "from doorward.late import no_such_name\n"})
    with pytest.raises(ImportError, match="no_such_name"):
        _ = house.wrong


def test_a_missing_stub_is_told(package):
    with pytest.raises(ImportError, match=r"__init__\.pyi is missing"):
        package(None)


@pytest.mark.parametrize(
    "line",
    [
        "from HOUSE.room import Path",
        "from HOUSE.room import Path as Way",
        "from HOUSE.room import Path as Path, sys as sys",
        "import HOUSE.room as room",
        "x: int",
        "# a remark",
    ],
)
def test_another_line_in_a_stub_is_told(package, line):
    with pytest.raises(ImportError, match="no import of one name as itself"):
        package(f"{line}\n")


def test_a_package_in_an_archive_has_its_names(tmp_path):
    archive = tmp_path / "doorward.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((SRC / "doorward").rglob("*.py*")):
            if path.suffix in {".py", ".pyi"}:
                file.write(path, path.relative_to(SRC))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); import doorward\n"
        "print(doorward.__file__, doorward.open_session.__module__, doorward.guard.Guard.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [f"{archive}/doorward/__init__.py", "doorward.signin.session", "Guard"], done.stderr
