"""What a bot's part of Telegram holds: people, chats, messages, files; and what happens there.

Everything has the shape that the Bot API gives it. Nothing here waits.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


@dataclass
class StoredFile:
    """A file that somebody sent."""

    id: str
    name: str
    mime: str
    content: bytes

    @property
    def path(self) -> str:
        """As `getFile` gives it."""
        return f"files/{self.id}/{self.name}"

    def shape(self, **more: Any) -> Json:
        """As messages have it."""
        return {
            "file_id": self.id,
            "file_unique_id": hashlib.sha256(self.content).hexdigest()[:16],
            "file_size": len(self.content),
            **more,
        }


@dataclass
class Posted:
    """A message in a chat."""

    message: Json
    by_bot: bool
    number: int
    """Counts all messages of the bot's part, so that they have an order over chats."""
    file: StoredFile | None = None
    kind: str = "text"
    deleted: bool = False
    edits: int = 0
    reactions: dict[str, list[Json]] = field(default_factory=dict)
    """By who reacted: a user's id, or `bot`."""


@dataclass
class Chat:
    """Of one person with the bot, or a group."""

    id: int
    shape: Json
    members: set[int] = field(default_factory=set)
    status: str = "left"
    """Of the bot there; a person who has not written yet has not let it in."""
    blocked: bool = False
    deactivated: bool = False
    moved_to: int | None = None
    messages: dict[int, Posted] = field(default_factory=dict)
    last_id: int = 0

    @property
    def private(self) -> bool:
        """Whether it is with one person."""
        return bool(self.shape["type"] == "private")


class Unknown(Exception):
    """The control API was told of something that is not there."""


class World:
    """What one bot can see."""

    def __init__(self, bot: Json, happened: Callable[[str, int, Json], None]) -> None:
        """`happened` takes each update: its kind, its chat, and what it says."""
        self.bot = bot
        self.users: dict[int, Json] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, StoredFile] = {}
        self._happened = happened
        self._numbers = itertools.count(1)

    # --- who is there

    def user(self, id: int, **shape: Any) -> None:
        """Somebody, with a private chat that has not begun."""
        self.users[id] = {"id": id, "is_bot": False, "first_name": f"User {id}", **shape}
        names = {key: value for key, value in self.users[id].items() if key != "is_bot"}
        self.chats.setdefault(id, Chat(id, {**names, "type": "private"}, {id}))

    def group(self, id: int, title: str, members: list[int], *, admin: bool) -> None:
        """A group which the bot is a member of; from -100… on it is a supergroup."""
        type_ = "supergroup" if id < -(10**12) else "group"
        status = "administrator" if admin else "member"
        shape = {"id": id, "title": title, "type": type_}
        self.chats[id] = Chat(id, shape, set(members), status)

    def chat(self, id: int) -> Chat:
        """One of them."""
        if id not in self.chats:
            raise Unknown(f"chat {id}")
        return self.chats[id]

    # --- messages

    def keep_file(self, name: str, mime: str, content: bytes) -> StoredFile:
        """Keep it for `getFile`."""
        file = StoredFile(secrets.token_urlsafe(18), name, mime, content)
        self.files[file.id] = file
        return file

    def post(
        self,
        chat: Chat,
        content: Json,
        *,
        user: int | None,
        reply_to: int | None = None,
        file: StoredFile | None = None,
        kind: str = "text",
    ) -> Posted:
        """A new message; `user` None: of the bot."""
        chat.last_id += 1
        sender = self.bot if user is None else self.users[user]
        message: Json = {
            "message_id": chat.last_id,
            "from": sender,
            "chat": chat.shape,
            "date": int(time.time()),
        }
        if reply_to is not None:
            quoted = dict(chat.messages[reply_to].message)
            quoted.pop("reply_to_message", None)
            message["reply_to_message"] = quoted
        posted = Posted({**message, **content}, user is None, next(self._numbers), file, kind)
        chat.messages[chat.last_id] = posted
        return posted

    def say(
        self,
        chat_id: int,
        user: int,
        content: Json,
        *,
        reply_to: int | None = None,
        file: StoredFile | None = None,
        kind: str = "text",
    ) -> int:
        """Somebody writes; in a private chat that begins it."""
        chat = self.chat(chat_id)
        if user not in chat.members:
            raise Unknown(f"user {user} in chat {chat_id}")
        if chat.private:
            chat.status = "member"
        posted = self.post(chat, content, user=user, reply_to=reply_to, file=file, kind=kind)
        self._happened("message", chat_id, posted.message)
        return int(posted.message["message_id"])

    def edit(self, chat_id: int, user: int, message_id: int, content: Json) -> None:
        """Somebody edits an own message."""
        posted = self._of_user(chat_id, user, message_id)
        posted.message = {**posted.message, **content, "edit_date": int(time.time())}
        posted.edits += 1
        self._happened("edited_message", chat_id, posted.message)

    def react(self, chat_id: int, user: int, message_id: int, reactions: list[Json]) -> None:
        """Somebody has these reactions on a message from now on.

        In groups the bot is told if it is an administrator; in private chats always, which is
        what is seen there though it is not written anywhere.
        """
        chat = self.chat(chat_id)
        posted = chat.messages.get(message_id)
        if posted is None:
            raise Unknown(f"message {message_id}")
        before = posted.reactions.get(str(user), [])
        posted.reactions[str(user)] = reactions
        if chat.private or chat.status == "administrator":
            self._happened(
                "message_reaction",
                chat_id,
                {
                    "chat": chat.shape,
                    "message_id": message_id,
                    "user": self.users[user],
                    "date": int(time.time()),
                    "old_reaction": before,
                    "new_reaction": reactions,
                },
            )

    def member(self, chat_id: int, status: str, by: int) -> None:
        """The bot is let in or kept out: in a private chat it is blocked by `kicked`."""
        chat = self.chat(chat_id)
        before, chat.status = chat.status, status
        chat.blocked = chat.private and status == "kicked"
        self._happened(
            "my_chat_member",
            chat_id,
            {
                "chat": chat.shape,
                "from": self.users[by],
                "date": int(time.time()),
                "old_chat_member": {"user": self.bot, "status": before},
                "new_chat_member": {"user": self.bot, "status": status},
            },
        )

    def migrate(self, chat_id: int, now: int) -> None:
        """A group becomes a supergroup: another chat, which both tell."""
        old = self.chat(chat_id)
        self.group(now, old.shape["title"], sorted(old.members), admin=False)
        old.moved_to = now
        user = min(old.members)
        self.say(chat_id, user, {"migrate_to_chat_id": now})
        self.say(now, user, {"migrate_from_chat_id": chat_id})

    def _of_user(self, chat_id: int, user: int, message_id: int) -> Posted:
        posted = self.chat(chat_id).messages.get(message_id)
        if posted is None or posted.message["from"]["id"] != user:
            raise Unknown(f"message {message_id} of user {user}")
        return posted

    # --- what people have from the bot

    def received(self, chat_id: int | None) -> list[Json]:
        """The bot's messages in their order, with what became of each."""
        posted = [
            (one, chat)
            for chat in self.chats.values()
            for one in chat.messages.values()
            if one.by_bot and chat_id in (None, chat.id)
        ]
        return [
            {
                "number": one.number,
                "chat": chat.id,
                "message_id": one.message["message_id"],
                "text": one.message.get("text", one.message.get("caption", "")),
                "kind": one.kind,
                "file": None if one.file is None else one.file.id,
                "name": None if one.file is None else one.file.name,
                "mime": None if one.file is None else one.file.mime,
                "reply_to": one.message.get("reply_to_message", {}).get("message_id"),
                "edits": one.edits,
                "deleted": one.deleted,
            }
            for one, chat in sorted(posted, key=lambda pair: pair[0].number)
        ]
