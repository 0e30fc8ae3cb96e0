"""What the READMEs of the storage name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORAGE = ROOT / "storage"
READMES = sorted(STORAGE.rglob("README.md"))
FOLDERS = sorted(path.parent for path in STORAGE.glob("chat4all_storage/*/__init__.py"))


def names(pattern: str) -> list[tuple[Path, str]]:
    return [
        (readme, name)
        for readme in READMES
        for name in sorted(set(re.findall(pattern, readme.read_text(encoding="utf-8"))))
    ]


def test_every_folder_has_one() -> None:
    assert [folder.name for folder in FOLDERS if not (folder / "README.md").is_file()] == []


def test_every_test_that_is_named_exists() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("storage", "property")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
    ]
    defined = set(re.findall(r"def (test_\w+)\(", "\n".join(sources)))
    named = names(r"`(test_\w+)`")
    assert named
    assert [name for _, name in named if name not in defined] == []


@pytest.mark.parametrize(("readme", "name"), names(r"`((?!NNNN)[\w/]+(?:\.py|\.sql|/))`"))
def test_every_module_and_folder_that_is_named_exists(readme: Path, name: str) -> None:
    places = (readme.parent, STORAGE / "chat4all_storage", STORAGE, ROOT)
    found = [place for place in places if (place / name).exists()]
    assert found or list((ROOT / "tests/storage").rglob(name))


@pytest.mark.parametrize(("readme", "target"), names(r"\]\((?!http)([^)#]+)\)"))
def test_every_link_leads_somewhere(readme: Path, target: str) -> None:
    assert (readme.parent / target).exists()
