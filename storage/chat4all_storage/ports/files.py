"""What the directory knows of files: whose they are, how far they have come, where they are used.

The bytes are in an `ObjectStore`, under a random `key` that says nothing. What is done there is
first told here, so that after a crash at any point the sweeper finds what has to be finished:

    uploading ── begin_check ──▶ checking ── finish ──▶ ready | quarantined | rejected
        └─────────────── expire, unused, erased ───────────────▶ removing ──▶ (forgotten)

`bytes_stand` tells that something may be in the store. What is rejected or removing and still has
it is due for `claim_removals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

from .errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

FileState: TypeAlias = Literal[
    "uploading", "checking", "ready", "quarantined", "rejected", "removing"
]


class OverQuota(StorageError):
    """The user's files would take more room, or more uploads would be unfinished, than allowed."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field
        """`size`, or `uploads`."""


class NewFile(Struct, frozen=True):
    """A file that somebody wants to upload."""

    id: str
    owner: str
    """The user's name, as it was first written."""
    name: str
    """What the user calls it: shown to people, never part of a path."""
    size: int
    """Bytes; at least 1."""
    mime: str
    """What the user says it is."""
    conversation: str | None
    """Where it is meant for, if that was said."""
    key: str
    """Of the object: random, URL-safe."""
    chunk_size: int
    """Bytes of each part but the last."""


class File(NewFile, frozen=True):
    """A file as it stands."""

    state: FileState
    created_at: int
    """Milliseconds since the epoch, as all times here."""
    expires_at: int
    """An upload that is not complete by then is removed."""
    upload: str | None = None
    """The store's name for the upload in parts, once it has begun."""
    sha256: bytes | None = None
    """What the uploader said at completion; of a ready file, the hash of its bytes."""
    reason: str | None = None
    """Why it was rejected or quarantined: a word of `CheckFailure`."""
    width: int | None = None
    """Of an image, in pixels."""
    height: int | None = None
    thumbnail: str | None = None
    """The key of the thumbnail's object; of a file that nobody may use (yet), of what may stand."""
    completed_at: int | None = None
    """When it became ready, quarantined or rejected."""
    bytes_stand: bool = True
    """Whether the store may hold something of it."""

    @property
    def parts(self) -> int:
        """How many parts it is uploaded in; they are numbered from 1."""
        return -(-self.size // self.chunk_size)

    def part_size(self, number: int) -> int:
        """Bytes of this part."""
        return min(self.chunk_size, self.size - (number - 1) * self.chunk_size)


CheckFailure: TypeAlias = Literal[
    "checksum",  # the bytes are not those whose hash was told
    "size",  # the parts have other sizes than agreed
    "type",  # the bytes are of a type that is not allowed, or not of the one that was told
    "infected",  # the scanner found something
    "unscanned",  # the scanner could not be asked: quarantined until it can
    "too_large_to_scan",  # the scanner takes no file of this size: quarantined
]


class Verdict(Struct, frozen=True):
    """What a check has found."""

    state: Literal["ready", "quarantined", "rejected"]
    reason: CheckFailure | None = None
    mime: str | None = None
    """What the bytes are; None: as it was told."""
    width: int | None = None
    height: int | None = None
    thumbnail: str | None = None
    """The key of the thumbnail, which stands in the store by now."""


class Use(Struct, frozen=True):
    """An event that was to carry a file. It was noted before the event: it may never have come."""

    conversation: str
    """Where it was sent: its logical shard is the event's, whatever became of the conversation."""
    event: str
    """The event's id, chosen by the client: another sender's may have the same."""


class Files(Protocol):
    """Part of the directory, which says what holds for all: `Unavailable`, `Rejected`, `InDoubt`.

    *Order.* Of two changes of one file the later sees the earlier. *Atomicity.* Each call is done
    whole or not at all. *Durability.* What returned stands. Every change names the state it starts
    from and does nothing if that has passed; so doing the same again is safe, and of several nodes
    one succeeds.
    """

    async def add(self, file: NewFile, *, lifetime: float, quota: int, max_uploads: int) -> File:
        """Note a file that is going to be uploaded within `lifetime` seconds.

        The same id again by the same owner returns what stands, whatever it is by now.

        Args:
            quota: bytes that all files of an owner may have, those under way included, but not
                what is rejected or removing; 0: any.
            max_uploads: files of an owner that may be `uploading` or `checking`; 0: any.

        Raises:
            OverQuota: nothing was added.
            Rejected: another owner has a file of that id.
        """
        ...

    async def begun(self, id_: str, upload: str) -> File | None:
        """Note the store's name of the upload, unless another was noted first: what stands."""
        ...

    async def find(self, id_: str) -> File | None:
        """The file of this id, in whatever state."""
        ...

    async def begin_check(
        self, id_: str, sha256: bytes, *, holder: str, lease: float
    ) -> tuple[File, bool] | None:
        """Let `holder` check a file that is `uploading`, or whose former check has lapsed.

        Returns the file as it stands, and whether `holder` has it now, for `lease` seconds (again,
        if it had it before); None: there is no such file. A check that was begun keeps its hash:
        one that is told another has to wait for the verdict.
        """
        ...

    async def renew_check(self, id_: str, *, holder: str, lease: float) -> bool:
        """Hold it for `lease` seconds more; False: somebody else does, or it is over."""
        ...

    async def finish(self, id_: str, verdict: Verdict, *, holder: str) -> File | None:
        """Note what the holder's check has found; None: it is not the holder's (any more).

        The same verdict again returns what stands.
        """
        ...

    async def note_thumbnail(self, id_: str, key: str, *, holder: str) -> bool:
        """Note where the holder is going to put a thumbnail, before it does.

        One place is remembered: who checks again puts it where `thumbnail` says, if it does.
        """
        ...

    async def lapsed_checks(self, limit: int) -> list[File]:
        """Files whose check nobody holds any more: to be begun again with the same hash."""
        ...

    async def unscanned(self, before: int, limit: int) -> list[File]:
        """Files that were quarantined before this time only because nobody could scan them."""
        ...

    async def recheck(self, id_: str, *, holder: str, lease: float) -> File | None:
        """Let `holder` check a quarantined file again: it is `checking` then."""
        ...

    async def use(self, id_: str, use: Use, *, owner: str | None) -> File | None:
        """Note that an event is to carry the file, if it is ready (and `owner`'s, if one is given).

        None: it is not, and nothing was noted. The same use again is noted as of now.
        """
        ...

    async def uses(self, id_: str, after: Use | None, limit: int) -> list[Use]:
        """Its uses, in a fixed order from after that one."""
        ...

    async def drop_uses(self, id_: str, uses: Sequence[Use], *, noted_before: int) -> None:
        """Forget uses whose events do not stand (any more), of those noted before this time.

        In any case only of those that were noted before the last look began, by the directory's
        clock. An event may come a while after its use: leave it that time.
        """
        ...

    async def of(self, owner: str, after: str | None, limit: int) -> list[File]:
        """The owner's files but those that are going, by id."""
        ...

    # --- the sweeper's

    async def expire(self, limit: int) -> int:
        """Let uploads whose time is over go: they are `removing`. Returns how many, at most."""
        ...

    async def claim_unlooked(self, limit: int, *, every: float) -> list[File]:
        """Ready files whose uses were not looked at for `every` seconds, for the caller alone."""
        ...

    async def looked(self, id_: str, *, used: bool, keep: float) -> bool:
        """Note what a look has found; True: it has been unused for `keep` seconds, and goes.

        A use that was noted since the look began keeps it.
        """
        ...

    async def claim_removals(self, limit: int, lease: float) -> list[File]:
        """Files whose bytes are to go, for the caller alone for `lease` seconds.

        Not those whose check is still held: the holder may put something.
        """
        ...

    async def removed(self, id_: str) -> None:
        """Its bytes are gone: a `removing` file is forgotten, a `rejected` one keeps its place."""
        ...

    async def forget_rejected(self, keep: float, limit: int) -> int:
        """Forget files that were rejected more than `keep` seconds ago; how many."""
        ...

    async def quarantined(self, after: str | None, limit: int) -> list[File]:
        """Files in quarantine, whoever's, by id."""
        ...

    async def release(self, id_: str) -> File | None:
        """An operator lets a quarantined file be used."""
        ...

    async def remove(self, ids: Collection[str]) -> int:
        """These go, whatever they are; how many did not go before.

        One of which nothing is in the store is forgotten at once.
        """
        ...

    async def remove_of(self, owner: str, pseudonym: str) -> None:
        """All files of a user who is erased go, and no name of them or of the user stays.

        Done in portions: after an error it is to be repeated.
        """
        ...
