"""One call of an account, as its connector makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from chat4all_connectors.outgoing import FileMessage, Message, TemplateMessage
from chat4all_storage.ports.deliveries import reference_of

from .composing import React, ReplaceText, SendFile, SendText, TakeBack

if TYPE_CHECKING:
    from chat4all_connectors.base import Connector
    from chat4all_connectors.capabilities import Capabilities
    from chat4all_storage.ports.deliveries import Delivery

    from .attachments import Attachments
    from .composing import Call


class Template(Struct, frozen=True):
    """An approved text without gaps, for people who have not written for too long."""

    name: str
    language: str


class Caller:
    """Makes the calls of one account."""

    def __init__(
        self, connector: Connector, attachments: Attachments, template: Template | None = None
    ) -> None:
        self._connector = connector
        self._attachments = attachments
        self._template = template if connector.capabilities.templates else None

    @property
    def can(self) -> Capabilities:
        """What the channel can carry."""
        return self._connector.capabilities

    @property
    def public(self) -> bool:
        """Whether providers can fetch files from here."""
        return self._attachments.public

    @property
    def has_template(self) -> bool:
        """Whether there is one, on a channel that has templates."""
        return self._template is not None

    async def make(self, delivery: Delivery, call: Call) -> str | None:
        """Make it; the provider's id of what was sent, if something was.

        Raises:
            SendError: see there.
            StorageError: a file could not be looked up, and nothing was sent.
        """
        connector, chat, reference = self._connector, delivery.chat, reference_of(delivery.id)
        match call:
            case SendText(text, reply_to):
                message = Message(chat=chat, text=text, reply_to=reply_to, reference=reference)
                return (await connector.send_message(message)).message
            case SendFile(file, kind, caption, reply_to):
                found = await self._attachments.of(file.file_id)
                url = await self._attachments.url(found) if self.can.media_by_url else None
                accepted = await connector.send_file(
                    FileMessage(
                        chat=chat,
                        file=self._attachments.upload(found),
                        kind=kind,
                        caption=caption,
                        url=url,
                        reply_to=reply_to,
                        reference=reference,
                    )
                )
                return accepted.message
            case ReplaceText(id_, text):
                await connector.edit(chat, id_, text)
            case TakeBack(id_):
                await connector.delete(chat, id_)
            case React(id_, emoji):
                await connector.react(chat, id_, emoji)
        return None

    async def send_template(self, delivery: Delivery) -> str:
        """Send the template instead, if there is one; the provider's id of it.

        Raises:
            SendError: see there.
        """
        assert self._template is not None  # `has_template`
        template = TemplateMessage(
            chat=delivery.chat,
            name=self._template.name,
            language=self._template.language,
            reference=reference_of(delivery.id),
        )
        return (await self._connector.send_template(template)).message
