"""Parts of a file at once and in no order, by whichever way they go; and a file that comes back."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .content import PIECE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")
    R = TypeVar("R")


def mixed(parts: Sequence[T], put: Callable[[T], R], *, at_once: int) -> list[R]:
    """Put the parts in an order that only their number decides; what `put` returned, in theirs.

    Raises:
        Exception: what `put` raised first; parts that wait are not put then.
    """
    order = random.Random(len(parts)).sample(range(len(parts)), len(parts))
    with ThreadPoolExecutor(min(at_once, max(1, len(parts)))) as threads:
        under_way = {number: threads.submit(put, parts[number]) for number in order}
        try:
            return [under_way[number].result() for number in range(len(parts))]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def digest(read_into: Callable[[memoryview], int]) -> tuple[bytes, int]:
    """SHA-256 and size of what is read piece by piece, until there is no more."""
    whole, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(PIECE))
    while count := read_into(buffer):
        whole.update(buffer[:count])
        size += count
    return whole.digest(), size
