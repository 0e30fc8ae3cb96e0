from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_the_pages_about_the_sdk_are_built_without_a_warning(tmp_path: Path) -> None:
    packages = ["chat4all_client", "chat4all_protocol"]
    command = ["-W", "error", "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path)]
    built = subprocess.run(
        [sys.executable, *command, *packages], capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stderr) == (0, "")
    assert "open_client" in (tmp_path / "chat4all_client.html").read_text()
