"""People who watch each other, and what they do to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.messages import Post
from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import (
    Conv,
    Create,
    Error,
    MemberBody,
    Presence,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Append

from ..actors.harness import EPOCH, Person

if TYPE_CHECKING:
    from chat4all_actors.node import Node
    from chat4all_protocol.frames import Kind

DAMPING = 5.0


def shown(someone: Person) -> list[tuple[str, str, int | None]]:
    """The presences that were shown since the last call."""
    presences: list[tuple[str, str, int | None]] = [
        (it.user, it.status, it.last_seen) for it in someone.outlet.of(Presence)
    ]
    someone.outlet.taken = [it for it in someone.outlet.taken if not isinstance(it, Presence)]
    return presences


def now_ms() -> int:
    return int((EPOCH + trio.current_time()) * 1000)


async def private(one: Person, other: str) -> str:
    await one.say(Create(rid=1, type="private", members=[other]))
    return one.outlet.of(Conv)[-1].conv


async def group(one: Person, *others: str) -> str:
    await one.say(Create(rid=1, type="group", members=list(others)))
    return one.outlet.of(Conv)[-1].conv


async def hang_up(someone: Person) -> None:
    someone.session.ended()
    await wait_all_tasks_blocked()


class Content:
    """An origin that expects no refusal."""

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        pass

    def refused(self, post: Post, error: Error) -> None:
        raise AssertionError(error)

    def lost(self, post: Post) -> None:
        raise AssertionError(post)


async def change(node: Node, conv: str, by: str, kind: Kind, user: str) -> None:
    """Let a member come or go."""
    role = "member" if kind == "join" else None
    append = Append(
        conversation=conv,
        sender=by,
        id=new_id(),
        kind=kind,
        body=encode_body(MemberBody(user, role)),
        digest=0,
        subject=user,
        role=role,
    )
    conversation = node.conversations.get(conv)
    assert conversation is not None
    conversation.tell_nowait(Post(append, 1, Content()))
    await wait_all_tasks_blocked()
