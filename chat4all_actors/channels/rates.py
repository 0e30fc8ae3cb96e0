"""How fast an account may send: all it sends, and what goes to one chat.

Token buckets by the generic cell rate algorithm, as in `limits/gcra.py`: of each it is known when
it is full again. They refuse nothing but say when the next call may be made. One node holds an
account, so its buckets hold for all nodes; one that takes an account over begins with full ones.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from chat4all_connectors.capabilities import Rate
    from chat4all_connectors.errors import Scope

MAX_CHATS: Final = 10_000
SHARE: Final = 16
"""When there is no room for a chat, it is made for a sixteenth of all at once."""


class _Bucket(Struct, gc=False):
    full_at: float = float("-inf")
    held_until: float = float("-inf")

    @property
    def rests_at(self) -> float:
        """From then on it is as a new one."""
        return max(self.full_at, self.held_until)

    def ready_at(self, rate: Rate) -> float:
        return max(self.full_at - (rate.burst - 1) / rate.per_second, self.held_until)

    def take(self, rate: Rate, now: float) -> None:
        self.full_at = max(self.full_at, now) + 1 / rate.per_second


class Rates:
    """Of one account.

    Chats whose buckets are full are forgotten for new ones; if there are none, those that would
    soonest be. What is then sent too early, the provider throttles, and that is held to again.
    """

    def __init__(self, account: Rate, chat: Rate, *, max_chats: int = MAX_CHATS) -> None:
        """By the rates of its `Capabilities`.

        Raises:
            ValueError: at one of them nothing would ever be sent.
        """
        for rate in (account, chat):
            if not (rate.per_second > 0 and rate.burst >= 1):
                raise ValueError("a rate has more than 0 per second, and a burst of 1 at least")
        self._account_rate = account
        self._chat_rate = chat
        self._account = _Bucket()
        self._chats: dict[str, _Bucket] = {}
        self._max_chats = max_chats

    def __len__(self) -> int:
        return len(self._chats)

    def ready_at(self, chat: str, now: float) -> float:
        """When the next call for this chat may be made: `now` or later."""
        ready = max(now, self._account.ready_at(self._account_rate))
        bucket = self._chats.get(chat)
        return ready if bucket is None else max(ready, bucket.ready_at(self._chat_rate))

    def take(self, chat: str, now: float) -> None:
        """Count a call. One that is made before it is ready makes the next ones wait for longer."""
        self._account.take(self._account_rate, now)
        self._bucket(chat, now).take(self._chat_rate, now)

    def hold(self, scope: Scope, chat: str, until: float, now: float) -> None:
        """Send nothing until then, to this chat or at all: so the provider said; never sooner."""
        bucket = self._account if scope == "account" else self._bucket(chat, now)
        bucket.held_until = max(bucket.held_until, until)

    def _bucket(self, chat: str, now: float) -> _Bucket:
        bucket = self._chats.get(chat)
        if bucket is None:
            if len(self._chats) >= self._max_chats:
                self._make_room(now)
            bucket = self._chats[chat] = _Bucket()
        return bucket

    def _make_room(self, now: float) -> None:
        chats = self._chats
        for chat in [chat for chat, bucket in chats.items() if bucket.rests_at <= now]:
            del chats[chat]
        surplus = len(chats) - (self._max_chats - max(1, self._max_chats // SHARE))
        for chat in nsmallest(surplus, chats, key=lambda chat: chats[chat].rests_at):
            del chats[chat]
