from __future__ import annotations

import pytest
import trio

from chat4all_actors.kernel import RestartBudgetExceeded
from chat4all_protocol.frames import Conv, Create, Send, Sent, TextBody
from chat4all_protocol.ids import new_id

from .harness import memory_with_users, person, running_node


async def test_the_tree_shows_the_parts_in_start_order() -> None:
    async with running_node() as node:
        parts = [child.name for child in node.tree().children]
        assert parts == [
            "shards",
            "logs",
            "heartbeat",
            "timers",
            "backbone",
            "conversations",
            "retention",
            "files",
            "latecomers",
            "presence",
            "senders",
            "pump",
            "connections",
            "news",
            "webhooks",
            "channels",
            "edge",
        ]
        assert node.unready() is None


async def test_it_counts_what_it_holds_and_has_done() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="group", members=[]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        now = node.statistics()
        assert (now.sessions, now.conversations, now.stored, now.commits) == (1, 1, 1, 1)


async def test_what_was_taken_before_a_stop_is_written() -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="group", members=[]))
        conv = ana.outlet.of(Conv)[0].conv
        for rid in range(5):
            await ana.session.receive(
                _encoded(Send(rid=rid, conv=conv, id=new_id(), body=TextBody("hi")))
            )
        await trio.testing.wait_all_tasks_blocked()
        answered = len(ana.outlet.of(Sent))
    found = await storage.shards.of(conv).conversation(conv)
    assert found is not None
    assert found.head >= answered == 5


async def test_a_part_that_fails_takes_down_what_stands_on_it_and_all_of_it_comes_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        conversations, local = node.conversations, node.local
        node.logs.all[0]._queue.take_entries = None  # type: ignore[method-assign, assignment]
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="group", members=[]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        await trio.sleep(5)  # more than the back-off of a restart
        assert node.conversations is not conversations
        assert node.local is not local
        assert node.unready() is None
        bob = await person(node, "bob")
        await bob.say(Create(rid=1, type="group", members=[]))
        await bob.say(
            Send(rid=2, conv=bob.outlet.of(Conv)[0].conv, id=new_id(), body=TextBody("hi"))
        )
        assert len(bob.outlet.of(Sent)) == 1


async def test_a_part_that_keeps_failing_ends_the_node(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chat4all_actors.session.heartbeat import Heartbeat

    async def broken(self: Heartbeat, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(0.1)
        raise RuntimeError("broken")

    monkeypatch.setattr(Heartbeat, "run", broken)
    with pytest.RaisesGroup(RestartBudgetExceeded, flatten_subgroups=True):
        async with running_node():
            await trio.sleep_forever()


def _encoded(frame: Send) -> bytes:
    from chat4all_protocol.codec import encode

    return encode(frame)
