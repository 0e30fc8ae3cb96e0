"""Short ways to say what storage tests put in, and to look at what is there."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from chat4all_protocol.codec import encode_meta
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Append, Change, Mark, Rules, Status
from chat4all_storage.ports.shard import Range, Replay

if TYPE_CHECKING:
    from collections.abc import Collection

    from chat4all_protocol.frames import ConversationType, Kind
    from chat4all_storage.ports.events import Outcome, StoredEvent
    from chat4all_storage.ports.shard import Membership, ShardStore

MEMBER_LIMIT = 4
RULES = Rules(member_limit=MEMBER_LIMIT)
LARGEST = 2**63 - 1


def append(
    conversation: str,
    sender: str,
    body: bytes | None = b"hello",
    *,
    id: str | None = None,
    kind: Kind = "message",
    reply_to: int | None = None,
    target: int | None = None,
    meta: bytes | None = None,
    subject: str | None = None,
    role: str | None = None,
    change: Change | None = None,
    trace: bytes | None = None,
    channels: tuple[str, ...] | None = None,
    channel: str | None = None,
) -> Append:
    """An append whose digest follows from its body."""
    digest = hashlib.blake2b(body or b"", digest_size=8).digest()
    return Append(
        conversation=conversation,
        sender=sender,
        id=id or new_id(),
        kind=kind,
        body=body,
        digest=int.from_bytes(digest, "big", signed=True),
        reply_to=reply_to,
        target=target,
        meta=meta,
        subject=subject,
        role=role,
        change=change,
        trace=trace,
        channels=channels,
        channel=channel,
    )


def edit(conversation: str, sender: str, target: int, body: bytes = b"edited") -> Append:
    return append(conversation, sender, body, kind="edit", target=target)


def delete(conversation: str, sender: str, target: int) -> Append:
    return append(conversation, sender, None, kind="delete", target=target)


def react(
    conversation: str, sender: str, target: int | None, emoji: str = "👍", *, on: bool = True
) -> Append:
    meta = encode_meta({"emoji": emoji, "on": on})
    return append(conversation, sender, None, kind="react", target=target, meta=meta)


def change_role(conversation: str, sender: str, subject: str, role: str) -> Append:
    return append(conversation, sender, None, kind="change", subject=subject, role=role)


def change(
    conversation: str,
    sender: str,
    *,
    title: str | UnsetType | None = UNSET,
    metadata: bytes | UnsetType | None = UNSET,
    retention: int | UnsetType | None = UNSET,
) -> Append:
    settings = Change(title, metadata, retention)
    return append(conversation, sender, kind="change", change=settings)


def join(conversation: str, sender: str, subject: str, role: str = "member") -> Append:
    return append(conversation, sender, None, kind="join", subject=subject, role=role)


def leave(conversation: str, sender: str, subject: str) -> Append:
    return append(conversation, sender, None, kind="leave", subject=subject)


def conversation_of(shard: int) -> str:
    """A conversation that belongs to a logical shard."""
    return str(uuid.UUID(int=uuid.uuid4().int >> 6 << 6 | shard))


async def new_conversation(
    store: ShardStore,
    *members: str,
    id: str | None = None,
    type: ConversationType = "group",
    title: str | None = None,
    admins: Collection[str] = (),
) -> str:
    """Create a conversation that the first of its members owns."""
    roles = {name: "admin" if name in admins else "member" for name in members}
    roles[members[0]] = "owner"
    conversation, _ = await store.create(id or new_id(), type, title, members[0], roles)
    return conversation.id


async def commit(store: ShardStore, *appends: Append) -> list[Outcome]:
    return (await store.commit(appends, [])).outcomes


async def commit_one(store: ShardStore, entry: Append) -> Outcome:
    (outcome,) = await commit(store, entry)
    return outcome


async def fill(store: ShardStore, conversation: str, sender: str, count: int) -> None:
    await commit(store, *(append(conversation, sender) for _ in range(count)))


async def mark(
    store: ShardStore, conversation: str, user: str, *, recv: int = 0, read: int = 0
) -> tuple[int, int] | None:
    """Where the watermarks stand after that mark: recv and read."""
    (stands,) = (await store.commit([], [Mark(conversation, user, recv, read)])).marks
    if stands is None:
        return None
    assert (stands.conversation, stands.user) == (conversation, user)
    return stands.recv, stands.read


async def events(store: ShardStore, conversation: str) -> list[StoredEvent]:
    """The whole log of a conversation."""
    (found,) = await store.history([Range(conversation, 0, LARGEST, LARGEST)])
    return found


async def watermarks(store: ShardStore, conversation: str) -> dict[str, tuple[int, int]]:
    """The recv and read of each member."""
    found = await store.conversation(conversation)
    assert found is not None
    return {name: (member.recv, member.read) for name, member in found.members.items()}


NO_REPLAY = Replay(each=0, events=0, size=0)


async def memberships(store: ShardStore, user: str, *, details: int) -> list[Membership]:
    """All conversations of a user, as a session without cursors learns them."""
    return (await store.resume(user, {}, details=details, replay=NO_REPLAY)).memberships


async def status_of(store: ShardStore, entry: Append) -> str:
    outcome = await commit_one(store, entry)
    assert (outcome.seq > 0) == (outcome.status is Status.STORED)
    return outcome.status.name


async def roles_of(store: ShardStore, conversation: str) -> dict[str, str]:
    found = await store.conversation(conversation)
    assert found is not None
    return {name: member.role for name, member in found.members.items()}
