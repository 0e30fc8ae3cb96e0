from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "storage" / "README.md").read_text(encoding="utf-8")


def test_every_test_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", README))
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("storage", "property")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
    ]
    defined = set(re.findall(r"def (test_\w+)\(", "\n".join(sources)))
    assert named
    assert named <= defined


def test_every_module_and_folder_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?!tests/|chat4all_|migrations)[\w/]+(?:\.py|/))`", README))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "storage/chat4all_storage" / name).exists()] == []
