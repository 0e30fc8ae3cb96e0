"""Whatever crashes when, an endpoint is told everything, in order, under the same ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.webhooks.world import BUSY, OK, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chat4all_actors.webhooks.sending import Outcome
    from tests.webhooks.world import Request

GROUPS = 3
LEASE = 15.0

Step = tuple[str, int]
"""`say` so many in one commit, `read` them, `crash` in so many requests, `fail` some, `wait`."""

steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 4)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 6)),
        st.tuples(st.just("fail"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=12,
)


class Program:
    """What people, receivers and crashes do, one step after the other."""

    def __init__(self) -> None:
        self.world = World(webhook_schedule=[5.0] * 100)
        self.world.receiver.answer = self._answer
        self._post = self.world.receiver.post
        self.world.receiver.post = self.post  # type: ignore[method-assign]
        self.crash_after: int | None = None
        self.failures = 0
        self.crashed = trio.Event()
        self.heads: dict[str, int] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """A request of a node, which may be dead before it hears the answer, or sends more."""
        if self.crashed.is_set():
            await trio.sleep_forever()
        outcome = await self._post(url, headers, body)
        if self.crashed.is_set():
            await trio.sleep_forever()
        return outcome

    def _answer(self, request: Request) -> Outcome:
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self.crashed.set()
                return OK
        if self.failures:
            self.failures -= 1
            return BUSY
        return OK

    async def run(self, program: list[Step]) -> None:
        groups = [await self.world.group("ann", "bob") for _ in range(GROUPS)]
        self.heads = dict.fromkeys(groups, 0)
        service = self.world.service()
        webhook = await self.world.add(service)
        rest = list(enumerate(program))
        while rest:
            rest = await self._life(rest, groups)
            # A node that was killed gives nothing back: its lease ends by itself.
            await self.world.storage.webhooks.claim("killed", lease=LEASE, limit=1)
        self.failures, self.crash_after, self.crashed = 0, None, trio.Event()
        async with self.world.node():
            await trio.sleep(600)
        assert await self.world.storage.webhooks.backlog_count(webhook.id, 10) == 0

    async def _life(
        self, rest: list[tuple[int, Step]], groups: list[str]
    ) -> list[tuple[int, Step]]:
        """A node that serves, until a crash or the end; what is left to do."""
        self.crashed, self.crash_after = trio.Event(), None
        async with trio.open_nursery() as nursery:
            await nursery.start(self.world.service().run)
            while rest:
                number, (what, count) = rest.pop(0)
                group = groups[number % GROUPS]
                if what == "say":
                    await self.world.say(group, "bob", *["hi"] * count)
                    self.heads[group] += count
                elif what == "read" and self.heads[group]:
                    await self.world.reads(group, "ann", self.heads[group])
                elif what == "fail":
                    self.failures = count
                elif what == "wait":
                    await trio.sleep(count)
                elif what == "crash":
                    # In the midst of what is told just now: of all conversations.
                    for each in groups:
                        await self.world.say(each, "bob", "hi", "hi", "hi")
                        self.heads[each] += 3
                    self.crash_after = count
                    with trio.move_on_after(30):
                        await self.crashed.wait()
                    break
            nursery.cancel_scope.cancel()
        return rest


@given(steps)
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_and_each_conversation_keeps_its_order(program: list[Step]) -> None:
    played = Program()
    trio.run(played.run, program, clock=MockClock(autojump_threshold=0))
    receiver = played.world.receiver
    first: dict[str, Request] = {}
    for request in receiver.taken:
        known = first.setdefault(request.id, request)
        assert known.place == request.place  # an id is always of the same event
    for group, head in played.heads.items():
        places = [each.place for each in first.values() if each.conversation == group]
        seqs = [seq for type_, seq in places if type_ == "message.created"]
        assert seqs == list(range(1, head + 1))
        for number, (type_, seq) in enumerate(places):
            if type_ == "message.read":  # nothing is read before it was there
                assert ("message.created", seq) in places[:number]
