"""What documents point to is there: links, and files that are named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
NOT_OURS: Final = {".git", ".venv", "mutants", "node_modules"}
PAST: Final = {"CHANGELOG.md"}
"""Tells of files as they were."""
LINK: Final = re.compile(r"\]\((?!http)([^)#]+)\)")
FILE: Final = re.compile(r"`((?:\.\./)*[\w][\w/.-]*\.(?:md|py|sql|toml))`")
MADE_UP: Final = {"NNNN_what.sql", "storage/migrations/NNNN_what.sql", "x/y.py"}
"""Stand for others."""


def files() -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found += [Path(folder, name) for name in names]
    return found


FILES: Final = files()
PATHS: Final = [f"/{path.relative_to(ROOT).as_posix()}" for path in FILES]
DOCUMENTS: Final = sorted(path for path in FILES if path.suffix == ".md" and path.name not in PAST)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_there(document: Path, named: str) -> bool:
    """From the document's folder, from the top, or as the end of some path."""
    if (document.parent / named).exists() or (ROOT / named).exists():
        return True
    return any(path.endswith(f"/{named}") for path in PATHS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_are_named_are_there(document: Path) -> None:
    named = set(FILE.findall(document.read_text(encoding="utf-8"))) - MADE_UP
    assert sorted(name for name in named if not is_there(document, name)) == []
