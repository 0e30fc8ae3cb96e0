"""Files up and down in turns: straight to the store, through the server, and the other way round.

A turn is as many files as go at once. What the machine does meanwhile it does to both ways, and
each goes first in every other turn. Readings come from the disk: what was just written is put out
of the kernel's cache before.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct, field

from ..measuring.meter import Meter
from ..running.measured import Measured
from .connections import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..measuring.proc import Known
    from ..measuring.watch import Watch
    from .content import Content
    from .straight import Straight
    from .transfers import Transfers

T = TypeVar("T")
MIB: Final = 2**20


class File(Struct, frozen=True):
    """One that is to go up and come back."""

    name: str
    content: Content
    sha256: bytes


class Way(Struct):
    """What went one way in all turns."""

    size: int = 0
    """Bytes of files that went whole."""
    measured: Measured = field(default_factory=Measured)
    generator_seconds: float = 0.0
    """Processor time of this process."""

    @property
    def rate(self) -> float:
        """MiB a second."""
        return self.size / MIB / max(self.measured.seconds, 1e-9)

    @property
    def busy(self) -> float:
        """Cores that this process used."""
        return self.generator_seconds / max(self.measured.seconds, 1e-9)


class Turns:
    """See the module's docstring."""

    def __init__(
        self,
        transfers: Transfers,
        straight: Straight | None,
        processes: Callable[[], list[Known]],
        watch: Watch,
    ) -> None:
        self._transfers = transfers
        self._straight = straight
        self._processes = processes
        self._watch = watch
        self._lock = threading.Lock()
        self.up, self.down = Way(), Way()
        self.straight_up, self.straight_down = Way(), Way()
        self.parts_seconds = 0.0
        """Of `up`, while parts were under way."""
        self.good = 0
        """Files that came back as they were."""
        self.errors: dict[str, int] = {}

    def turn(self, files: Sequence[File], *, server_first: bool) -> None:
        """Let these files go up at once and come back, both ways.

        Raises:
            NotServed: the server has no files.
        """
        ids: list[str | None] = []
        chunk = self._transfers.chunk_size

        def through() -> None:
            ids[:] = self._measured(self.up, files, self._upload)
            self.parts_seconds += self._transfers.take_parts_seconds()

        def back() -> None:
            known = {file.name: id_ for file, id_ in zip(files, ids, strict=True) if id_}
            these = [file for file in files if file.name in known]
            self._measured(self.down, these, lambda file: self._download(file, known[file.name]))

        straight = self._straight
        if straight is None:
            through()
            back()
            return

        def straight_in() -> None:
            self._alone(self.straight_up, files, lambda f: straight.put(f.name, f.content, chunk))

        def straight_out() -> None:
            self._alone(
                self.straight_down, files, lambda file: _same(file, straight.get(file.name))
            )

        for pair in ([straight_in, through], [straight_out, back]):
            for each in reversed(pair) if server_first else pair:
                straight.forget_cached()
                each()
        for file in files:
            straight.remove(file.name)

    def _upload(self, file: File) -> str:
        return self._transfers.upload(file.name, file.content, file.sha256)

    def _download(self, file: File, id_: str) -> None:
        _same(file, self._transfers.download(id_))
        with self._lock:
            self.good += 1

    def _measured(self, way: Way, files: Sequence[File], do: Callable[[File], T]) -> list[T | None]:
        """Go the server's way, with its processor time and memory looked at."""
        meter = Meter(self._processes)
        with self._watch:
            done = self._alone(way, files, do)
        way.measured.add(Measured(spent=meter.spent()))
        return done

    def _alone(self, way: Way, files: Sequence[File], do: Callable[[File], T]) -> list[T | None]:
        """Let all files go at once; None for those that did not."""
        if not files:
            return []

        def one(file: File) -> T | None:
            try:
                done = do(file)
            except Failed as failed:
                with self._lock:
                    self.errors[str(failed)] = self.errors.get(str(failed), 0) + 1
                return None
            with self._lock:
                way.size += file.content.size
            return done

        cpu, began = time.process_time(), time.monotonic()
        with ThreadPoolExecutor(len(files)) as threads:
            done = list(threads.map(one, files))
        way.measured.add(Measured(seconds=time.monotonic() - began))
        way.generator_seconds += time.process_time() - cpu
        return done


def _same(file: File, came: tuple[bytes, int]) -> None:
    if came != (file.sha256, file.content.size):
        raise Failed("what was downloaded differs from what was uploaded")
