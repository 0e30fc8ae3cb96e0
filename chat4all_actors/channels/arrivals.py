"""What people do on a channel, as it becomes a part of conversations here.

Everything is stored under an id that follows from the provider's key, and what was taken may be
taken again: a holder that dies in between leaves nothing half done, and nothing is stored twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from chat4all_connectors.capabilities import TextLimit
from chat4all_connectors.errors import SendError
from chat4all_connectors.incoming import (
    AccountNotice,
    ChatMoved,
    Deleted,
    Edited,
    Reachability,
    Reacted,
    Received,
)
from chat4all_connectors.rendering import split_text
from chat4all_protocol.codec import decode_body
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import MAX_EMOJI, FileBody, TextBody
from chat4all_storage.ports.deliveries import Sent
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.shard import Range
from chat4all_storage.sharding import everywhere

from ..conversation import appends
from ..conversation.attaching import attached
from ..conversation.storing import Stored, store
from ..files.errors import FileRefused
from .content import REACTIONS
from .placing import Unworkable, id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_connectors.incoming import Media
    from chat4all_protocol.frames import SendBody
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.events import Append, StoredEvent

    from ..conversation.conversations import Conversations
    from ..files.service import FileService
    from .placing import Author, Placing

logger = logging.getLogger(__name__)

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
CUT: Final = " … [shortened]"


class TooEarly(Exception):
    """It is about a message that is not known, and perhaps comes yet: providers keep no order."""


class FetchesMedia(Protocol):
    """Takes over files that people send: see `media.Media`."""

    async def fetch(
        self, id_: str, said: Received, owner: str, conversation: str
    ) -> FileBody | str:
        """The body that a message with this file has, or a note in place of the file.

        Raises:
            SendError: it can't be had for now.
            StorageError: it can't be kept for now.
        """
        ...

    def lost(self, media: Media) -> str:
        """The note in place of a file that is given up."""
        ...


class Arrivals:
    """Of one account."""

    def __init__(
        self,
        account: str,
        placing: Placing,
        stores: ChannelStores,
        conversations: Conversations,
        files: FileService,
        media: FetchesMedia,
        wrote: Callable[[str, str, str, str, int], None],
    ) -> None:
        """`wrote` is told of each message: see `Showing.wrote`."""
        self._account = account
        self._placing = placing
        self._stores = stores
        self._conversations = conversations
        self._files = files
        self._media = media
        self._wrote = wrote
        self._text = TextLimit(conversations.settings.max_text)

    async def take(self, event: object, *, again: bool, last: bool) -> None:
        """Do what follows from an event that is no receipt.

        Args:
            event: Of the connector's.
            again: Whether it may have been taken before, and it is not known how far that came.
            last: Whether this is the last try: what can't be had now is told in words.

        Raises:
            TooEarly: see there.
            Unworkable: see there.
            SendError: a file can't be had for now.
            StorageError: it can't be done for now.
        """
        contacts = self._stores.contacts
        match event:
            case Received():
                await self._received(event, again=again, last=last)
            case Edited():
                await self._edited(event)
            case Deleted():
                await self._deleted(event)
            case Reacted():
                await self._reacted(event)
            case Reachability(chat=chat, reachable=reachable):
                await contacts.note_reachable(self._account, chat, reachable=reachable)
            case ChatMoved(chat=chat, now=now):
                await contacts.note_moved(self._account, chat, now)
            case AccountNotice(severity=severity, text=text):
                logger.log(_LEVELS[severity], "account %s: %s", self._account, text)

    # --- somebody wrote

    async def _received(self, said: Received, *, again: bool, last: bool) -> None:
        author = await self._placing.author(said.chat, said.sender, said)
        conversation, seqs = None, list[int]()
        if again:
            conversation, seqs = await self._standing(said, author)
        if conversation is None:
            conversation, seqs = await self._store_first(said, author, last=last)
        # At once, as somebody may be reading it by now.
        self._wrote(conversation, author.member, author.contact.chat, said.message, seqs[0])
        for number, text in enumerate(self._further(said, author)):
            if len(seqs) <= number + 1:
                id_ = id_of(self._account, said.key, str(number + 1))
                append = appends.message(conversation, author.member, id_, TextBody(text))
                stored = await self._stored(append)
                if stored is None:
                    raise Unworkable("its author left before all of it was stored")
                seqs.append(stored)
        contact = author.contact
        await self._stores.deliveries.note_messages(
            [
                Sent(
                    account=contact.account,
                    chat=contact.chat,
                    message=said.message,
                    conversation=conversation,
                    seq=seqs[0],
                    address=author.member,
                )
            ]
        )
        if contact.conversation != conversation:
            note = self._stores.contacts.note_conversations
            await note([(contact.account, contact.chat, conversation)])

    async def _standing(self, said: Received, author: Author) -> tuple[str | None, list[int]]:
        """Where it was stored before, and which parts of it."""
        conversation, seqs = None, list[int]()
        for number in range(1 + len(self._further(said, author))):
            more = (str(number),) if number else ()
            id_ = id_of(self._account, said.key, *more)
            found = await everywhere.find(self._conversations.shards, id_, author.member)
            own = [each for each in found if each.event.sender == author.member]
            if not own:
                break
            conversation = own[0].conversation
            seqs.append(own[0].event.seq)
        return conversation, seqs

    async def _store_first(
        self, said: Received, author: Author, *, last: bool
    ) -> tuple[str, list[int]]:
        """Store what comes first of it, in the first place that takes it."""
        id_ = id_of(self._account, said.key)
        known = await self._placing.known(author, said.reply_to)
        for place in (*known, None):
            place = place or await self._placing.inbox(author)
            body = await self._body(said, author, place.conversation, last=last)
            append = appends.message(
                place.conversation, author.member, id_, body, reply_to=place.reply_to
            )
            if (seq := await self._stored(append)) is not None:
                return place.conversation, [seq]
        raise Unworkable("its author is no member of the conversation with the inbox any more")

    async def _body(
        self, said: Received, author: Author, conversation: str, *, last: bool
    ) -> SendBody:
        """What is stored first: the file with as much text as fits, or that text."""
        text = self._parts(said, author)[0]
        if said.media is None:
            return TextBody(text)
        id_, owner = id_of(self._account, said.key), author.member
        try:
            got = await self._media.fetch(id_, said, owner, conversation)
        except SendError:
            if not last:
                raise
            got = self._media.lost(said.media)
        if isinstance(got, FileBody):
            return replace(got, text=text or None)
        return TextBody(self._shortened(f"{text}\n[{got}]".lstrip()))

    def _parts(self, said: Received, author: Author) -> list[str]:
        """What was said in texts that fit, at least one; empty beside a file."""
        notes = f"[{said.note}]" if said.note else ""
        text = "\n".join(filter(None, (said.text, notes)))
        if author.name is not None:
            text = f"{author.name}: {text}" if text else f"{author.name}:"
        if not text and said.media is None:
            text = "[an empty message]"
        return split_text(text, self._text) or [text]

    def _further(self, said: Received, author: Author) -> list[str]:
        return self._parts(said, author)[1:]

    def _shortened(self, text: str) -> str:
        if self._text.fits(text):
            return text
        return split_text(text, TextLimit(max(4, self._text.most - len(CUT))))[0] + CUT

    async def _attached(self, append: Append, body: FileBody) -> Append:
        try:
            shards = self._conversations.shards
            return await attached(self._files, shards, append, body, field="body.file_id")
        except FileRefused as error:
            raise Unworkable(f"its file can't be attached: {error.message}") from None

    # --- somebody changed their mind

    async def _edited(self, edited: Edited) -> None:
        author = await self._placing.author(edited.chat, edited.sender)
        event = await self._own(author, edited.message)
        if event is None or event.deleted:
            return
        text = f"{author.name}: {edited.text}" if author.name is not None else edited.text
        text = self._shortened(text)
        body: SendBody = TextBody(text or "[an empty message]")
        said = None if event.body is None else decode_body(event.body)
        if isinstance(said, FileBody):
            body = FileBody(said.file_id, text or None)
        id_ = id_of(self._account, edited.key)
        append = appends.edit(event.conversation, event.sender, id_, event.seq, body)
        if isinstance(body, FileBody):
            append = await self._attached(append, body)
        if not await self._changed(append):
            await self._note(event, edited.key, self._shortened(f"Edited: {text}"))

    async def _deleted(self, deleted: Deleted) -> None:
        contact = await self._stores.contacts.by_id(self._account, [deleted.chat])
        if contact is None:
            raise TooEarly("nobody is known in this chat")
        event = await self._event(contact.chat, deleted.message)
        if event.channel != self._account:
            return  # what was written here, only its author deletes
        append = appends.delete(
            event.conversation, event.sender, id_of(self._account, deleted.key), event.seq
        )
        if not event.deleted and not await self._changed(append):
            await self._note(event, deleted.key, f"[deleted this on {contact.account}]")

    async def _reacted(self, reacted: Reacted) -> None:
        """A person there has one reaction to a message: another one takes its place.

        The people of a group are one member here: what each puts is added, and stays.
        """
        author = await self._placing.author(reacted.chat, reacted.sender)
        event = await self._event(author.contact.chat, reacted.message)
        shards = self._conversations.shards
        found = await shards.reactions(event.conversation, event.seq, REACTIONS)
        standing = [each.emoji for each in found if each.sender == author.member]
        changes: list[tuple[str, bool]] = []
        if author.name is None:
            changes = [(emoji, False) for emoji in standing if emoji != reacted.emoji]
        if reacted.emoji is not None and reacted.emoji not in standing:
            if not 0 < len(reacted.emoji) <= MAX_EMOJI:
                raise Unworkable("its reaction is no emoji")
            changes.append((reacted.emoji, True))
        for emoji, on in changes:
            id_ = id_of(self._account, reacted.key, emoji, "on" if on else "off")
            append = appends.react(event.conversation, author.member, id_, event.seq, emoji, on=on)
            await self._changed(replace(append, channel=self._account))

    async def _own(self, author: Author, message: str) -> StoredEvent | None:
        """The event that a message of this author's is; None: it is somebody else's."""
        event = await self._event(author.contact.chat, message)
        own = event.sender in (author.member, author.contact.address)
        return event if own and event.channel == self._account else None

    async def _event(self, chat: str, message: str) -> StoredEvent:
        messages = self._stores.deliveries.messages
        sent = (await messages(self._account, chat, [message])).get(message)
        if sent is None:
            raise TooEarly("the message is not known")
        wanted = Range(sent.conversation, sent.seq - 1, sent.seq, 1)
        (events,) = await self._conversations.shards.history([wanted])
        if not events:
            raise TooEarly("the message does not stand here")
        return events[0]

    async def _changed(self, append: Append) -> bool:
        """Whether a message was changed; not if that is allowed no more."""
        outcome = await store(self._conversations, append)
        if outcome is None:
            raise Unavailable("what became of it is not known")
        if isinstance(outcome, Stored):
            return True
        if outcome.temporary:
            raise Unavailable(outcome.message)
        return outcome.code != ErrorCode.FORBIDDEN  # it is gone, or its author is

    async def _note(self, event: StoredEvent, key: str, text: str) -> None:
        """Say in words what could not be done to a message."""
        id_ = id_of(self._account, key, "note")
        body = TextBody(text)
        await self._stored(
            appends.message(event.conversation, event.sender, id_, body, reply_to=event.seq)
        )

    # --- storing

    async def _stored(self, append: Append) -> int | None:
        """The seq of a message; None: its author is no member there.

        Raises:
            Unworkable: it is refused for good.
            StorageError: that can't be told now.
        """
        append = replace(append, channel=self._account)
        outcome = await store(self._conversations, append)
        if isinstance(outcome, Stored):
            return outcome.seq
        if outcome is None:
            raise Unavailable("what became of it is not known")
        if outcome.temporary:
            raise Unavailable(outcome.message)
        if outcome.code == ErrorCode.NOT_FOUND:
            return None
        raise Unworkable(f"it is not taken: {outcome.message}")
