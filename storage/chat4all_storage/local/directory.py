"""The directory that holds objects and uploads: which file is what, and what is written when.

    objects/ab/KEY                      an object that was joined or put
    uploads/ab/KEY/UPLOAD/about         what was told when the upload began
                          data          one sparse file: each part is written to its place
                          part-N-SIZE   an empty file for each part that stands whole

`ab` follows from the key and spreads the files over 256 directories. A part's mark is made after
its bytes are on the disk, and nothing is answered before the mark is. Several processes and nodes
may work on one directory. Everything here blocks: it runs in threads.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from ..ports.errors import Rejected, Unavailable
from ..ports.objects import NoSuchObject, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MARK: Final = re.compile(r"part-(?P<number>[1-9][0-9]*)-(?P<size>[1-9][0-9]*)")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OURS: Final = 0o600
_JOINED: Final = stat.S_ISVTX
"""In the mode of a file from its join on: who still has it open for a part writes no more.

It means nothing on files otherwise; and one that may not be written could not be joined again.
"""
REMOVAL_TRIES: Final = 10
"""A part that ends just now may leave its mark in a directory that is being removed."""


class About(Struct, frozen=True):
    """What was told when an upload began."""

    part_size: int
    mime: str


class ObjectFile(Struct, frozen=True):
    """An object that is open for reading."""

    fd: int
    size: int


class ObjectDirectory:
    """All objects and uploads under one directory."""

    def __init__(self, root: Path) -> None:
        """Nothing is made on the disk before something is written."""
        self.root = root

    # --- objects

    def open(self, key: str) -> ObjectFile:
        """Open an object; the caller closes its descriptor.

        Raises:
            NoSuchObject: there is none.
            Unavailable: it can't be read.
        """
        with _told(f"object {key}"):
            fd = os.open(self._object(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            return ObjectFile(fd, os.fstat(fd).st_size)

    def put(self, key: str, data: bytes) -> None:
        """Store a small object whole, in place of the former one.

        It is written as an upload first, so that `remove` finds what a crash has left.
        """
        with _told(f"object {key}"):
            directory = self._make_upload(key, secrets.token_urlsafe(16))
            fd = os.open(directory / "data", os.O_RDWR | os.O_CREAT | os.O_EXCL, _OURS)
            try:
                _write_all(fd, memoryview(data), 0)
                os.fchmod(fd, _OURS | _JOINED)
                os.fsync(fd)
                self._appear(directory, key)
            finally:
                os.close(fd)
            self._clean(directory)

    def end_uploads(self, key: str) -> None:
        """Remove all uploads of this key."""
        uploads = self._uploads(key)
        for _ in range(REMOVAL_TRIES):
            try:
                shutil.rmtree(uploads)
            except OSError as error:  # something in it may have come or gone meanwhile
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                    raise _unavailable(error) from error
            if not uploads.exists():
                break
        else:
            raise Unavailable("parts are still being written to what is to be removed")
        with _told(f"uploads of {key}"), suppress(FileNotFoundError):
            _sync(uploads.parent)

    def remove(self, key: str) -> None:
        """Remove the object and all uploads of this key."""
        self.end_uploads(key)
        place = self._object(key)
        with _told(f"object {key}"), suppress(FileNotFoundError):
            place.unlink(missing_ok=True)
            _sync(place.parent)

    # --- uploads

    def begin(self, key: str, about: About) -> str:
        """Begin an upload; its name."""
        name = secrets.token_urlsafe(16)
        with _told(f"upload {name}"):
            directory = self._make_upload(key, name)
            fd = os.open(directory / "about", os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS)
            with open(fd, "wb") as file:
                file.write(msgspec.json.encode(about))
                file.flush()
                os.fsync(fd)
            os.close(os.open(directory / "data", os.O_WRONLY | os.O_CREAT, _OURS))
            _sync(directory)
        return name

    def parts(self, key: str, name: str) -> list[Part]:
        """The parts that stand whole, by number."""
        directory = self._upload(key, name)
        with _told(f"upload {name}"):
            os.stat(directory / "data")  # gone once it was joined
            found = [_MARK.fullmatch(entry) for entry in os.listdir(directory)]
        return sorted(
            (Part(int(mark["number"]), int(mark["size"]), mark[0]) for mark in found if mark),
            key=lambda part: part.number,
        )

    def open_part(self, key: str, name: str, number: int, size: int) -> PartFile:
        """Open an upload for one of its parts; the caller closes it.

        Raises:
            NoSuchObject: there is no such upload (any more).
            Rejected: no part of it can be so large.
        """
        directory = self._upload(key, name)
        with _told(f"upload {name}"):
            about = _about(directory)
            if size > about.part_size:
                raise Rejected(f"a part of this upload has at most {about.part_size} bytes")
            fd = os.open(directory / "data", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        return PartFile(directory, fd, number, size, about)

    def join(self, key: str, name: str, parts: Sequence[Part]) -> None:
        """Make the object of the parts, or find it made."""
        directory, place = self._upload(key, name), self._object(key)
        if not self._stands(place):
            try:
                with _told(f"upload {name}"):
                    self._join(directory, key, parts)
            except NoSuchObject:
                if not self._stands(place):  # made by somebody else at the same time
                    raise
        self._clean(directory)

    def _join(self, directory: Path, key: str, parts: Sequence[Part]) -> None:
        about = _about(directory)
        if not parts or any(part.number != at for at, part in enumerate(parts, 1)):
            raise Rejected("an object is made of the parts 1, 2, 3, …")
        if any(part.size != about.part_size for part in parts[:-1]):
            raise Rejected(f"all parts but the last have {about.part_size} bytes")
        for part in parts:
            os.stat(directory / _mark(part.number, part.size))
        fd = os.open(directory / "data", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # In this order: whoever writes a piece looks at the mode with the lock in hand. So what
            # is checked from here on is what stays, whoever still has an address.
            os.fchmod(fd, _OURS | _JOINED)
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.ftruncate(fd, sum(part.size for part in parts))
            os.fsync(fd)
            self._appear(directory, key)
        finally:
            os.close(fd)

    # --- places

    def _object(self, key: str) -> Path:
        return self.root / "objects" / _spread(key) / key

    def _uploads(self, key: str) -> Path:
        return self.root / "uploads" / _spread(key) / key

    def _upload(self, key: str, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise NoSuchObject("there is no such upload")
        return self._uploads(key) / name

    def _stands(self, place: Path) -> bool:
        with _told("the directory of objects"):
            try:
                os.stat(place)
                _sync(place.parent)  # whoever made it may have died before it did this
            except FileNotFoundError:
                return False
        return True

    def _make_upload(self, key: str, name: str) -> Path:
        directory = self._upload(key, name)
        _make(directory)
        return directory

    def _appear(self, directory: Path, key: str) -> None:
        place = self._object(key)
        _make(place.parent)
        os.rename(directory / "data", place)
        _sync(place.parent)

    def _clean(self, directory: Path) -> None:
        """Remove what an upload leaves behind, which nobody needs: `remove` does it too."""
        try:
            shutil.rmtree(directory)
            os.rmdir(directory.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.debug("the remains of an upload stay for now: %s", error.strerror)


class PartFile:
    """One part that is being written to its place."""

    def __init__(self, directory: Path, fd: int, number: int, size: int, about: About) -> None:
        """Takes over `fd`."""
        self._directory = directory
        self._fd = fd
        self._number = number
        self._size = size
        self._start = (number - 1) * about.part_size
        self.mime = about.mime
        """What the uploader says that the whole is."""

    def write(self, data: memoryview, at: int) -> None:
        """Write a piece, `at` so many bytes from the part's beginning.

        A part that stands whole may be written again: a client does not know whether its first try
        has come. While its bytes are the same it stays what it is, however far the second try
        comes; other bytes are found when the whole is checked.

        Raises:
            NoSuchObject: the upload is over.
            Unavailable: the disk does not take it.
        """
        with _told("the upload"):
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            try:
                if os.fstat(self._fd).st_mode & _JOINED:
                    raise NoSuchObject("the upload is over")
                _write_all(self._fd, data, self._start + at)
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def finish(self) -> str:
        """The part is whole: returns its tag once that stands."""
        mark = _mark(self._number, self._size)
        with _told("the upload"):
            os.fdatasync(self._fd)
            os.close(os.open(self._directory / mark, os.O_WRONLY | os.O_CREAT, _OURS))
            for other in os.listdir(self._directory):
                if other.startswith(f"part-{self._number}-") and other != mark:
                    (self._directory / other).unlink(missing_ok=True)
            _sync(self._directory)
        return mark

    def close(self) -> None:
        """Close the file; without `finish` the part counts for nothing."""
        os.close(self._fd)


def _spread(key: str) -> str:
    """The directory of a key.

    Raises:
        NoSuchObject: it is no key: no path is made of it.
    """
    if _NAME.fullmatch(key) is None:
        raise NoSuchObject("there is no such object")
    return hashlib.blake2b(key.encode(), digest_size=1).hexdigest()


def _about(directory: Path) -> About:
    return msgspec.json.decode((directory / "about").read_bytes(), type=About)


def _mark(number: int, size: int) -> str:
    return f"part-{number}-{size}"


def _make(directory: Path) -> None:
    """Make a directory and those above it, so that they stand: for us alone."""
    missing = [directory, *directory.parents]
    missing = missing[: next(at for at, path in enumerate(missing) if path.is_dir())]
    for path in reversed(missing):
        with suppress(FileExistsError):  # somebody else was faster
            os.mkdir(path, 0o700)
        _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the system says, in the port's words."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{what} is not there") from error
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> Unavailable:
    if error.errno in _FULL:
        return Unavailable("the disk for files is full")
    return Unavailable(f"the directory for files can't be used: {error.strerror}")
