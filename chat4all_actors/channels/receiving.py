"""Works on what came in through one account, while it is held.

Chats are worked on side by side, each in the order in which things came. What fails is tried again
after a while, and keeps its chat waiting; at last it is put aside for operators. A store that is
away makes everything wait, and counts for nothing.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import msgspec
import trio
from msgspec import Struct

from chat4all_connectors.errors import Misconfigured, SendError, Throttled
from chat4all_connectors.incoming import AccountNotice, ChatMoved, Receipt
from chat4all_storage.ports.errors import StorageError

from .arrivals import TooEarly
from .inbound import read
from .placing import Unworkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from chat4all_connectors.incoming import Event
    from chat4all_storage.ports.channel_accounts import ChannelAccounts, Pending

    from .arrivals import Arrivals
    from .receipts import Receipts

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
LIMIT: Final = 200
"""Events that are read at once."""
PAGES: Final = 10
"""So many times, at most, in one look."""
STORE_RETRY: Final = 1 * SECONDS
DELAYS: Final = (1 * SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS)
"""Before what failed is tried again: the last one for all further tries."""
FILE_PAUSE: Final = 15 * SECONDS
"""Until it is asked again for a file, after the provider wanted to be left alone."""
EARLY_LOOK: Final = 0.5 * SECONDS
"""Until it is looked again for what something is about."""
EARLY_PATIENCE: Final = 10 * SECONDS
"""So long it may come yet."""

_Row: TypeAlias = "tuple[Pending, Event]"
_ReceiptRow: TypeAlias = "tuple[Pending, Receipt]"


class ReceivingStatistics(Struct, frozen=True):
    """What was done since this holding began."""

    worked: int
    failed: int
    """Tries."""
    put_aside: int


class _Waiting(Struct):
    """Something that is looked at again."""

    since: float
    until: float
    calls: frozenset[str] = frozenset()
    """Chats to which calls were under way when it came."""


class Receiving:
    """Of one account and one holder."""

    def __init__(
        self,
        account: str,
        holder: str,
        *,
        # What is done
        accounts: ChannelAccounts,
        arrivals: Arrivals,
        receipts: Receipts,
        under_way: Callable[[], Collection[str]],
        # When
        tries: int,
        at_once: int,
        interval: float,
    ) -> None:
        """For a holder.

        Args:
            under_way: the chats to which something is being sent.
            tries: so often something may fail until it is put aside.
            at_once: chats that are worked on at a time.
            interval: seconds between looks without a nudge: what other nodes have received, too.
        """
        self._account = account
        self._holder = holder
        self._accounts = accounts
        self._arrivals = arrivals
        self._receipts = receipts
        self._under_way = under_way
        self._tries = tries
        self._at_once = at_once
        self._interval = interval
        self._busy: set[str] = set()
        """Chats that are worked on."""
        self._later: dict[str, float] = {}
        """Chats that wait, and until when."""
        self._waiting: dict[int, _Waiting] = {}
        """Events that wait for what they are about."""
        self._begun: set[int] = set()
        """Events whose first try has not come to its end."""
        self._former: int | None = None
        """Events up to this one may have been worked on by a former holder; None: all of them."""
        self._wake = trio.Event()
        self._worked = self._failed = self._put_aside = 0

    def nudge(self) -> None:
        """There may be something new."""
        self._wake.set()

    def statistics(self) -> ReceivingStatistics:
        """The figures of this moment."""
        return ReceivingStatistics(self._worked, self._failed, self._put_aside)

    async def run(self) -> NoReturn:
        """Work until cancelled; what is under way is broken off then, and done again."""
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()  # before looking, so that nothing is missed
                try:
                    wait = await self._look(nursery)
                except StorageError as error:
                    logger.warning("account %s waits for its store: %s", self._account, error)
                    wait = STORE_RETRY
                with trio.move_on_after(wait):
                    await self._wake.wait()

    async def _look(self, nursery: trio.Nursery) -> float:
        """Begin what can be begun; seconds until it is to be looked again."""
        receipts: list[_ReceiptRow] = []
        chats: dict[str, list[_Row]] = {}
        moved, after, seen = list[int](), 0, set[int]()
        for _ in range(PAGES):  # beyond those that are worked on, or wait
            worked_on = frozenset(self._busy)  # what is read of these may be done by then
            rows = await self._accounts.pending(self._account, LIMIT, after)
            for row in rows:
                seen.add(row.id)
                event = await self._read(row)
                if isinstance(event, Receipt):
                    receipts.append((row, event))
                elif isinstance(event, ChatMoved):  # before what comes from where it is now
                    await self._try(row, event, moved)
                elif event is not None:
                    self._sort(row, event, worked_on, chats)
            after = rows[-1].id if rows else after
            if len(rows) < LIMIT:
                self._saw_all(seen, after)
                break
            if len(self._busy) + len(chats) >= self._at_once:
                break
        await self._finish(moved)
        await self._take_receipts(receipts)
        for chat, several in chats.items():
            self._busy.add(chat)
            self._later.pop(chat, None)
            nursery.start_soon(self._work, chat, several)
        now = trio.current_time()
        # What is over and was not begun just now waits for its chat, whose end looks again.
        times = (*self._later.values(), *(each.until for each in self._waiting.values()))
        return min(self._interval, min((at - now for at in times if at > now), default=math.inf))

    def _saw_all(self, seen: set[int], last: int) -> None:
        if self._former is None:
            self._former = last
        if not self._busy:
            self._begun &= seen
            self._waiting = {id_: each for id_, each in self._waiting.items() if id_ in seen}
        now = trio.current_time()
        self._later = {chat: until for chat, until in self._later.items() if until > now}

    async def _read(self, row: Pending) -> Event | None:
        try:
            return read(row.body)
        except msgspec.DecodeError as error:
            # Another version's, after going back to an older one.
            await self._set_aside(row, f"it can't be read by this version: {error}")
            return None

    def _sort(
        self,
        row: Pending,
        event: Event,
        worked_on: Collection[str],
        chats: dict[str, list[_Row]],
    ) -> None:
        chat, now = _chat(event), trio.current_time()
        if chat in worked_on or chat in self._busy or self._later.get(chat, 0.0) > now:
            return
        if chat in chats or len(self._busy) + len(chats) < self._at_once:
            waiting = self._waiting.get(row.id)
            if waiting is None or waiting.until <= now:
                chats.setdefault(chat, []).append((row, event))

    # --- receipts

    async def _take_receipts(self, receipts: Sequence[_ReceiptRow]) -> None:
        """All of them together, as no order is needed.

        One may tell of a message whose call has not returned: it is not known by its id before. So
        those that came while something was sent to their chat are taken once more after that.
        """
        now, calls = trio.current_time(), frozenset(self._under_way())
        due: list[_ReceiptRow] = []
        done: list[int] = []
        for row, receipt in receipts:
            waiting = self._waiting.get(row.id)
            if waiting is None:
                mine = calls if receipt.chat is None else calls & {receipt.chat}
                if receipt.reference is None and mine:
                    until = now + EARLY_LOOK
                    self._waiting[row.id] = _Waiting(now, until, frozenset(mine))
                else:
                    done.append(row.id)
            elif waiting.until > now:
                continue
            elif waiting.calls & calls and now < waiting.since + EARLY_PATIENCE:
                waiting.until = now + EARLY_LOOK
                continue
            else:
                done.append(row.id)
            due.append((row, receipt))
        try:
            if due:
                await self._receipts.take([receipt for _, receipt in due])
        except StorageError:
            raise
        except Exception:  # a defect: the one at fault is found, and the others go on
            logger.exception("account %s: receipts failed", self._account)
            bad = [row.id for row, receipt in due if not await self._takes(row, receipt)]
            done = [id_ for id_ in done if id_ not in bad]
        await self._finish(done)

    async def _takes(self, row: Pending, receipt: Receipt) -> bool:
        try:
            await self._receipts.take([receipt])
        except StorageError:
            raise
        except Exception as error:
            await self._set_aside(row, f"the server failed: {type(error).__name__}")
            return False
        return True

    # --- everything else

    async def _work(self, chat: str, rows: Sequence[_Row]) -> None:
        done: list[int] = []
        try:
            for row, event in rows:
                if not await self._try(row, event, done):
                    break
            await self._finish(done)
        except StorageError as error:
            logger.warning("account %s waits for its store: %s", self._account, error)
            self._later[chat] = trio.current_time() + STORE_RETRY
        finally:
            self._busy.discard(chat)
            self.nudge()

    async def _try(self, row: Pending, event: Event, done: list[int]) -> bool:
        """Work on one event; whether the next of its chat may follow."""
        former = self._former is None or row.id <= self._former
        again = former or row.id in self._begun
        self._begun.add(row.id)
        try:
            await self._arrivals.take(event, again=again, last=row.attempts + 1 >= self._tries)
        except TooEarly as early:
            if self._may_come(row):
                return True
            logger.info("account %s: %s is left out: %s", self._account, _kind(event), early)
        except Unworkable as error:
            await self._set_aside(row, str(error))
            return True
        except StorageError:
            raise
        except (Misconfigured, Throttled) as error:  # files are to be had again when that is over
            logger.info("account %s: a file has to wait: %s", self._account, error.message)
            self._later[_chat(event)] = trio.current_time() + FILE_PAUSE
            return False
        except SendError as error:
            return await self._later_on(row, event, f"{type(error).__name__}: {error.message}")
        except Exception as error:  # a defect: the one event fails, and the log has it
            logger.exception("account %s: %s failed", self._account, _kind(event))
            return await self._later_on(row, event, f"the server failed: {type(error).__name__}")
        self._waiting.pop(row.id, None)
        done.append(row.id)
        return True

    def _may_come(self, row: Pending) -> bool:
        """Whether it is still to be waited for what an event is about."""
        now = trio.current_time()
        waiting = self._waiting.setdefault(row.id, _Waiting(now, now))
        waiting.until = now + EARLY_LOOK
        return now < waiting.since + EARLY_PATIENCE

    async def _later_on(self, row: Pending, event: Event, reason: str) -> bool:
        """Note that it failed; whether it was given up."""
        self._failed += 1
        if row.attempts + 1 >= self._tries:
            await self._set_aside(row, reason)
            return True
        await self._accounts.failed(self._account, self._holder, row.id)
        delay = DELAYS[min(row.attempts, len(DELAYS) - 1)]
        self._later[_chat(event)] = trio.current_time() + delay
        return False

    async def _set_aside(self, row: Pending, reason: str) -> None:
        logger.warning("account %s: something is put aside: %s", self._account, reason)
        await self._accounts.put_aside(self._account, self._holder, row.id, reason)
        self._forget([row.id])
        self._put_aside += 1

    async def _finish(self, ids: Sequence[int]) -> None:
        if ids:
            await self._accounts.worked(self._account, self._holder, ids)
            self._forget(ids)
            self._worked += len(ids)

    def _forget(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._begun.discard(id_)
            self._waiting.pop(id_, None)


def _chat(event: Event) -> str:
    return "" if isinstance(event, AccountNotice) else event.chat or ""


def _kind(event: Event) -> str:
    return type(event).__name__
