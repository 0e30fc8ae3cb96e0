"""Users for a run: accounts and tokens, through the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

PASSWORD: Final = "bench-password"


def tokens(place: list[str], names: list[str], env: dict[str, str]) -> list[str]:
    """Make sure that these users exist in the directory that is at `place`; a token for each.

    `place` are the arguments that name it to a command.
    """
    base = [sys.executable, "-m", "chat4all_actors"]
    subprocess.run(
        [*base, "user", "add", *names, "--password", PASSWORD, *place],
        env=env,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    done = subprocess.run(
        [*base, "token", *names, *place], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.split()
