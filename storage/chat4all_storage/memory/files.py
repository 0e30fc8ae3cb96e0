"""The catalogue of files in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field, structs

from ..ports.errors import Rejected
from ..ports.files import File, OverQuota, Use
from .log import wall_clock_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ..ports.files import FileState, NewFile, Verdict

OWNED: Final = frozenset({"uploading", "checking", "ready", "quarantined"})
"""States of files that take room of their owner's quota."""
_SHOWN: Final = frozenset({"ready", "quarantined"})


class _Row(Struct):
    """One file, with what only the catalogue knows. Times are milliseconds since the epoch."""

    file: File
    """Its thumbnail is the one that may stand in the store."""
    thumbnail_stands: bool = False
    holder: str | None = None
    """Who checks it, or checked it last."""
    held_until: int = 0
    """Until then its check or its removal is somebody's."""
    looked_at: int = 0
    """When the last look at its uses began."""
    use_noted: bool = False
    """Whether a use was noted since then."""
    unused_since: int | None = None
    uses: dict[Use, int] = field(default_factory=dict)
    """When each was noted (last)."""

    def set(self, **changes: Any) -> None:
        self.file = structs.replace(self.file, **changes)

    def view(self) -> File:
        if self.thumbnail_stands or self.file.state not in _SHOWN:
            return self.file
        return structs.replace(self.file, thumbnail=None)

    def hold(self, holder: str, until: int) -> None:
        self.holder, self.held_until = holder, until

    def usable(self, now: int) -> None:
        """It has become ready, and nobody uses it yet."""
        self.looked_at = self.unused_since = now
        self.use_noted = False


class MemoryFiles:
    """See `Files`."""

    def __init__(
        self,
        clock_ms: Callable[[], int] = wall_clock_ms,
        *,
        note_ready: Callable[[str, str], None] = lambda file, owner: None,
    ) -> None:
        """`note_ready(file, owner)` is called for each file that becomes ready."""
        self._clock_ms = clock_ms
        self._note_ready = note_ready
        self._rows: dict[str, _Row] = {}

    async def add(self, file: NewFile, *, lifetime: float, quota: int, max_uploads: int) -> File:
        """See `Files.add`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(file.id)
        if row is not None:
            if row.file.owner != file.owner:
                raise Rejected("another owner has a file of this id")
            return row.view()
        owned = [each.file for each in self._of(file.owner) if each.file.state in OWNED]
        if quota and sum(each.size for each in owned) + file.size > quota:
            raise OverQuota("the files would take more room than allowed", field="size")
        unfinished = sum(each.state in ("uploading", "checking") for each in owned)
        if max_uploads and unfinished >= max_uploads:
            raise OverQuota("too many uploads are unfinished", field="uploads")
        now = self._clock_ms()
        added = File(
            **structs.asdict(file),
            state="uploading",
            created_at=now,
            expires_at=now + int(lifetime * 1000),
        )
        self._rows[file.id] = _Row(added)
        return added

    async def begun(self, id_: str, upload: str) -> File | None:
        """See `Files.begun`."""
        row = await self._row(id_)
        if row is None:
            return None
        if row.file.state == "uploading" and row.file.upload is None:
            row.set(upload=upload)
        return row.view()

    async def find(self, id_: str) -> File | None:
        """See `Files.find`."""
        row = await self._row(id_)
        return None if row is None else row.view()

    # --- checks -------------------------------------------------------------------------------

    async def begin_check(
        self, id_: str, sha256: bytes, *, holder: str, lease: float
    ) -> tuple[File, bool] | None:
        """See `Files.begin_check`."""
        row = await self._row(id_)
        if row is None:
            return None
        file, now = row.file, self._clock_ms()
        free = file.state == "uploading" or (
            file.state == "checking"
            and file.sha256 == sha256
            and (row.holder == holder or row.held_until <= now)
        )
        if free:
            row.set(state="checking", sha256=sha256)
            row.hold(holder, now + int(lease * 1000))
        return row.view(), free

    async def renew_check(self, id_: str, *, holder: str, lease: float) -> bool:
        """See `Files.renew_check`."""
        row = await self._checked_by(holder, id_)
        if row is None:
            return False
        row.held_until = self._clock_ms() + int(lease * 1000)
        return True

    async def finish(self, id_: str, verdict: Verdict, *, holder: str) -> File | None:
        """See `Files.finish`."""
        row = await self._row(id_)
        if row is None or row.holder != holder:
            return None
        if row.file.state != "checking":
            return row.view() if row.file.state == verdict.state else None
        now = self._clock_ms()
        row.set(
            state=verdict.state,
            reason=verdict.reason,
            mime=verdict.mime or row.file.mime,
            width=verdict.width,
            height=verdict.height,
            thumbnail=verdict.thumbnail or row.file.thumbnail,
            completed_at=now,
        )
        row.thumbnail_stands = verdict.thumbnail is not None
        row.held_until = 0
        row.usable(now)
        if verdict.state == "ready":
            self._note_ready(id_, row.file.owner)
        return row.view()

    async def note_thumbnail(self, id_: str, key: str, *, holder: str) -> bool:
        """See `Files.note_thumbnail`."""
        row = await self._checked_by(holder, id_)
        if row is None:
            return False
        row.set(thumbnail=key)
        return True

    async def lapsed_checks(self, limit: int) -> list[File]:
        """See `Files.lapsed_checks`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        lapsed = [row for row in self._in("checking") if row.held_until <= now]
        return _views(lapsed, limit, lambda row: row.held_until)

    async def unscanned(self, before: int, limit: int) -> list[File]:
        """See `Files.unscanned`."""
        await trio.lowlevel.checkpoint()
        waiting = [
            row
            for row in self._in("quarantined")
            if row.file.reason == "unscanned" and _completed(row) < before
        ]
        return _views(waiting, limit, _completed)

    async def recheck(self, id_: str, *, holder: str, lease: float) -> File | None:
        """See `Files.recheck`."""
        row = await self._row(id_)
        if row is None:
            return None
        if row.file.state == "quarantined":
            row.set(state="checking", reason=None, completed_at=None)
        elif row.file.state != "checking" or row.holder != holder:
            return None
        row.hold(holder, self._clock_ms() + int(lease * 1000))
        return row.view()

    async def release(self, id_: str) -> File | None:
        """See `Files.release`."""
        row = await self._row(id_)
        if row is None or row.file.state != "quarantined":
            return None
        now = self._clock_ms()
        row.set(state="ready", reason=None, completed_at=now)
        row.usable(now)
        self._note_ready(id_, row.file.owner)
        return row.view()

    # --- uses ---------------------------------------------------------------------------------

    async def use(self, id_: str, use: Use, *, owner: str | None) -> File | None:
        """See `Files.use`."""
        row = await self._row(id_)
        if row is None or row.file.state != "ready" or owner not in (None, row.file.owner):
            return None
        row.uses[use] = self._clock_ms()
        row.use_noted, row.unused_since = True, None
        return row.view()

    async def uses(self, id_: str, after: Use | None, limit: int) -> list[Use]:
        """See `Files.uses`."""
        row = await self._row(id_)
        uses = [] if row is None else sorted(row.uses, key=_place)
        return [use for use in uses if after is None or _place(use) > _place(after)][:limit]

    async def drop_uses(self, id_: str, uses: Sequence[Use], *, noted_before: int) -> None:
        """See `Files.drop_uses`."""
        row = await self._row(id_)
        if row is None:
            return
        before = min(noted_before, row.looked_at)
        for use in uses:
            if row.uses.get(use, before) < before:
                del row.uses[use]

    async def claim_unlooked(self, limit: int, *, every: float) -> list[File]:
        """See `Files.claim_unlooked`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        due = [row for row in self._in("ready") if row.looked_at <= now - every * 1000]
        due = sorted(due, key=lambda row: row.looked_at)[:limit]
        for row in due:
            row.looked_at, row.use_noted = now, False
        return [row.view() for row in due]

    async def looked(self, id_: str, *, used: bool, keep: float) -> bool:
        """See `Files.looked`."""
        row = await self._row(id_)
        if row is None or row.file.state != "ready":
            return False
        if used or row.use_noted:
            row.unused_since = None
            return False
        now = self._clock_ms()
        row.unused_since = now if row.unused_since is None else row.unused_since
        if row.unused_since > now - keep * 1000:
            return False
        self._let_go(row)
        return True

    # --- what goes ----------------------------------------------------------------------------

    async def quarantined(self, after: str | None, limit: int) -> list[File]:
        """See `Files.quarantined`."""
        await trio.lowlevel.checkpoint()
        rows = [row for row in self._in("quarantined") if after is None or row.file.id > after]
        return _views(rows, limit, lambda row: row.file.id)

    async def of(self, owner: str, after: str | None, limit: int) -> list[File]:
        """See `Files.of`."""
        await trio.lowlevel.checkpoint()
        rows = [
            row
            for row in self._of(owner)
            if row.file.state != "removing" and (after is None or row.file.id > after)
        ]
        return _views(rows, limit, lambda row: row.file.id)

    async def expire(self, limit: int) -> int:
        """See `Files.expire`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        due = [row for row in self._in("uploading") if row.file.expires_at <= now][:limit]
        for row in due:
            self._let_go(row)
        return len(due)

    async def claim_removals(self, limit: int, lease: float) -> list[File]:
        """See `Files.claim_removals`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        due = [
            row
            for row in self._in("rejected", "removing")
            if row.file.bytes_stand and row.held_until <= now
        ]
        due = sorted(due, key=lambda row: row.held_until)[:limit]
        for row in due:
            row.held_until = now + int(lease * 1000)
        return [row.view() for row in due]

    async def removed(self, id_: str) -> None:
        """See `Files.removed`."""
        row = await self._row(id_)
        if row is None:
            return
        if row.file.state == "removing":
            del self._rows[id_]
        elif row.file.state == "rejected":
            row.set(bytes_stand=False)

    async def forget_rejected(self, keep: float, limit: int) -> int:
        """See `Files.forget_rejected`."""
        await trio.lowlevel.checkpoint()
        before = self._clock_ms() - keep * 1000
        due = [
            row.file.id
            for row in self._in("rejected")
            if not row.file.bytes_stand and _completed(row) <= before
        ][:limit]
        for id_ in due:
            del self._rows[id_]
        return len(due)

    async def remove(self, ids: Collection[str]) -> int:
        """See `Files.remove`."""
        await trio.lowlevel.checkpoint()
        rows = [row for id_ in set(ids) if (row := self._rows.get(id_)) is not None]
        going = [row for row in rows if row.file.state != "removing"]
        for row in going:
            self._let_go(row)
        return len(going)

    async def remove_of(self, owner: str, pseudonym: str) -> None:
        """See `Files.remove_of`."""
        await trio.lowlevel.checkpoint()
        for row in self._of(owner):
            row.set(owner=pseudonym, name="", conversation=None)
            self._let_go(row)

    # --- rows ---------------------------------------------------------------------------------

    async def _row(self, id_: str) -> _Row | None:
        await trio.lowlevel.checkpoint()
        return self._rows.get(id_)

    async def _checked_by(self, holder: str, id_: str) -> _Row | None:
        row = await self._row(id_)
        checked = row is not None and row.file.state == "checking" and row.holder == holder
        return row if checked else None

    def _of(self, owner: str) -> list[_Row]:
        return [row for row in self._rows.values() if row.file.owner == owner]

    def _in(self, *states: FileState) -> list[_Row]:
        return [row for row in self._rows.values() if row.file.state in states]

    def _let_go(self, row: _Row) -> None:
        """A check that somebody holds keeps its hold: until it ends, bytes may still come."""
        if row.file.bytes_stand:
            row.set(state="removing")
        else:
            del self._rows[row.file.id]


def _views(rows: Iterable[_Row], limit: int, key: Callable[[_Row], Any]) -> list[File]:
    return [row.view() for row in sorted(rows, key=key)[:limit]]


def _completed(row: _Row) -> int:
    assert row.file.completed_at is not None  # a check has ended
    return row.file.completed_at


def _place(use: Use) -> tuple[str, str]:
    return use.conversation, use.event
