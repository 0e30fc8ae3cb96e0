"""What the Bot API tells, as far as it is used here: the names are its own.

Ids are within 53 bits, and what people write is not bounded here, as it is by the provider.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct, field

Id = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Seconds = Annotated[int, Meta(ge=0, le=2**40)]
"""Since the epoch."""
Size = Annotated[int, Meta(ge=0, le=2**53)]


class User(Struct, frozen=True):
    """Somebody; a bot too."""

    id: Id
    first_name: str = ""
    last_name: str = ""
    username: str | None = None


class Chat(Struct, frozen=True):
    """Of one person, a group or a channel."""

    id: Id
    type: str = ""
    title: str | None = None
    first_name: str = ""
    last_name: str = ""
    username: str | None = None

    @property
    def private(self) -> bool:
        """Whether it is with one person."""
        return self.type == "private"


class File(Struct, frozen=True):
    """Any kind of file."""

    file_id: str
    file_size: Size | None = None
    mime_type: str | None = None
    file_name: str | None = None


class FilePath(Struct, frozen=True):
    """What `getFile` answers."""

    file_path: str | None = None


class Sticker(Struct, frozen=True):
    """A picture that stands for a mood."""

    file_id: str
    is_animated: bool = False
    is_video: bool = False
    emoji: str = ""
    file_size: Size | None = None


class Location(Struct, frozen=True):
    """A place."""

    latitude: float
    longitude: float


class Venue(Struct, frozen=True):
    """A place that has a name."""

    location: Location
    title: str = ""
    address: str = ""


class SharedContact(Struct, frozen=True):
    """Somebody's card."""

    phone_number: str = ""
    first_name: str = ""
    last_name: str = ""


class PollOption(Struct, frozen=True):
    """One that can be chosen."""

    text: str = ""


class Poll(Struct, frozen=True):
    """A question to all."""

    question: str = ""
    options: list[PollOption] = []


class Dice(Struct, frozen=True):
    """A throw."""

    emoji: str = ""
    value: int = 0


class Entity(Struct, frozen=True):
    """What a part of a text is; offsets count UTF-16 code units."""

    type: str
    offset: Annotated[int, Meta(ge=0, le=2**20)]
    length: Annotated[int, Meta(ge=0, le=2**20)]
    url: str | None = None


class Origin(Struct, frozen=True):
    """Whose a forwarded message was."""

    sender_user: User | None = None
    sender_user_name: str | None = None
    sender_chat: Chat | None = None
    chat: Chat | None = None


class Quoted(Struct, frozen=True):
    """The message that one replies to."""

    message_id: Id


class Message(Struct, frozen=True):
    """What somebody sent, or what happened to a chat."""

    message_id: Id
    date: Seconds
    chat: Chat
    sender: User | None = field(default=None, name="from")
    sender_chat: Chat | None = None
    edit_date: Seconds | None = None
    message_thread_id: Id | None = None
    is_topic_message: bool = False
    reply_to_message: Quoted | None = None
    forward_origin: Origin | None = None
    text: str | None = None
    entities: list[Entity] = []
    caption: str | None = None
    caption_entities: list[Entity] = []
    photo: list[File] = []
    """One picture in several sizes."""
    video: File | None = None
    video_note: File | None = None
    animation: File | None = None
    audio: File | None = None
    voice: File | None = None
    document: File | None = None
    sticker: Sticker | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: SharedContact | None = None
    poll: Poll | None = None
    dice: Dice | None = None
    migrate_to_chat_id: Id | None = None
    migrate_from_chat_id: Id | None = None


class Sent(Struct, frozen=True):
    """A message that the bot has sent."""

    message_id: Id
    chat: Chat


class ReactionType(Struct, frozen=True):
    """`emoji`, or another kind."""

    type: str
    emoji: str | None = None


class MessageReaction(Struct, frozen=True):
    """All reactions of somebody to a message, from now on."""

    chat: Chat
    message_id: Id
    date: Seconds
    user: User | None = None
    actor_chat: Chat | None = None
    new_reaction: list[ReactionType] = []


class Member(Struct, frozen=True):
    """What somebody may do in a chat."""

    status: str
    can_send_messages: bool = True
    """Said of restricted members."""


class MemberUpdated(Struct, frozen=True):
    """The bot's membership has changed."""

    chat: Chat
    date: Seconds
    old_chat_member: Member
    new_chat_member: Member


class Update(Struct, frozen=True):
    """One thing that happened; the one kind that is set is what it is."""

    update_id: Id
    message: Message | None = None
    edited_message: Message | None = None
    message_reaction: MessageReaction | None = None
    my_chat_member: MemberUpdated | None = None


class Numbered(Struct, frozen=True):
    """An update of which no more can be read."""

    update_id: Id


class Untyped(Struct, frozen=True):
    """An update whose message is of a kind that is not known here."""

    message: dict[str, Raw] = {}


class WebhookInfo(Struct, frozen=True):
    """How the provider's calls go."""

    url: str = ""
    pending_update_count: int = 0
    last_error_date: Seconds | None = None
    last_error_message: str = ""
