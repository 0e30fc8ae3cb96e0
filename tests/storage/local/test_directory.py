"""What stands in the directory of objects after whatever was done, or not done to its end."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_storage.local.directory import REMOVAL_TRIES, About, ObjectDirectory
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.objects import NoSuchObject, Part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chat4all_storage.local.directory import PartFile

ABOUT = About(part_size=4, mime="text/plain")


@pytest.fixture
def directory(tmp_path: Path) -> ObjectDirectory:
    return ObjectDirectory(tmp_path / "files")


def put(directory: ObjectDirectory, name: str, number: int, data: bytes) -> None:
    part = directory.open_part("key", name, number, len(data))
    try:
        part.write(memoryview(data), 0)
        part.finish()
    finally:
        part.close()


def upload(directory: ObjectDirectory, *parts: bytes) -> str:
    name = directory.begin("key", ABOUT)
    for number, data in enumerate(parts, 1):
        put(directory, name, number, data)
    return name


def read(directory: ObjectDirectory) -> bytes:
    file = directory.open("key")
    try:
        return os.pread(file.fd, file.size + 1, 0)
    finally:
        os.close(file.fd)


def join(directory: ObjectDirectory, name: str) -> None:
    directory.join("key", name, directory.parts("key", name))


def files_in(directory: ObjectDirectory) -> list[Path]:
    return [path for path in directory.root.rglob("*") if path.is_file()]


def interrupted(monkeypatch: pytest.MonkeyPatch, name: str, *, at: int = 1) -> None:
    """The process ends when it calls this function of `os` for the `at`th time."""
    real: Callable[..., Any] = getattr(os, name)
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, call)


# --- names


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\0", "a.b", "ä", "a\n", "k" * 129]
)
def test_of_what_is_no_name_no_path_is_made(directory: ObjectDirectory, name: str) -> None:
    begun = directory.begin("key", ABOUT)
    asked: list[Callable[[], object]] = [
        lambda: directory.open(name),
        lambda: directory.put(name, b"x"),
        lambda: directory.remove(name),
        lambda: directory.begin(name, ABOUT),
        lambda: directory.parts(name, begun),
        lambda: directory.parts("key", name),
        lambda: directory.open_part("key", name, 1, 1),
        lambda: directory.join("key", name, [Part(1, 1, "x")]),
    ]
    before = sorted(directory.root.parent.rglob("*"))
    for ask in asked:
        with pytest.raises(NoSuchObject):
            ask()
    assert sorted(directory.root.parent.rglob("*")) == before


def test_nobody_else_on_the_machine_can_read_it(directory: ObjectDirectory) -> None:
    join(directory, upload(directory, b"1234", b"5"))
    upload(directory, b"1234")
    for path in [directory.root, *directory.root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_link_is_not_followed(directory: ObjectDirectory, tmp_path: Path) -> None:
    join(directory, upload(directory, b"1234"))
    (place,) = [path for path in files_in(directory) if path.name == "key"]
    place.unlink()
    (tmp_path / "secret").write_text("secret")
    place.symlink_to(tmp_path / "secret")
    with pytest.raises(Unavailable):
        directory.open("key")


# --- parts


def test_what_was_not_finished_is_no_part(directory: ObjectDirectory) -> None:
    name = directory.begin("key", ABOUT)
    part = directory.open_part("key", name, 1, 4)
    part.write(memoryview(b"1234"), 0)
    part.close()
    assert directory.parts("key", name) == []


def test_a_part_is_told_only_after_its_bytes_are_on_the_disk(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = directory.begin("key", ABOUT)
    interrupted(monkeypatch, "fdatasync")
    with pytest.raises(KeyboardInterrupt):
        put(directory, name, 1, b"1234")
    assert directory.parts("key", name) == []
    put(directory, name, 1, b"5678")
    join(directory, name)
    assert read(directory) == b"5678"


def test_a_part_that_stands_is_not_lost_when_a_second_try_breaks_off(
    directory: ObjectDirectory,
) -> None:
    name = upload(directory, b"1234", b"56")
    again = directory.open_part("key", name, 1, 4)
    again.write(memoryview(b"12"), 0)
    again.close()
    join(directory, name)
    assert read(directory) == b"123456"


def test_the_last_size_of_a_part_counts(directory: ObjectDirectory) -> None:
    name = upload(directory, b"1234", b"567", b"1")
    put(directory, name, 2, b"89")
    assert [(part.number, part.size) for part in directory.parts("key", name)] == [
        (1, 4),
        (2, 2),
        (3, 1),
    ]


def test_a_part_is_no_larger_than_was_told(directory: ObjectDirectory) -> None:
    name = directory.begin("key", ABOUT)
    with pytest.raises(Rejected, match="4 bytes"):
        directory.open_part("key", name, 1, 5)


def test_the_type_that_was_told_is_known_to_every_part(directory: ObjectDirectory) -> None:
    name = directory.begin("key", ABOUT)
    part = directory.open_part("key", name, 2, 1)
    assert part.mime == "text/plain"
    part.close()


# --- joining


def test_a_join_copies_nothing(directory: ObjectDirectory) -> None:
    name = upload(directory, b"1234", b"56")
    (data,) = [path for path in files_in(directory) if path.name == "data"]
    number = data.stat().st_ino
    join(directory, name)
    (only,) = files_in(directory)
    assert only.stat().st_ino == number


def test_what_lies_behind_the_last_part_is_cut_off(directory: ObjectDirectory) -> None:
    name = upload(directory, b"1234", b"5678", b"9")
    directory.join("key", name, directory.parts("key", name)[:2])
    assert read(directory) == b"12345678"


def test_only_parts_that_fit_together_are_joined(directory: ObjectDirectory) -> None:
    name = upload(directory, b"1234", b"56", b"7")
    one, two, three = directory.parts("key", name)
    for parts in ([], [one, three], [two, one], [one, two, three]):
        with pytest.raises(Rejected):
            directory.join("key", name, parts)
    directory.join("key", name, [one, two])
    assert read(directory) == b"123456"


def writing_late(directory: ObjectDirectory, name: str) -> PartFile:
    late = directory.open_part("key", name, 1, 4)
    late.write(memoryview(b"good"), 0)
    late.finish()
    return late


def test_who_still_has_a_part_open_changes_nothing_after_the_join(
    directory: ObjectDirectory,
) -> None:
    name = directory.begin("key", ABOUT)
    late = writing_late(directory, name)
    join(directory, name)
    with pytest.raises(NoSuchObject):
        late.write(memoryview(b"evil"), 0)
    with pytest.raises(NoSuchObject):
        late.finish()
    late.close()
    assert read(directory) == b"good"


@pytest.mark.parametrize(
    ("function", "at"), [("ftruncate", 1), ("rename", 1), ("rmdir", 1), ("unlink", 1)]
)
def test_a_join_that_was_broken_off_is_repeated(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch, function: str, at: int
) -> None:
    name = directory.begin("key", ABOUT)
    late = writing_late(directory, name)
    parts = directory.parts("key", name)
    with monkeypatch.context() as patch:
        interrupted(patch, function, at=at)
        with pytest.raises(KeyboardInterrupt):
            directory.join("key", name, parts)
    # What was begun to be joined is not written any more, even if the join did not come far.
    with pytest.raises(NoSuchObject):
        late.write(memoryview(b"evil"), 0)
    late.close()
    directory.join("key", name, parts)
    assert read(directory) == b"good"
    assert [path.name for path in files_in(directory)] == ["key"]


def test_two_may_join_at_the_same_time(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = upload(directory, b"1234")
    parts = directory.parts("key", name)
    other, real = ObjectDirectory(directory.root), os.rename

    def rename(*arguments: Any) -> None:
        monkeypatch.setattr(os, "rename", real)
        # Another process is faster, as its lock is that of another descriptor.
        real(*arguments)
        shutil.rmtree(arguments[0].parent)
        other.join("key", name, parts)
        real(*arguments)

    monkeypatch.setattr(os, "rename", rename)
    directory.join("key", name, parts)
    assert read(directory) == b"1234"


# --- removal


def test_nothing_is_left_of_what_was_removed(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(directory, upload(directory, b"1234"))
    upload(directory, b"1234", b"5")
    with monkeypatch.context() as patch:
        interrupted(patch, "rename")
        with pytest.raises(KeyboardInterrupt):
            directory.put("key", b"small")
    directory.remove("key")
    assert files_in(directory) == []


def test_a_part_that_ends_meanwhile_does_not_stop_a_removal(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = upload(directory, b"1234")
    late = directory.open_part("key", name, 2, 1)
    tries, real = 0, shutil.rmtree

    def rmtree(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < REMOVAL_TRIES:
            raise OSError(errno.ENOTEMPTY, "not empty")
        real(*arguments)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    directory.remove("key")
    assert files_in(directory) == []
    with pytest.raises(NoSuchObject):
        late.finish()
    late.close()
    assert files_in(directory) == []


def test_a_removal_that_can_not_be_finished_says_so(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(directory, b"1234")
    for code in (errno.ENOTEMPTY, errno.EIO):

        def rmtree(*_: Any, code: int = code) -> None:
            raise OSError(code, "no")

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", rmtree)
            with pytest.raises(Unavailable):
                directory.remove("key")
    directory.remove("key")
    assert files_in(directory) == []


# --- a disk that does not do what it should


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_is_no_part(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    name = upload(directory, b"1234")

    def full(*_: Any) -> int:
        raise OSError(code, "full")

    for function in ("pwrite", "fdatasync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(Unavailable, match="full"):
                put(directory, name, 2, b"56")
        assert [part.number for part in directory.parts("key", name)] == [1]
    put(directory, name, 2, b"56")
    join(directory, name)
    assert read(directory) == b"123456"


def test_no_descriptor_is_left_open_when_the_disk_fails(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    name = upload(directory, b"1234")
    parts = directory.parts("key", name)
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        for ask in (
            lambda: put(directory, name, 2, b"5"),
            lambda: directory.put("key", b"small"),
            lambda: directory.begin("key", ABOUT),
            lambda: directory.join("key", name, parts),
        ):
            with pytest.raises(Unavailable):
                ask()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_write_that_takes_less_than_it_was_given_goes_on(
    directory: ObjectDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:1], at))
    join(directory, upload(directory, b"1234", b"56"))
    assert read(directory) == b"123456"
