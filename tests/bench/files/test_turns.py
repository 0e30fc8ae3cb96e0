"""Turns: who goes first, what is counted, and what a file that comes back otherwise is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chat4all_bench.files.connections import Failed
from chat4all_bench.files.content import Content
from chat4all_bench.files.turns import MIB, File, Turns
from chat4all_bench.measuring.watch import Watch

if TYPE_CHECKING:
    from chat4all_bench.files.transfers import Transfers


class Store:
    """The server and the store at once; notes what is asked of it."""

    chunk_size = 8

    def __init__(self) -> None:
        self.said: list[str] = []
        self.spoilt = self.broken = ""

    def upload(self, name: str, content: Content, sha256: bytes) -> str:
        self.said.append("up")
        if name == self.broken:
            raise Failed("broken")
        return name

    def download(self, file_id: str) -> tuple[bytes, int]:
        self.said.append("down")
        return self._hash(file_id), MIB

    def put(self, name: str, content: Content, chunk_size: int) -> None:
        self.said.append("straight up")

    def get(self, name: str) -> tuple[bytes, int]:
        self.said.append("straight down")
        return files()[int(name)].sha256, MIB

    def take_parts_seconds(self) -> float:
        return 0.5

    def remove(self, name: str) -> None: ...

    def forget_cached(self) -> None: ...

    def close(self) -> None: ...

    def _hash(self, name: str) -> bytes:
        return b"" if name == self.spoilt else files()[int(name)].sha256


def files(count: int = 2) -> list[File]:
    contents = [Content(number, MIB) for number in range(count)]
    return [File(str(n), content, content.digest()) for n, content in enumerate(contents)]


def turns_of(store: Store, *, straight: bool = True) -> Turns:
    return Turns(cast("Transfers", store), store if straight else None, list, Watch(processes=list))


def test_each_way_goes_first_in_every_other_turn() -> None:
    store = Store()
    turns = turns_of(store)
    turns.turn(files(1), server_first=False)
    assert store.said == ["straight up", "up", "straight down", "down"]
    store.said.clear()
    turns.turn(files(1), server_first=True)
    assert store.said == ["up", "straight up", "down", "straight down"]


def test_what_went_whole_is_counted_by_way() -> None:
    turns = turns_of(Store())
    turns.turn(files(), server_first=False)
    ways = (turns.up, turns.down, turns.straight_up, turns.straight_down)
    assert [way.size for way in ways] == [2 * MIB] * 4
    assert all(way.measured.seconds > 0 and way.rate > 0 for way in ways)
    assert (turns.good, turns.parts_seconds) == (2, 0.5)


def test_without_a_store_files_go_through_the_server_alone() -> None:
    store = Store()
    turns = turns_of(store, straight=False)
    turns.turn(files(1), server_first=False)
    assert store.said == ["up", "down"]
    assert turns.straight_up.size == 0


def test_a_file_that_did_not_go_up_is_not_fetched() -> None:
    store = Store()
    store.broken = "1"
    turns = turns_of(store)
    turns.turn(files(), server_first=False)
    assert store.said.count("down") == 1
    assert (turns.good, turns.up.size, turns.errors) == (1, MIB, {"broken": 1})


def test_a_file_that_comes_back_altered_is_not_good() -> None:
    store = Store()
    store.spoilt = "0"
    turns = turns_of(store)
    turns.turn(files(), server_first=False)
    assert turns.good == 1
    assert turns.errors == {"what was downloaded differs from what was uploaded": 1}
