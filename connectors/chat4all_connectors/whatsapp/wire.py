"""What WhatsApp's webhooks and answers look like, as far as anything of it is used."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from ..meta.faults import Fault
from ..meta.fields import Id, Seconds

# --- the value of a change of `messages`


class Metadata(Struct, frozen=True):
    """Which of our numbers it is about."""

    phone_number_id: str


class Profile(Struct, frozen=True):
    """What a person shows of themselves."""

    name: str | None = None
    username: str | None = None


class Person(Struct, frozen=True):
    """Somebody who is named in an update."""

    profile: Profile | None = None
    wa_id: str | None = None
    user_id: str | None = None


class Value(Struct, frozen=True):
    """Messages that came, and statuses of those that were sent."""

    metadata: Metadata
    contacts: list[Person] = []
    messages: list[Raw] = []
    statuses: list[Raw] = []
    errors: list[Fault] = []


# --- a message


class Context(Struct, frozen=True):
    """What a message quotes; only that it was forwarded, if it has no id."""

    id: str | None = None


class Text(Struct, frozen=True):
    """Of a message."""

    body: str


class File(Struct, frozen=True):
    """An image, a video, a document, a sound or a sticker."""

    id: Id
    mime_type: str | None = None
    caption: str | None = None
    filename: str | None = None


class Location(Struct, frozen=True):
    """A place, in degrees."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class CardName(Struct, frozen=True):
    """Of somebody on a card."""

    formatted_name: str = ""


class CardPhone(Struct, frozen=True):
    """Of somebody on a card."""

    phone: str | None = None


class Card(Struct, frozen=True):
    """Somebody's name and numbers."""

    name: CardName = CardName()
    phones: list[CardPhone] = []


class Reaction(Struct, frozen=True):
    """To a message; without an emoji it was taken back."""

    message_id: Id
    emoji: str | None = None


class Button(Struct, frozen=True):
    """A button of a template that was pressed."""

    text: str | None = None


class Choice(Struct, frozen=True):
    """What was chosen."""

    title: str = ""
    description: str | None = None


class Interactive(Struct, frozen=True):
    """An answer to buttons, a list or a form."""

    type: str
    button_reply: Choice | None = None
    list_reply: Choice | None = None


class System(Struct, frozen=True):
    """Something about the person: another number."""

    type: str | None = None
    wa_id: str | None = None
    user_id: str | None = None


class Unsupported(Struct, frozen=True):
    """What WhatsApp itself can't hand over."""

    type: str | None = None


class EditedMessage(Struct, frozen=True):
    """The new form of a message."""

    type: str
    text: Text | None = None
    image: File | None = None
    video: File | None = None
    document: File | None = None


class Edit(Struct, frozen=True):
    """That a message has another text now."""

    original_message_id: Id
    message: EditedMessage


class Revoke(Struct, frozen=True):
    """That a message was taken back."""

    original_message_id: Id


class Message(Struct, frozen=True):
    """What somebody sent; the field named as its type has what it is."""

    id: Id
    timestamp: Seconds
    type: str
    from_: str | None = field(name="from", default=None)
    from_user_id: str | None = None
    group_id: str | None = None
    context: Context | None = None
    text: Text | None = None
    image: File | None = None
    video: File | None = None
    document: File | None = None
    audio: File | None = None
    sticker: File | None = None
    location: Location | None = None
    contacts: list[Card] = []
    reaction: Reaction | None = None
    button: Button | None = None
    interactive: Interactive | None = None
    system: System | None = None
    unsupported: Unsupported | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    errors: list[Fault] = []


class Status(Struct, frozen=True):
    """How far a message that was sent has come."""

    id: Id
    status: str
    timestamp: Seconds
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    recipient_type: str | None = None
    recipient_participant_id: str | None = None
    biz_opaque_callback_data: str | None = None
    errors: list[Fault] = []


# --- other changes


class TemplateStatus(Struct, frozen=True):
    """`message_template_status_update`."""

    event: str
    message_template_name: str = ""
    message_template_language: str = ""


class Quality(Struct, frozen=True):
    """`phone_number_quality_update`."""

    event: str
    current_limit: str | None = None


class AccountUpdate(Struct, frozen=True):
    """`account_update`."""

    event: str | None = None


# --- answers


class SentTo(Struct, frozen=True):
    """For whom it was taken."""

    wa_id: str | None = None
    user_id: str | None = None


class SentMessage(Struct, frozen=True):
    """What was taken."""

    id: Id


class Sent(Struct, frozen=True):
    """Of a message that was taken."""

    messages: list[SentMessage]
    contacts: list[SentTo] = []


class Done(Struct, frozen=True):
    """Of whatever has no other answer."""

    success: bool


class Stored(Struct, frozen=True):
    """Of a file that was uploaded."""

    id: Id


class Found(Struct, frozen=True):
    """Where a file is, for five minutes."""

    url: str


class Number(Struct, frozen=True):
    """Our business number."""

    id: str
    display_phone_number: str | None = None
    verified_name: str | None = None
    quality_rating: str | None = None
