"""The server, which kills itself after a chosen step that it takes with files.

    CRASH_POINT=FILE python -m tests.faults.file_crash_points serve ...

FILE names a step of `STEPS`. The next time that the directory or the store has done it, this is the
last thing that happens: whoever asked for it was not told. The file is removed before, so that the
server lives on when it is started again.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chat4all_actors.__main__ import main
from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.postgres.files import PostgresFiles
from chat4all_storage.s3.objects import S3Objects
from tests.faults.mutants import patch

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "CRASH_POINT"
DIRECTORY: Final = (
    *("add", "begun", "begin_check", "note_thumbnail", "finish", "use"),
    *("remove", "claim_removals", "removed"),
)
STORE: Final = ("begin", "join", "put", "remove")
STEPS: Final = (
    # In the order in which the life of a file takes them.
    *("directory add", "store begin", "directory begun"),
    *("directory begin_check", "store join"),
    *("directory note_thumbnail", "store put", "directory finish", "directory use"),
    *("directory remove", "directory claim_removals", "store remove", "directory removed"),
)


def _fatal(owner: type[Any], name: str, step: str, armed: Callable[[str], bool]) -> None:
    done = getattr(owner, name)

    async def fatal(*arguments: Any, **named: Any) -> Any:
        result = await done(*arguments, **named)
        if _something(result) and armed(step):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    patch(owner, name, fatal)


def _something(result: Any) -> bool:
    """Whether the step has done anything: a sweeper that finds nothing to do has not."""
    return result is None or bool(result)


def die_when_told(file: Path) -> None:
    """Look into the file after each step."""

    def armed(step: str) -> bool:
        try:
            if file.read_text() != step:
                return False
            file.unlink()
        except FileNotFoundError:
            return False
        return True

    for name in DIRECTORY:
        _fatal(PostgresFiles, name, f"directory {name}", armed)
    for store in (LocalObjects, S3Objects):
        for name in STORE:
            _fatal(store, name, f"store {name}", armed)


if __name__ == "__main__":
    die_when_told(Path(os.environ[VARIABLE]))
    main()
