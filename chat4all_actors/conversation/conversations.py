"""The conversations that are alive on this node, and how they come and go.

A conversation is alive while a local session reads it or something is on its way. Sessions bring
the head they read from the store; a conversation that is alive already has its own, which is
then what the session starts from.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chat4all_protocol.codec import encode_meta
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.ports.outbox import is_external

from ..kernel import ActorState, ActorStopped
from ..messages import Marked, MembersRead, Overtaken, Post
from ..wire import not_found, view
from .actor import ConversationActor
from .appends import digest_of
from .heads import Heads
from .members import MemberReader
from .outside import Refusal
from .signs import Signs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chat4all_protocol.frames import Conv, ConversationType
    from chat4all_storage.ports.events import Append, Mark
    from chat4all_storage.ports.shard import Conversation
    from chat4all_storage.sharding.shard_logs import ShardLogs
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from ..fanout import LocalReaders
    from ..kernel import Pool, Timers
    from ..messages import Origin, Reader
    from .members import Asking
    from .outside import Outside
    from .relay import Relay
    from .surroundings import Alive


class Conversations:
    """Conversations by id; also the `Surroundings` that each of them works in."""

    def __init__(
        self,
        *,
        settings: Settings,
        storage: Storage,
        logs: ShardLogs,
        pool: Pool,
        timers: Timers[tuple[str, str]],
        local: LocalReaders,
        relay: Relay,
        outside: Outside,
    ) -> None:
        self.settings = settings
        self.storage = storage
        self.shards = storage.shards
        self.logs = logs
        self.pool = pool
        self.timers = timers
        self.local = local
        self.relay = relay
        self.outside = outside
        self._member_reader = MemberReader(storage.shards, pool)
        self.heads = Heads()
        self.signs = Signs()
        self._alive: dict[str, ConversationActor] = {}

    def __len__(self) -> int:
        return len(self._alive)

    # --- for sessions -------------------------------------------------------------------------

    def enter(
        self, id_: str, head: int, type_: ConversationType, reader: Reader
    ) -> ConversationActor:
        """Make `reader` one of the readers; it starts after the actor's head.

        `head` is where the store stood, for a conversation that is not alive yet; it was read,
        and is used, within `heads.reading`.
        """
        conversation = self._awake(id_, head, type_)
        conversation.readers[reader] = None
        return conversation

    def leave(self, id_: str, reader: Reader) -> None:
        """`reader` reads this conversation no longer."""
        if (conversation := self._alive.get(id_)) is not None:
            conversation.readers.pop(reader, None)
            if conversation.state is ActorState.IDLE:  # else it sees to that when it is done
                self.release(conversation)

    def get(self, id_: str) -> ConversationActor | None:
        """The conversation, if it is alive."""
        return self._alive.get(id_)

    def unseen(self, id_: str, head: int) -> bool:
        """Whether events after `head` were passed by nobody here: the conversation woke later.

        Who read its membership at `head` can't know whether it is still a member.
        """
        conversation = self._alive.get(id_)
        return conversation is not None and head < conversation.born

    def alive(self) -> list[str]:
        """The conversations that are alive."""
        return list(self._alive)

    def read_by(self, id_: str, reader: Reader) -> ConversationActor | None:
        """The conversation, if `reader` is one of its readers."""
        conversation = self._alive.get(id_)
        return conversation if conversation is not None and reader in conversation.readers else None

    async def reach(self, id_: str, reader: Reader) -> ConversationActor | None:
        """The conversation, for a reader who may not be known here as a member yet.

        It is let in and told so, unless the members have changed meanwhile. None when there is no
        such conversation, or the user is no member.

        Raises:
            StorageError: the store failed.
        """
        with self.heads.reading():
            stored = await self.shards.conversation(id_)
            if stored is None or reader.user not in stored.members:
                return None
            conversation = self._awake(id_, stored.head, stored.type)
            if reader not in conversation.readers and stored.head >= conversation.changed_at:
                conversation.readers[reader] = None
                reader.entered(view(stored, head=conversation.head))
            return conversation

    async def post(self, append: Append, origin: Origin, rid: int = 0) -> None:
        """Store an event for somebody who has no session here, such as a request over HTTP.

        The conversation is woken, and stays for `conversation_linger` seconds, so that the next
        request finds it. Whether the sender may do this is decided where it is stored. `origin` is
        told what becomes of it, perhaps before this returns; of a conversation that does not
        exist that there is none. Waits while the conversation holds back as much as it may.

        Raises:
            StorageError: the conversation can't be read now; nothing was stored, and `origin` is
                told nothing.
        """
        post = Post(append, rid, origin)
        conversation = self._alive.get(append.conversation)
        if conversation is None:
            with self.heads.reading():
                stored = await self.shards.conversation(append.conversation)
                if stored is None:
                    origin.refused(post, not_found(rid))
                    return
                conversation = self._awake(stored.id, stored.head, stored.type)
                conversation.take_members(MembersRead(stored.head, list(stored.members)))
        self._linger(conversation)
        try:
            await conversation.tell_patiently(post)
        except ActorStopped:
            origin.lost(post)

    def marked(self, mark: Mark) -> None:
        """A user without a session here has read, and the watermarks stand: show it to the others.

        Nobody is woken for that: who comes later reads them.
        """
        if (conversation := self._alive.get(mark.conversation)) is not None:
            with suppress(ActorStopped):  # all conversations are being stopped
                conversation.reply_nowait(Marked(mark))
        else:
            self.signs.has_read(mark.conversation, mark.user, mark.read)

    def _linger(self, conversation: ConversationActor) -> None:
        conversation.lingering = True
        key, seconds = (conversation.id, ":linger"), self.settings.conversation_linger
        self.timers.set(key, seconds, self._on_lingered, conversation)

    def _on_lingered(self, conversation: ConversationActor) -> None:
        """Called by the timers."""
        conversation.lingering = False
        if conversation.state is ActorState.IDLE:  # else it sees to that when it is done
            self.release(conversation)

    def _awake(self, id_: str, head: int, type_: ConversationType) -> ConversationActor:
        """The conversation; when it is not alive, a new one that starts after `head`."""
        conversation = self._alive.get(id_)
        if conversation is None:
            conversation = ConversationActor(id_, head, type_, self)
            self._alive[id_] = conversation
            if (seq := self.heads.of(id_)) > head:
                # Passed, not skipped: a change of members among these events is still to be made.
                self.overtaken(id_, seq)
        return conversation

    async def create(
        self,
        type_: ConversationType,
        creator: str,
        members: list[str],
        title: str | None,
        *,
        by: Reader | None = None,
        id_: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        joins: bool = True,
        trace: bytes | None = None,
    ) -> tuple[Conversation, bool]:
        """Create a conversation; the same private pair always has the same one.

        The creator is a member, and owns a group, if it `joins`; else `members` are all, and the
        first of them owns a group. A group that is created again with the same `id_` is told as
        it stands. False when it was there already.

        The local sessions of all members enter it and are told, except `by`, who asked: it enters
        too, and is answered by the caller.

        Raises:
            Refusal: the request can't be granted; CONFLICT: another one has the same `id_`.
            InDoubt: it may have been created.
            StorageError: the store failed, and nothing was created.
        """
        names = await self._canonical([creator, *members] if joins else members)
        creator = names[0] if joins else creator
        encoded = encode_meta(dict(metadata)) if metadata else None
        if encoded is not None and len(encoded) > self.settings.max_metadata:
            limit = f"metadata has at most {self.settings.max_metadata} bytes"
            raise Refusal(ErrorCode.TOO_LARGE, limit, "metadata")
        if type_ == "private":
            _check_private(names, title)
            id_ = private_conversation_id(*names)
            roles = dict.fromkeys(sorted(names), "member")
        else:
            if not names:
                raise Refusal(ErrorCode.INVALID_PAYLOAD, "a group has a member", "members")
            if is_external(names[0]):
                words = "the first member of a group owns it, and is a user"
                raise Refusal(ErrorCode.INVALID_PAYLOAD, words, "members")
            if len(names) > self.settings.max_members:
                raise Refusal(
                    ErrorCode.TOO_LARGE,
                    f"a conversation has at most {self.settings.max_members} members",
                    "members",
                )
            id_ = id_ or new_id()
            roles = dict.fromkeys(names, "member") | {names[0]: "owner"}
        wanted = [type_, creator, title, sorted(roles.items())]
        digest = digest_of(repr(wanted).encode() + (encoded or b""))
        with self.heads.reading():
            stored, made = await self.shards.create(
                id_,
                type_,
                title,
                creator,
                roles,
                metadata=encoded,
                digest=digest,
                trace=trace,
            )
            if type_ == "group" and stored.digest != digest:
                raise Refusal(
                    ErrorCode.CONFLICT, "another conversation was created with this id", "id"
                )
            for name in stored.members:
                for reader in self.local.of(name):
                    late = logical_shard(id_) in reader.missing
                    if self.read_by(id_, reader) is None and not late:
                        conversation = self.enter(id_, stored.head, stored.type, reader)
                        if reader is not by:
                            reader.entered(view(stored, head=conversation.head))
            if (alive := self._alive.get(id_)) is not None:
                alive.take_members(MembersRead(stored.head, list(stored.members)))
        if made:
            self.relay.created(stored)
        return stored, made

    async def _canonical(self, names: list[str]) -> list[str]:
        """The users under the names that they registered, and people on channels; each once."""
        users = [name for name in names if not is_external(name)]
        found = dict(await self.storage.directory.canonical_names(users))
        if missing := [name for name in users if name not in found]:
            raise Refusal(ErrorCode.NOT_FOUND, f"no such user: {missing[0]}", "members")
        if len(users) < len(names):
            outside = [name for name in names if is_external(name)]
            found |= await self.outside.canonical(outside, "members")
        return list(dict.fromkeys(found[name] for name in names))

    def frame(self, stored: Conversation, rid: int | None = None) -> Conv:
        """A conversation as its readers on this node see it."""
        alive = self._alive.get(stored.id)
        return view(stored, head=stored.head if alive is None else alive.head, rid=rid)

    # --- for the conversations ----------------------------------------------------------------

    def read_members(self, conversation: Asking) -> None:
        """Let the conversation be told its members, soon."""
        self._member_reader.read(conversation)

    def release(self, conversation: Alive) -> None:
        """End a conversation that nobody needs."""
        if not conversation.needed and self._alive.get(conversation.id) is conversation:
            conversation.stop()

    def forget(self, conversation: Alive, seq: int) -> None:
        """A conversation has ended; its events are stored up to `seq` at least."""
        self.heads.note(conversation.id, seq)
        if self._alive.get(conversation.id) is conversation:
            del self._alive[conversation.id]

    def overtaken(self, id_: str, seq: int) -> None:
        """Events up to `seq` were stored for a conversation that had ended: whoever reads it now
        is to have them.
        """
        self.heads.note(id_, seq)
        if (successor := self._alive.get(id_)) is not None:
            with suppress(ActorStopped):  # all conversations are being stopped
                successor.reply_nowait(Overtaken(seq))


def _check_private(names: list[str], title: str | None) -> None:
    if len(names) != 2:
        words = "a private conversation has exactly two members"
        raise Refusal(ErrorCode.INVALID_PAYLOAD, words, "members")
    if all(map(is_external, names)):
        words = "one of the members of a private conversation is a user"
        raise Refusal(ErrorCode.INVALID_PAYLOAD, words, "members")
    if title is not None:
        raise Refusal(ErrorCode.INVALID_PAYLOAD, "a private conversation has no title", "title")
