"""Where things are: what holds of every folder and module, so that a newcomer finds their way."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests import own_coverage

ROOT: Final = Path(__file__).parent.parent
PRODUCT: Final = ("bench", "chat4all_actors", "connectors", "protocol", "storage")
MODULES: Final = sorted(path for top in PRODUCT for path in (ROOT / top).rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
FOLDERS: Final = sorted({path.parent for path in MODULES if path.name == "__init__.py"})

ONE_SCREEN: Final = 60
"""Lines of a README."""
LONG: Final = 400
"""Lines of a module that is more than one idea."""
WORDS: Final = 5
"""Of a docstring that says something."""

NAMED_AS_PORTS: Final = {
    "storage/chat4all_storage/memory",
    "storage/chat4all_storage/postgres",
}
"""Their modules have the names of the ports that they are, which `ports/README.md` has."""

CORE: Final = (
    "chat4all_actors/conversation",
    "chat4all_actors/kernel",
    "chat4all_actors/limits",
    "chat4all_actors/session",
    "protocol/chat4all_protocol",
    "storage/chat4all_storage/log",
)
"""Where every module is tested by itself; stores are tested through their ports."""
NOT_ALONE: Final = {
    "chat4all_actors/conversation/outside.py": "a port",
    "chat4all_actors/conversation/relay.py": "a port",
    "chat4all_actors/conversation/surroundings.py": "a port",
    "chat4all_actors/session/outlet.py": "a port",
    "chat4all_actors/session/services.py": "a port",
    "protocol/chat4all_protocol/frames/client.py": "values; see test_frames.py",
    "protocol/chat4all_protocol/frames/fields.py": "values; see test_frames.py",
    "protocol/chat4all_protocol/frames/server.py": "values; see test_frames.py",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules_of(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_has_a_readme_of_one_screen(folder: Path) -> None:
    readme = folder / "README.md"
    if not readme.exists() and folder.parent.parent == ROOT:
        # A topic's one package is introduced beside what else belongs to the topic.
        assert f"`{folder.name}" in (folder.parent / "README.md").read_text(encoding="utf-8")
    else:
        assert len(readme.read_text(encoding="utf-8").splitlines()) <= ONE_SCREEN


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_readme_names_every_module_of_its_folder(folder: Path) -> None:
    if (folder / "README.md").exists() and name_of(folder) not in NAMED_AS_PORTS:
        readme = (folder / "README.md").read_text(encoding="utf-8")
        names = {path.stem for path in modules_of(folder)}
        unnamed = sorted(name for name in names if not re.search(rf"\b{name}\b", readme))
        assert unnamed == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_package_says_what_it_is(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert docstring is not None
    assert len(docstring.split()) >= WORDS


@pytest.mark.parametrize("module", [*MODULES, *TESTS], ids=name_of)
def test_a_module_is_short_enough_to_be_one_idea(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LONG


@pytest.mark.parametrize(
    "module", [name for folder in CORE for name in own_coverage.modules_of(ROOT / folder)]
)
def test_a_module_of_the_core_has_tests_of_its_own(module: str) -> None:
    assert bool(own_coverage.tests_of(module)) != (module in NOT_ALONE)
