"""What the README says is true."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOPS = re.findall(r"^\|.* \| `([\w/]+)\.py`:`([\w.]+)` \|", README, re.MULTILINE)


def test_the_life_of_a_message_has_hops() -> None:
    assert len(HOPS) == README.count(".py`:`") >= 10


@pytest.mark.parametrize(("path", "name"), HOPS)
def test_a_hop_names_code_that_exists(path: str, name: str) -> None:
    assert (ROOT / f"{path}.py").is_file()
    packages = ("protocol/", "storage/", "connectors/")
    module_path = next((path.removeprefix(p) for p in packages if path.startswith(p)), path)
    found: object = importlib.import_module(module_path.replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_example_is_python_that_uses_what_exists() -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    code = example[1]
    assert code.count("\n") <= 25
    compile(code, "README.md", "exec")
    for module, names in re.findall(r"^from (chat4all\S+) import (.+)$", code, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name)


def test_both_commands_install_from_the_lock() -> None:
    install = "--require-hashes -r requirements.lock"
    assert install in README
    assert install in (ROOT / ".ci/run").read_text(encoding="utf-8")
