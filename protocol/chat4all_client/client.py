"""`Client`: everything an application does, and how it waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from chat4all_protocol.frames import (
    FETCH_LIMIT,
    MAX_INTEGER,
    Conv,
    ConversationType,
    Create,
    Fetch,
    Info,
    Mode,
    Msg,
    Ok,
    Page,
    Read,
    Recv,
    SendBody,
    Sent,
    Typing,
    TypingKind,
    Watch,
)

from .calls import Call
from .checks import Posted, check, delete, edit, message, react
from .connector import Connector
from .errors import ClientClosed, ConnectError, RequestRefused, SendRefused
from .figures import ClientStatistics
from .saving import CursorSaver
from .stream import EventStream
from .waiting import Answer, Outgoing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from chat4all_protocol.frames import AnyClientFrame

    from .conversations import Conversation
    from .cursors import CursorStore
    from .engine import Engine
    from .options import Options
    from .outbox import Entry
    from .transport import Opener

CLOSE_TIMEOUT: Final = 3.0
"""Seconds that leaving `open_client` takes at most to close the connection."""


class Client:
    """A user's connection that outlives its connections. Made by `open_client`."""

    def __init__(
        self,
        engine: Engine,
        options: Options,
        opener: Opener,
        token: str | Callable[[], Awaitable[str]],
        store: CursorStore,
        random: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._connector = Connector(engine, opener, token, random, self._changed)
        self._events = EventStream(engine, self._connector.poke)
        self._saver = CursorSaver(engine.history, store, options.save_interval)
        self._slots = trio.Semaphore(options.outbox)
        self._started = trio.Event()
        self._max_frame = 0

    # --- state ----------------------------------------------------------------------------------

    @property
    def user(self) -> str:
        """Whose client this is."""
        return self._engine.conversations.user

    @property
    def connected(self) -> bool:
        """Whether there is a live connection now."""
        return self._engine.link is not None

    @property
    def conversations(self) -> Mapping[str, Conversation]:
        """The user's conversations by id, as far as the server told of them: a live view."""
        return self._engine.conversations.all

    def statistics(self) -> ClientStatistics:
        """Figures of this moment."""
        engine = self._engine
        return ClientStatistics(
            connected=self.connected,
            connects=engine.connects,
            outbox=len(engine.outbox),
            on_wire=engine.outbox.on_wire,
            events=len(engine.events),
            catching_up=engine.history.catching_up,
        )

    # --- messages -------------------------------------------------------------------------------

    async def send(
        self,
        conversation: str,
        body: str | SendBody,
        *,
        id: str | None = None,
        reply_to: int | None = None,
        channels: Sequence[str] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Sent:
        """Send a message; returns once it is committed, however many connections that takes.

        The same `id` (a UUID) is stored once, whatever happens. Messages of one conversation are
        stored in the order of the calls. Waits for room when the outbox is full.

        When cancelled, the message is withdrawn if it was never put on the wire. Otherwise it may
        be stored already, so it stays in the outbox until it is answered.

        Raises:
            SendRefused: the server refused it for good, or it can't be valid.
            ValueError: `id` is on its way in this conversation already.
            ConnectionRefusedByServer, ClientClosed: the client ended before the answer.
        """
        return await self._send(message(conversation, body, id, reply_to, channels, meta))

    async def edit(
        self, conversation: str, target: int, body: str | SendBody, *, id: str | None = None
    ) -> Sent:
        """Give an own message, the one at `target`, another body.

        It takes its turn among the messages of the conversation, and is waited for like `send`.

        Raises:
            SendRefused: it is somebody else's, was deleted, or is too old, for example.
            ValueError, ConnectionRefusedByServer, ClientClosed: as `send`.
        """
        return await self._send(edit(conversation, target, body, id))

    async def delete(self, conversation: str, target: int, *, id: str | None = None) -> Sent:
        """Delete the message at `target`: nothing of it stays but its `seq`.

        Raises:
            SendRefused, ValueError, ConnectionRefusedByServer, ClientClosed: as `edit`.
        """
        return await self._send(delete(conversation, target, id))

    async def react(
        self, conversation: str, target: int, emoji: str, *, on: bool = True, id: str | None = None
    ) -> Sent:
        """Put a reaction on the message at `target`, or with `on=False` take it back.

        A member has at most one of each `emoji` on a message: the last call about it counts.

        Raises:
            SendRefused, ValueError, ConnectionRefusedByServer, ClientClosed: as `edit`.
        """
        return await self._send(react(conversation, target, emoji, id, on=on))

    async def _send(self, frame: Posted) -> Sent:
        self._check(frame, SendRefused)
        await self._slots.acquire()
        outgoing = self._submit(frame)
        try:
            return await outgoing.wait()
        except trio.Cancelled:
            outgoing.withdraw()
            raise

    def send_nowait(
        self,
        conversation: str,
        body: str | SendBody,
        *,
        id: str | None = None,
        reply_to: int | None = None,
        channels: Sequence[str] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Outgoing:
        """Put a message into the outbox, to be sent and waited for apart from each other.

        Raises:
            trio.WouldBlock: the outbox is full.
            SendRefused, ValueError, ConnectionRefusedByServer, ClientClosed: as `send`.
        """
        frame = message(conversation, body, id, reply_to, channels, meta)
        self._check(frame, SendRefused)
        self._slots.acquire_nowait()
        return self._submit(frame)

    def _submit(self, frame: Posted) -> Outgoing:
        try:
            if self._engine.error is not None:
                raise self._engine.error
            outgoing = Outgoing(frame, self._withdraw, self._slots.release)
            self._engine.submit(outgoing.entry, trio.current_time())
        except BaseException:
            self._slots.release()
            raise
        self._connector.poke()
        return outgoing

    def _withdraw(self, entry: Entry) -> bool:
        return self._engine.withdraw(entry, trio.current_time())

    # --- events ---------------------------------------------------------------------------------

    def events(self) -> EventStream:
        """All events, one after another.

        `Msg` are the durable ones: of each conversation in ascending `seq`, none missing, none
        twice, over any number of reconnects; the user's own are among them (`from_` is `user`).
        A conversation that has no cursor begins at its head when the client has no cursors at
        all, else with the user's membership. The others are best effort.

        Asking for the next event says that the one before was handled: see `CursorStore`. One
        task reads at a time. Ends when the client is closed.

        Raises:
            ConnectionRefusedByServer: on iteration, after all events: the client ended.
            trio.BusyResourceError: on iteration: another task is reading.
        """
        return self._events

    def settle(self) -> None:
        """Say that the last event was handled, without asking for the next."""
        self._events._settle()

    # --- requests -------------------------------------------------------------------------------

    async def history(
        self,
        conversation: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> list[Msg]:
        """Events in ascending order: the first above `after`, or the last (below `before`).

        Fewer than `limit` come only where the conversation begins or ends.

        Raises:
            RequestRefused: no such conversation for this user, for example.
        """
        events: list[Msg] = []
        while len(events) < limit:
            count = min(FETCH_LIMIT, limit - len(events))
            fetch = Fetch(
                rid=MAX_INTEGER, conv=conversation, after=after, before=before, limit=count
            )
            page = await self._call(fetch)
            assert isinstance(page, Page)
            if after is None:
                events = page.items + events
                before = events[0].seq if events else None
            else:
                events += page.items
                after = events[-1].seq if events else after
            if not page.more or not page.items:
                break
        return events

    async def create(
        self, type: ConversationType, members: Sequence[str], *, title: str | None = None
    ) -> Conv:
        """Open a conversation; the private one of the same two users is always the same.

        Raises:
            RequestRefused: a user does not exist, for example.
            OutcomeUnknown: a group may or may not have been created.
        """
        frame = Create(rid=MAX_INTEGER, type=type, members=list(members), title=title)
        conv = await self._call(frame, repeatable=type == "private")
        assert isinstance(conv, Conv)
        return conv

    async def info(self, conversation: str) -> Conv:
        """A conversation with its members and their watermarks (`details`).

        Raises:
            RequestRefused: no such conversation for this user.
        """
        conv = await self._call(Info(rid=MAX_INTEGER, conv=conversation))
        assert isinstance(conv, Conv)
        return conv

    async def set_mode(
        self, *, background: bool | None = None, invisible: bool | None = None
    ) -> None:
        """Whether nobody is in front of this device, and whether others may see this user.

        What is None stays as it is. `background` holds over reconnects; the server keeps
        `invisible` for the user, on all devices.

        Raises:
            RequestRefused: the server does not offer it.
        """
        if background is not None:
            self._engine.background = background
        answer = await self._call(Mode(rid=MAX_INTEGER, background=background, invisible=invisible))
        assert isinstance(answer, Ok)

    async def _call(
        self, frame: Fetch | Create | Info | Mode, *, repeatable: bool = True
    ) -> Page | Conv | Ok:
        self._check(frame, RequestRefused)
        if self._engine.error is not None:
            raise self._engine.error
        answer = Answer()
        call = Call(frame, answer.settle, repeatable=repeatable)
        self._engine.call(call, trio.current_time())
        self._connector.poke()
        try:
            return await answer.wait()
        finally:
            call.cancelled = True

    # --- signs ----------------------------------------------------------------------------------

    def typing(self, conversation: str, kind: TypingKind = "text") -> None:
        """The user composes: call it at each key, at most one in 3 s is sent.

        Raises:
            RequestRefused: the arguments can't be valid.
        """
        self._check(Typing(conv=conversation, kind=kind), RequestRefused)
        self._engine.typing(conversation, kind, trio.current_time())
        self._connector.poke()

    def mark_received(self, conversation: str, seq: int) -> None:
        """This device holds everything up to `seq`.

        Done of its own accord for each event that was handled, unless `acknowledge` is off.

        Raises:
            RequestRefused: the arguments can't be valid.
        """
        self._check(Recv(conv=conversation, seq=seq), RequestRefused)
        self._engine.mark_received(conversation, seq, trio.current_time())
        self._connector.poke()

    def mark_read(self, conversation: str, seq: int) -> None:
        """The user has read everything up to `seq`; the latest counts, also after a reconnect.

        Raises:
            RequestRefused: the arguments can't be valid.
        """
        self._check(Read(conv=conversation, seq=seq), RequestRefused)
        self._engine.mark_read(conversation, seq, trio.current_time())
        self._connector.poke()

    def watch(self, users: Sequence[str]) -> None:
        """Follow the presence of `users`, in place of those of the last call.

        Raises:
            RequestRefused: the arguments can't be valid.
        """
        frame = Watch(users=list(users))
        self._check(frame, RequestRefused)
        self._engine.watch(frame.users)
        self._connector.poke()

    def _check(self, frame: AnyClientFrame, refusal: type[RequestRefused]) -> None:
        link = self._engine.link
        if link is not None and link.rules.hello is not None:
            self._max_frame = link.rules.hello.limits.frame
        check(frame, self._max_frame, refusal)

    # --- life -----------------------------------------------------------------------------------

    def _changed(self) -> None:
        if self._engine.events or self._engine.error is not None:
            self._events._wake()
        if self._engine.connects or self._engine.error is not None:
            self._started.set()
        self._saver.look()

    async def _start(self, nursery: trio.Nursery, url: str, timeout: float) -> None:
        nursery.start_soon(self._connector.run)
        nursery.start_soon(self._saver.run)
        with trio.move_on_after(timeout):
            await self._started.wait()
        if self._engine.error is not None:
            raise self._engine.error
        if not self._engine.connects:
            reason = self._connector.last_reason or "no answer"
            raise ConnectError(f"no connection to {url} within {timeout:g} s: {reason}")

    async def _finish(self) -> None:
        await self._connector.finish(CLOSE_TIMEOUT)

    async def _end(self) -> None:
        self._engine.fail(ClientClosed("the client was closed"))
        self._changed()
        await self._saver.finish()
