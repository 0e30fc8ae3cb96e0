"""The world behind a loopback account, and its people, who are played by whoever has it.

Nothing here waits but `changed`. People have any name but an empty one; a chat with one person has
the person's name, a group its own.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_connectors.incoming import (
    ChatMoved,
    Contact,
    Deleted,
    Edited,
    Media,
    Reachability,
    Reacted,
    Receipt,
    Received,
)

from .chats import Chat, Feed, Files, Line, SentFile, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_connectors.capabilities import MediaKind
    from chat4all_connectors.errors import SendError
    from chat4all_connectors.incoming import Event

    from .settings import LoopbackSettings

US: Final = ""
"""Who sends what the account sends."""


class Fault(Struct, frozen=True):
    """What the next call that sends meets."""

    error: SendError
    acted: bool = False
    """Whether it does what it says all the same."""


class Stage:
    """People, chats, and what happens in them."""

    def __init__(self, settings: LoopbackSettings, clock: Callable[[], float]) -> None:
        """`clock` is in seconds since the epoch."""
        self.settings = settings
        self._run = secrets.token_hex(4)
        """Makes ids that are not those of an earlier stage, as whoever has them keeps them."""
        self.files = Files(settings.files_kept_bytes)
        self.feed = Feed(self._run, settings.events_kept)
        self.faults: deque[Fault] = deque()
        """In the order in which they are met."""
        self.revoked = False
        """Whether the account can't be used."""
        self.clock = clock
        self._people: dict[str, Contact] = {}
        self._chats: dict[str, Chat] = {}
        self._numbers = itertools.count(1)
        self.version = 0
        """Counts up whenever something happens."""
        self._changed = trio.Event()

    # --- who is there

    def person(self, id: str, name: str | None = None) -> Contact:
        """Somebody new, or with another name from now on."""
        contact = Contact(id=id, name=name or id)
        self._people[id] = contact
        self._chats.setdefault(id, Chat([id], None, self.settings.messages_kept))
        return contact

    def group(self, id: str, title: str, members: list[str]) -> None:
        """A chat of several people."""
        for member in members:
            self.contact(member)
        self._chats[id] = Chat(members, title, self.settings.messages_kept)

    @property
    def has_room(self) -> bool:
        """Whether there may be somebody more."""
        return len(self._chats) < self.settings.people_kept

    def contact(self, id: str) -> Contact:
        """Somebody by name.

        Raises:
            Unknown: nobody has it.
        """
        if id not in self._people:
            raise Unknown(f"person {id}")
        return self._people[id]

    def chat(self, id: str) -> Chat:
        """A chat by name.

        Raises:
            Unknown: none has it.
        """
        if id not in self._chats:
            raise Unknown(f"chat {id}")
        return self._chats[id]

    # --- what people do; `chat` None: the one with this person

    def say(
        self, person: str, text: str, *, chat: str | None = None, reply_to: str | None = None
    ) -> str:
        """Write; gives the message's id."""
        return self._say(person, chat or person, text, None, reply_to)

    def send(
        self,
        person: str,
        content: bytes,
        *,
        kind: MediaKind,
        mime: str,
        name: str,
        caption: str = "",
        chat: str | None = None,
    ) -> str:
        """Send a file; gives the message's id."""
        ref, size = self.files.keep(content), len(content)
        file = SentFile(ref=ref, kind=kind, mime=mime, name=name, size=size)
        return self._say(person, chat or person, caption, file, None)

    def _say(
        self, person: str, chat: str, text: str, file: SentFile | None, reply_to: str | None
    ) -> str:
        contact, scene = self.contact(person), self.chat(chat)
        line = self._add(scene, person, text, file, reply_to, "")
        scene.wrote_at = self.clock()
        media = None
        if file is not None:
            media = Media(
                ref=file.ref, kind=file.kind, mime=file.mime, name=file.name, size=file.size
            )
        self.tell(
            Received(
                key=f"said:{line.id}",
                chat=chat,
                sender=contact,
                message=line.id,
                at=line.at,
                text=text,
                media=media,
                reply_to=reply_to,
                group=scene.title,
            )
        )
        return line.id

    def edit(self, person: str, message: str, text: str, *, chat: str | None = None) -> None:
        """Replace an own text."""
        line = self._own(person, message, chat or person)
        line.text, line.edited = text, True
        key, at, sender = self._key(), self.now(), self.contact(person)
        where = chat or person
        self.tell(Edited(key=key, chat=where, sender=sender, message=message, at=at, text=text))

    def delete(self, person: str, message: str, *, chat: str | None = None) -> None:
        """Take an own message back."""
        where = chat or person
        self.chat(where).lines.remove(self._own(person, message, where))
        key, at, sender = self._key(), self.now(), self.contact(person)
        self.tell(Deleted(key=key, chat=where, sender=sender, message=message, at=at))

    def react(
        self, person: str, message: str, emoji: str | None, *, chat: str | None = None
    ) -> None:
        """React to a message, or take the reaction back."""
        where = chat or person
        set_reaction(self.chat(where).line(message), person, emoji)
        key, at, sender = self._key(), self.now(), self.contact(person)
        self.tell(Reacted(key=key, chat=where, sender=sender, message=message, at=at, emoji=emoji))

    def read(self, person: str, *, chat: str | None = None) -> None:
        """Read everything that we have sent there."""
        self.contact(person)
        for line in self.chat(chat or person).lines:
            if line.sender == US and not line.read:
                line.read = True
                self._receipt(chat or person, line)

    def block(self, chat: str, *, blocked: bool = True) -> None:
        """Take nothing from us any more, or again."""
        self.chat(chat).blocked = blocked
        self.tell(Reachability(key=self._key(), chat=chat, reachable=not blocked, at=self.now()))

    def move(self, chat: str, now: str) -> None:
        """Give a group another id."""
        old = self.chat(chat)
        self._chats[now] = Chat(old.members, old.title, self.settings.messages_kept)
        old.moved_to = now
        self.tell(ChatMoved(key=self._key(), chat=chat, now=now, at=self.now()))

    # --- what people see

    def lines(self, chat: str) -> list[Line]:
        """What is in a chat now, the oldest first."""
        return list(self.chat(chat).lines)

    def typing(self, chat: str) -> bool:
        """Whether people are shown that somebody types: for 5 s."""
        typed_at = self.chat(chat).typed_at
        return typed_at is not None and self.clock() - typed_at < 5.0

    async def changed(self) -> None:
        """Wait until something happens, on either side."""
        await self._changed.wait()

    # --- for the connector

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock() * 1000)

    def post(
        self,
        chat: str,
        text: str,
        *,
        file: SentFile | None = None,
        reply_to: str | None = None,
        reference: str = "",
    ) -> str:
        """A message of ours; gives its id."""
        scene = self.chat(chat)
        line = self._add(scene, US, text, file, reply_to, reference)
        scene.typed_at = None
        if self.settings.delivers:
            self._receipt(chat, line)
        self.happened()
        return line.id

    def tell(self, event: Event) -> None:
        """Have it polled."""
        self.feed.put(event)
        self.happened()

    def happened(self) -> None:
        """Wake whoever waits for `changed`."""
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()

    def _add(
        self,
        scene: Chat,
        sender: str,
        text: str,
        file: SentFile | None,
        reply_to: str | None,
        reference: str,
    ) -> Line:
        line = Line(
            id=self._id(),
            sender=sender,
            at=self.now(),
            text=text,
            file=file,
            reply_to=reply_to,
            reference=reference,
        )
        scene.lines.append(line)
        return line

    def _own(self, person: str, message: str, chat: str) -> Line:
        line = self.chat(chat).line(message)
        if line.sender != person:
            raise Unknown(f"message {message} of {person}")
        return line

    def _receipt(self, chat: str, line: Line) -> None:
        status: Final = "read" if line.read else "delivered"
        self.tell(
            Receipt(
                key=f"{status}:{line.id}",
                chat=chat,
                status=status,
                at=self.now(),
                message=line.id,
                reference=line.reference or None,
            )
        )

    def _key(self) -> str:
        return f"event:{self._id()}"

    def _id(self) -> str:
        return f"{self._run}-{next(self._numbers)}"


def set_reaction(line: Line, who: str, emoji: str | None) -> None:
    """Show a reaction of somebody's, in place of the one before."""
    line.reactions.pop(who, None)
    if emoji is not None:
        line.reactions[who] = emoji
