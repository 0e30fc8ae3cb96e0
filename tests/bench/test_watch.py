"""Memory at its peak."""

from __future__ import annotations

import os

from chat4all_bench.measuring.proc import Known
from chat4all_bench.measuring.watch import Watch

MUCH = 64 * 2**20


def us() -> list[Known]:
    return [Known("server", os.getpid())]


def test_what_is_taken_within_the_block_is_growth() -> None:
    watch = Watch(us)
    with watch:
        much = bytearray(os.urandom(1) * MUCH)
    assert watch.growth > MUCH // 2
    assert len(much) == MUCH


def test_only_processes_of_its_kind_count() -> None:
    watch = Watch(us, "postgres")
    with watch:
        pass
    assert (watch.before, watch.growth) == (0, 0)


def test_begun_anew_it_counts_from_then_on() -> None:
    watch = Watch(us)
    with watch:
        much = bytearray(os.urandom(1) * MUCH)
    watch.begin_anew()
    assert watch.growth == 0
    assert len(much) == MUCH
