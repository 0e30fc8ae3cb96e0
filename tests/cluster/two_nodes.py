"""Two nodes over one storage and one bus, and what is said on them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import Conv, Create, MemberBody, Msg, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.ports.events import Append

from ..actors.harness import Person, memory_with_users, running_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.node import Node
    from chat4all_storage.storage import Storage

G7 = 5.0
"""Seconds in which everybody has everything, whatever has failed."""


class Two(Struct):
    """The nodes and what they have in common."""

    one: Node
    other: Node
    bus: MemoryBus
    storage: Storage


@asynccontextmanager
async def two_nodes(**settings: Any) -> AsyncIterator[Two]:
    storage, bus, tally = await memory_with_users(), MemoryBus(), MemoryTally()
    async with (
        running_node(storage, bus=bus, tally=tally, **settings) as one,
        running_node(storage, bus=bus, tally=tally, **settings) as other,
    ):
        await trio.sleep(2.5)  # they beat, and tell each other who is there
        yield Two(one, other, bus, storage)


async def begun(someone: Person, *others: str) -> str:
    """A group that someone has opened with others."""
    await someone.say(Create(rid=1, type="group", members=list(others)))
    return someone.outlet.of(Conv)[-1].conv


def text(conv: str, words: str = "hello") -> Send:
    return Send(rid=7, conv=conv, id=new_id(), body=TextBody(words))


def heard(someone: Person) -> list[tuple[int, str]]:
    """The messages that somebody was passed."""
    return [
        (msg.seq, msg.body.text) for msg in someone.outlet.of(Msg) if isinstance(msg.body, TextBody)
    ]


def change(conv: str, kind: str, user: str) -> Append:
    return Append(
        conversation=conv,
        sender="ana",
        id=new_id(),
        kind="join" if kind == "join" else "leave",
        body=encode_body(MemberBody(user, "member" if kind == "join" else None)),
        digest=0,
        subject=user,
        role="member" if kind == "join" else None,
    )
