from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from chat4all_client.part_file import Note, PartFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> PartFile:
    return PartFile(tmp_path / "plan.pdf")


def note(size: int = 25, checksum: str = "c") -> Note:
    return Note("f1", size, checksum, 10)


def names(place: PartFile) -> list[str]:
    return sorted(path.name for path in place.path.parent.iterdir())


def test_a_note_tells_which_pieces_are_missing_and_where_they_belong() -> None:
    it = note()
    it.whole.append(1)
    assert it.missing() == [0, 2]
    assert [it.place(piece) for piece in range(3)] == [(0, 10), (10, 20), (20, 25)]


def test_what_was_noted_is_found_again(place: PartFile) -> None:
    it = note()
    place.begin(it)
    it.whole.append(2)
    it.etag = '"e"'
    place.keep(it)
    assert PartFile(place.path).note() == it


def test_a_note_without_its_bytes_is_none(place: PartFile) -> None:
    assert place.note() is None
    place.begin(note())
    place.part.write_bytes(b"short")
    assert place.note() is None
    place.part.unlink()
    assert place.note() is None


def test_bytes_are_written_to_their_places_in_any_order_and_hashed(place: PartFile) -> None:
    place.begin(note(6))
    place.write(3, b"def")
    place.write(0, bytearray(b"abc"))
    digest = hashlib.sha256()
    place.hash(digest, 0, 2)
    place.hash(digest, 2, 6)
    assert digest.digest() == hashlib.sha256(b"abcdef").digest()


def test_a_part_that_was_cut_is_told_of(place: PartFile) -> None:
    place.begin(note(6))
    place.part.write_bytes(b"abc")
    with pytest.raises(EOFError):
        place.hash(hashlib.sha256(), 0, 6)


def test_another_file_begins_anew(place: PartFile) -> None:
    place.begin(note(6))
    place.write(0, b"abcdef")
    place.begin(note(6, "other"))
    assert place.part.read_bytes() == bytes(6)
    assert place.note() == note(6, "other")


def test_nobody_can_lead_the_bytes_elsewhere_by_a_link(place: PartFile, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    place.part.symlink_to(target)
    place.begin(note(6))
    place.write(0, b"abcdef")
    assert target.read_text() == "mine"


def test_a_name_is_free_when_neither_the_file_nor_a_beginning_has_it(place: PartFile) -> None:
    assert place.is_free()
    place.begin(note())
    assert not place.is_free()
    assert place.path_is_free()
    place.publish()
    assert not place.path_is_free()


def test_a_file_that_is_published_is_all_that_stays(place: PartFile) -> None:
    place.begin(note(6))
    place.publish()
    assert names(place) == ["plan.pdf"]


@pytest.mark.parametrize("links", [True, False])
def test_what_got_the_name_meanwhile_is_not_replaced(
    place: PartFile, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    place.begin(note(6))
    place.path.write_text("mine")
    with pytest.raises(FileExistsError):
        place.publish()
    assert place.path.read_text() == "mine"
    assert place.part.exists()


def test_a_file_system_without_links_will_do(
    place: PartFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", without_links)
    place.begin(note(6))
    place.publish()
    assert names(place) == ["plan.pdf"]


def without_links(*_: object) -> None:
    raise OSError(errno.EPERM, "not here")
