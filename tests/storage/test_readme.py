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
        for path in (ROOT / "tests" / folder).glob("test_*.py")
    ]
    defined = set(re.findall(r"def (test_\w+)\(", "\n".join(sources)))
    assert named
    assert named <= defined


def test_every_module_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`(?:chat4all_storage/)?(\w+\.py)`", README))
    assert named
    assert named <= {path.name for path in (ROOT / "storage" / "chat4all_storage").glob("*.py")}
