"""`chat4all chat` in a terminal: choose a conversation, then talk."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

import trio

from chat4all_client import (
    ClientError,
    Composing,
    Connected,
    Conv,
    Conversation,
    Disconnected,
    Msg,
    Outgoing,
    Presence,
    Receipt,
    RequestRefused,
    SendRefused,
)
from chat4all_protocol.ids import new_id

from .chat_pipe import lines
from .chat_reactions import wanted
from .chat_screen import Screen
from .chat_text import body_text, clock, day, safe_line
from .chat_transfers import Transfers
from .chat_view import View

if TYPE_CHECKING:
    from chat4all_client import Client, FileBody

    from .chat_transfers import Place

HISTORY: Final = 50
"""Messages shown on entry, and by `/history`."""
LISTED: Final = 20
"""Conversations to choose from."""
LAST_CHANCE: Final = 5.0
"""Seconds that leaving waits for messages that are not stored yet."""
TICK: Final = 1.0
"""Seconds between two looks at what depends on the time."""
TRANSFER_TICK: Final = 0.2
"""The same while files are on their way."""
HELP: Final = """\
Enter sends, Alt+Enter begins a new line, PageUp and PageDown scroll.
/send     upload a file and send it: /send PATH [caption]
/save     fetch the last file, or file N: /save [N|ID] [PATH|DIR]
/react    put a reaction, or take it back: /react [N] EMOJI; N counts messages from the last one up
/history  older messages
/who      who is here, and how far they have read
/help     this
/quit     leave (so do Ctrl-C and Ctrl-D)
//text    sends a text that begins with /"""


async def chat(client: Client, conversation: str, place: Place) -> None:
    """Talk in a conversation until the user leaves; files go to `place` and come from there."""
    # What the SDK logs is shown as the status; on the screen it would be in the way.
    logging.getLogger("chat4all_client").addHandler(logging.NullHandler())
    await _Chat(client, conversation, place).run()


class _Chat:
    def __init__(self, client: Client, conversation: str, place: Place) -> None:
        self._client = client
        self._id = conversation
        known = client.conversations.get(conversation)
        colour = "NO_COLOR" not in os.environ
        self._unread = known.unread if known is not None else 0
        self._read = known.read if known is not None else 0
        self._view = View(client.user, known.name if known is not None else "", colour=colour)
        self._screen = Screen(self._view, entered=self._entered, typed=self._typed, colour=colour)
        self._transfers = Transfers(
            place, conversation, self._view, send=self._send, notice=self._notice
        )
        self._outgoing: set[Outgoing] = set()
        self._offline = ""
        self._retry_at = 0.0
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Until the user leaves."""
        client = self._client
        info = await client.info(self._id)
        for event in await client.history(self._id, limit=HISTORY):
            self._view.happened(event)
        if info.details is not None:
            self._view.members(info.details)
        others = (name for name in info.members if name != client.user)
        client.watch([name for name in others if ":" not in name])  # else on a channel
        if self._unread:
            self._view.unread_after(self._read)
        if info.head:
            client.mark_read(self._id, info.head)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._receive)
            nursery.start_soon(self._tick)
            nursery.start_soon(self._end_at_signal)
            await self._screen.run()
            await self._send_rest()
            nursery.cancel_scope.cancel()

    async def _send_rest(self) -> None:
        """Give messages that wait a last chance."""
        with trio.move_on_after(LAST_CHANCE):
            for outgoing in list(self._outgoing):
                with suppress(ClientError):
                    await outgoing.wait()
        if count := self._client.statistics().outbox:
            print(f"chat4all: {count} of your messages may not have been sent", file=sys.stderr)
        for name in self._transfers.names():
            print(f"chat4all: broken off: {name}; the same command goes on", file=sys.stderr)

    # --- what comes from the server ---------------------------------------------------------------

    async def _receive(self) -> None:
        async for event in self._client.events():
            with self._screen.lock:
                self._take(event)
            self._show()

    def _take(self, event: object) -> None:
        if isinstance(event, Connected):
            self._offline = ""
        elif isinstance(event, Disconnected):
            self._offline = event.reason
            self._retry_at = trio.current_time() + event.retry_in
        elif isinstance(event, Presence):
            self._view.presence(event)
        elif isinstance(event, Msg | Receipt | Composing | Conv) and event.conv == self._id:
            if isinstance(event, Msg):
                self._view.happened(event)
                self._client.mark_read(self._id, event.seq)
            elif isinstance(event, Receipt):
                self._view.receipt(event)
            elif isinstance(event, Composing):
                self._view.composing(event, trio.current_time())
            elif event.left:
                self._notice("you are no longer a member of this conversation")

    async def _tick(self) -> None:
        """Keep what depends on the time up to date."""
        while True:
            self._show()
            await trio.sleep(TRANSFER_TICK if self._transfers.lines() else TICK)

    async def _end_at_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                self._screen.close()

    # --- what the user does -----------------------------------------------------------------------

    def _entered(self, text: str) -> None:
        if text.startswith("/") and not text.startswith("//"):
            self._command(text[1:].strip())
        else:
            self._send(text[1:] if text.startswith("//") else text)
        self._show()

    def _send(self, body: str | FileBody) -> None:
        id_ = new_id()
        now = int(time.time() * 1000)
        with self._screen.lock:
            self._view.queued(id_, body_text(body), now)
        try:
            outgoing = self._client.send_nowait(self._id, body, id=id_)
        except trio.WouldBlock:
            self._failed(id_, "too many messages are waiting")
        except ClientError as error:
            self._failed(id_, str(error))
        else:
            assert self._nursery is not None  # keys come while `run` runs
            self._outgoing.add(outgoing)
            self._nursery.start_soon(self._wait_for, outgoing)

    async def _wait_for(self, outgoing: Outgoing) -> None:
        try:
            # Its event carries it into its place, and it turns from queued to sent there.
            await outgoing.wait()
        except SendRefused as error:
            self._failed(outgoing.id, error.message)
        self._outgoing.discard(outgoing)

    def _failed(self, id_: str, reason: str) -> None:
        with self._screen.lock:
            self._view.failed(id_, safe_line(reason))
        self._show()

    def _typed(self) -> None:
        self._client.typing(self._id)

    def _command(self, line: str) -> None:
        assert self._nursery is not None  # keys come while `run` runs
        command, _, arguments = line.partition(" ")
        if command == "send":
            self._nursery.start_soon(self._transfers.send, arguments)
        elif command == "save":
            self._nursery.start_soon(self._transfers.save, arguments)
        elif command == "react":
            self._nursery.start_soon(self._react, arguments)
        elif command in ("quit", "q", "exit"):
            self._screen.close()
        elif command == "history":
            self._nursery.start_soon(self._load_history)
        elif command == "who":
            self._nursery.start_soon(self._tell_members)
        elif command == "help":
            for line in HELP.splitlines():
                self._notice(line)
        else:
            self._notice(f"there is no command /{command}; /help lists them")

    async def _react(self, arguments: str) -> None:
        asked = wanted(arguments)
        if asked is None:
            self._notice("say /react EMOJI for the last message, or /react N EMOJI")
            return self._show()
        number, emoji = asked
        seq = self._view.message(number)
        if seq is None:
            self._notice("there is no such message here")
            return self._show()
        try:
            # Its event shows it, as with what is sent.
            await self._client.react(self._id, seq, emoji, on=not self._view.reacted(seq, emoji))
        except SendRefused as error:
            self._notice(f"not reacted: {error.message}")
            self._show()

    async def _load_history(self) -> None:
        if self._view.first in (None, 1):
            self._notice("this is the beginning of the conversation")
        else:
            try:
                older = await self._client.history(self._id, before=self._view.first, limit=HISTORY)
            except RequestRefused as error:
                self._notice(error.message)
                return
            with self._screen.lock:
                for event in older:
                    self._view.happened(event)
            self._notice(f"{len(older)} older messages above; PageUp shows them")
        self._show()

    async def _tell_members(self) -> None:
        try:
            info = await self._client.info(self._id)
        except RequestRefused as error:
            self._notice(error.message)
            return
        for name, member in sorted((info.details or {}).items()):
            state = "has read everything" if member.read >= info.head else "has not read everything"
            you = ", you" if name == self._client.user else ""
            self._notice(f"{name} ({member.role}{you}) {state}")
        self._show()

    # --- the screen -------------------------------------------------------------------------------

    def _notice(self, text: str) -> None:
        with self._screen.lock:
            self._view.notice(safe_line(text), int(time.time() * 1000))

    def _show(self) -> None:
        self._screen.show(
            self._status(), self._view.typing(trio.current_time()), self._transfers.lines()
        )

    def _status(self) -> str:
        view = self._view
        if self._client.connected:
            about = [view.title, view.present(), f"you are {view.user}", "/help"]
            return " · ".join(part for part in about if part)
        seconds = max(0, math.ceil(self._retry_at - trio.current_time()))
        when = f"reconnecting in {seconds} s" if seconds else "reconnecting…"
        count = self._client.statistics().outbox
        waiting = f"; {count} message{'s' if count > 1 else ''} waiting" if count else ""
        return f"offline, {when}{waiting} ({safe_line(self._offline)})"


# --- choosing -----------------------------------------------------------------------------------


async def choose(client: Client) -> str | None:
    """Let the user choose a conversation or name somebody; None to leave."""
    known = [item for item in client.conversations.values() if not item.left][:LISTED]
    last: dict[str, Msg] = {}

    async def look(id_: str) -> None:
        if events := await client.history(id_, limit=1):
            last[id_] = events[0]

    async with trio.open_nursery() as nursery:
        for item in known:
            nursery.start_soon(look, item.id)
    for number, item in enumerate(known, 1):
        print(_listed(number, item, last.get(item.id)))
    if not known:
        print("no conversations yet")
    print("number, or the name of somebody to talk to (empty to leave): ", end="")
    sys.stdout.flush()
    async with aclosing(lines()) as answers:
        async for line in answers:
            answer = line.strip()
            if not answer:
                return None
            if answer.isdecimal() and 1 <= int(answer) <= len(known):
                return known[int(answer) - 1].id
            try:
                return (await client.create("private", [answer])).conv
            except RequestRefused as error:
                print(f"{safe_line(error.message)}; again: ", end="")
                sys.stdout.flush()
    return None


def _listed(number: int, item: Conversation, last: Msg | None) -> str:
    unread = f"{item.unread} unread" if item.unread else ""
    line = f"{number:>3}  {safe_line(item.name)[:24]:<24}  {unread:<12}"
    if last is not None:
        line += f"  {day(last.ts)} {clock(last.ts)}"
    return line
