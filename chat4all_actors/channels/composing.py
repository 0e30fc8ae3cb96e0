"""What an event becomes on a channel: the calls to make there, in their order.

What a channel can't carry is put in words, so that nobody at the other end is left in the dark:

| what | where the channel does not have it |
|---|---|
| a long text | parts that fit |
| a file | a note with its name and size |
| a caption | a text after the file |
| an answer | the first words of what is answered, before the text |
| an edit | `Edited: …`, as an answer to what was edited |
| a deletion, or one that is too late | a note, as an answer to what was deleted |
| a reaction | a note with the first words of what was reacted to |

The last three are said so, too, where the provider refuses what the channel has.

The same event gives the same calls, so that what was done of it is known by their number; only an
age can change them. Who is refused a call may compose again for a channel without that capability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from chat4all_connectors import rendering
from chat4all_connectors.capabilities import TextLimit
from chat4all_protocol.frames import FileBody, TextBody

if TYPE_CHECKING:
    from chat4all_connectors.capabilities import Capabilities, MediaKind, MediaLimit
    from chat4all_protocol.frames import SendBody

QUOTED: Final = TextLimit(40)
"""Of a message that is quoted."""
UNNAMED: Final = "a file"


# --- what has happened


class Earlier(Struct, frozen=True, kw_only=True):
    """The message that an event is about, as it stands in one chat."""

    messages: tuple[str, ...] = ()
    """The provider's ids of its parts; none: the chat has not seen it."""
    ours: bool = True
    """Whether the account has sent it; else it came from the chat, and only they can change it."""
    words: str = ""
    """What it says, or what its file is called; empty if it was deleted."""
    file_id: str | None = None
    """Of the file that the chat has got with it; None: it was a text."""
    age: float = 0.0
    """Seconds since it was sent."""


class Post(Struct, frozen=True, kw_only=True):
    """Somebody wrote."""

    body: SendBody
    answers: Earlier | None = None


class Edit(Struct, frozen=True, kw_only=True):
    """Somebody replaced what a message says."""

    body: SendBody
    target: Earlier
    answers: Earlier | None = None
    """What the target answers."""


class Deletion(Struct, frozen=True, kw_only=True):
    """Somebody took a message back."""

    target: Earlier


class Reaction(Struct, frozen=True, kw_only=True):
    """Somebody reacted to a message, or took that back."""

    target: Earlier
    emoji: str
    on: bool
    standing: str | None
    """What is to be seen there now: the last of all reactions that were put and not taken back.

    An account has one reaction to a message, for everybody who is not in that chat.
    """


Happened: TypeAlias = Post | Edit | Deletion | Reaction


# --- what is to be done


class SendText(Struct, frozen=True):
    """Send a text that fits."""

    text: str
    reply_to: str | None = None


class SendFile(Struct, frozen=True):
    """Send a file that is taken, with a caption that fits."""

    file: FileBody
    kind: MediaKind
    caption: str = ""
    reply_to: str | None = None


class ReplaceText(Struct, frozen=True):
    """Replace a text, or the caption of a file."""

    message: str
    text: str


class TakeBack(Struct, frozen=True):
    """Delete what was sent."""

    message: str


class React(Struct, frozen=True):
    """Show a reaction, or with None take it back."""

    message: str
    emoji: str | None


Call: TypeAlias = SendText | SendFile | ReplaceText | TakeBack | React
IN_WORDS: Final[dict[type, str]] = {ReplaceText: "edit", TakeBack: "delete", React: "reaction"}
"""What is said in words where the provider refuses it, and the capability that it is of."""


def without(can: Capabilities, call: Call | None) -> Capabilities:
    """The same channel, as if it could not do what this call does."""
    return replace(can, **{IN_WORDS[type(call)]: False})


"""One call of the provider's."""


def calls(happened: Happened, can: Capabilities, *, author: str | None, public: bool) -> list[Call]:
    """What to do about it, in order; nothing if there is nothing to be seen there.

    Args:
        happened: What, and how what it is about stands in this chat.
        can: Of the channel.
        author: Who is named before what is said: in a group, where the account says what several
            people do; None in a private conversation.
        public: Whether files can be fetched from here by a provider that wants that.
    """
    composer = _Composer(can, author, public)
    match happened:
        case Post():
            return composer.post(happened.body, happened.answers)
        case Edit():
            return composer.edit(happened)
        case Deletion():
            return composer.deletion(happened.target)
        case Reaction():
            return composer.reaction(happened)


def first_words(text: str) -> str:
    """At most 40 characters of it, on one line, and `…` if there was more."""
    line = " ".join(text.split())
    return line if QUOTED.fits(line) else rendering.split_text(line, QUOTED)[0] + "…"


class _Composer:
    """For one event."""

    def __init__(self, can: Capabilities, author: str | None, public: bool) -> None:
        self._can = can
        # On one line, as people elsewhere choose what they are called.
        self._author = None if author is None else first_words(author)
        self._public = public

    def post(self, body: SendBody, answers: Earlier | None, mark: str = "") -> list[Call]:
        """Say something, behind a `mark`."""
        reply_to = self._reply_to(answers)
        quote = "" if reply_to is not None else _quote(answers)
        if isinstance(body, TextBody):
            return self._texts(_under(quote, self._signed(mark + body.text)), reply_to)
        return self._file(body, quote, mark, reply_to)

    def edit(self, edit: Edit) -> list[Call]:
        """Replace what is there, if it takes as many texts as before; else say it anew."""
        target, body = edit.target, edit.body
        texts = self._replacing(body, edit.answers)
        if self._may_change(self._can.edit, target) and len(texts) == len(target.messages):
            same = target.file_id == (body.file_id if isinstance(body, FileBody) else None)
            if same:
                return [
                    ReplaceText(message, text)
                    for message, text in zip(target.messages, texts, strict=True)
                ]
        seen = Earlier(messages=target.messages)  # its words are these, and no quotation of it
        if isinstance(body, FileBody) and body.file_id == target.file_id:
            body = TextBody(body.text or body.name or UNNAMED)  # they have the file
        return self.post(body, seen, mark="Edited: ")

    def deletion(self, target: Earlier) -> list[Call]:
        """Take back what the chat has seen."""
        if not target.messages:
            return []
        within = self._can.delete_within
        in_time = within is None or target.age < within
        if in_time and self._may_change(self._can.delete, target):
            return [TakeBack(message) for message in target.messages]
        reply_to = self._reply_to(target)
        what = "A message" if reply_to is None else "This message"
        return self._texts(self._signed(f"{what} was deleted"), reply_to)

    def reaction(self, reaction: Reaction) -> list[Call]:
        """Show it at the first part of the message."""
        target = reaction.target
        if self._can.reaction and target.messages:
            return [React(target.messages[0], reaction.standing)]
        words = first_words(target.words)
        what = f"“{words}”" if words else "a message"
        taken_back = "" if reaction.on else " was taken back"
        note = f"{reaction.emoji} to {what}{taken_back}"
        return self._texts(self._signed(note), self._reply_to(target))

    def _file(self, file: FileBody, quote: str, mark: str, reply_to: str | None) -> list[Call]:
        name, size, mime = file.name or UNNAMED, file.size or 0, file.mime or ""
        limit = self._can.media_for(mime, size)
        if limit is None or (self._can.media_by_url and not self._public):
            note = mark + self._missing(name, size, mime)
            text = f"{note}\n{file.text}" if file.text else note
            return self._texts(_under(quote, self._signed(text)), reply_to)
        text = _under(quote, self._caption(file, mark))
        if self._fits_with(limit, text):
            return [SendFile(file, limit.kind, text, reply_to)]
        return [SendFile(file, limit.kind, reply_to=reply_to), *self._texts(text, None)]

    def _missing(self, name: str, size: int, mime: str) -> str:
        """In place of a file."""
        if self._can.media_for(mime, size) is None and self._can.media_for(mime, 0) is not None:
            return rendering.too_large(name, size)
        return rendering.other(f"{name} ({size / 1_000_000:.1f} MB)")

    def _caption(self, file: FileBody, mark: str = "") -> str:
        """What is said with a file: in a group something in any case, so that its author is."""
        words = file.text or ("" if self._author is None and not mark else file.name or UNNAMED)
        return self._signed(mark + words)

    def _replacing(self, body: SendBody, answers: Earlier | None) -> list[str]:
        """What texts are there of it, if it was sent as it is now."""
        quote = "" if self._reply_to(answers) is not None else _quote(answers)
        if isinstance(body, TextBody):
            return self._parts(_under(quote, self._signed(body.text)))
        caption = _under(quote, self._caption(body))
        limit = self._can.media_for(body.mime or "", body.size or 0)
        fits = bool(caption) and limit is not None and self._fits_with(limit, caption)
        return [caption] if fits else []

    def _fits_with(self, limit: MediaLimit, text: str) -> bool:
        """Whether a text can go with a file, as its caption."""
        return limit.captions and self._can.caption is not None and self._can.caption.fits(text)

    def _parts(self, text: str) -> list[str]:
        """That fit; none if there are only blanks."""
        return rendering.split_text(text, self._can.text) if text.strip() else []

    def _texts(self, text: str, reply_to: str | None) -> list[Call]:
        """Of which the first one answers."""
        return [
            SendText(part, reply_to if number == 0 else None)
            for number, part in enumerate(self._parts(text))
        ]

    def _signed(self, text: str) -> str:
        return text if self._author is None else f"{self._author}: {text}"

    def _reply_to(self, earlier: Earlier | None) -> str | None:
        """What can be pointed to, if there is something."""
        if earlier is None or not self._can.reply or not earlier.messages:
            return None
        return earlier.messages[0]

    def _may_change(self, able: bool, target: Earlier) -> bool:
        return able and target.ours and bool(target.messages)


def _quote(earlier: Earlier | None) -> str:
    words = "" if earlier is None else first_words(earlier.words)
    return f"> {words}" if words else ""


def _under(quote: str, text: str) -> str:
    return f"{quote}\n{text}" if quote and text else quote or text
