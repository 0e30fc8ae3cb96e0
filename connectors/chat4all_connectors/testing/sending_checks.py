"""What holds for every connector: how it sends, and what it says when it can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from chat4all_connectors.errors import (
    Misconfigured,
    NotSupported,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
)
from chat4all_connectors.outgoing import FileMessage, Message, TemplateMessage

from .provider import offered
from .uploads import MemoryUpload

if TYPE_CHECKING:
    from chat4all_connectors.capabilities import MediaLimit

    from .provider import Fault, Subject

TEXTS: Final = (
    "one",
    "two lines\nand three\n\nwith a gap",
    "<b>no</b> *mark* _up_ `at` [all](x) & so on \\ % {} #",
    "olá 世界 👩‍👩‍👧 🇧🇷 e\u0301",
)
"""That arrive as they are."""
PRIVATE: Final = "between you and me"
"""A text that no error may have in it."""
EXAMPLES: Final = {"image": "image/jpeg", "video": "video/mp4", "audio": "audio/mpeg"}


def example_of(limit: MediaLimit) -> tuple[str, str]:
    """A type of this kind, and a name for it."""
    exact = [type_ for type_ in limit.types if "*" not in type_]
    mime = EXAMPLES.get(limit.kind, "application/pdf")
    if not limit.takes(mime, 1) and exact:
        mime = exact[0]
    return mime, f"Prüfung 1.{mime.split('/')[1][:4]}"


class SendingChecks:
    """What is sent arrives, and what is not is told by the right error."""

    async def test_it_says_what_it_can(self, subject: Subject) -> None:
        able = subject.connector.capabilities
        assert subject.connector.channel.isidentifier()
        assert able == subject.connector.capabilities
        assert able.text.most >= 4
        assert min(able.account_rate.per_second, able.chat_rate.per_second) > 0
        assert min(able.account_rate.burst, able.chat_rate.burst) >= 1
        assert all(limit.max_bytes > 0 and limit.types for limit in able.media)
        assert able.delete or able.delete_within is None

    async def test_it_connects_as_often_as_it_is_told_to(self, subject: Subject) -> None:
        identity = await subject.connector.connect()
        assert identity.id
        assert await subject.connector.connect() == identity

    async def test_its_account_does_well(self, subject: Subject) -> None:
        assert (await subject.connector.health()).state in ("connected", "token_expiring")

    @pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
    async def test_a_text_arrives_as_it_was_written(self, subject: Subject, text: str) -> None:
        provider = subject.provider
        accepted = await subject.connector.send_message(Message(chat=provider.chat, text=text))
        [seen] = await provider.seen()
        assert (seen.message, seen.text, seen.file) == (accepted.message, text, None)

    @pytest.mark.parametrize("character", ["x", "é", "😀"])
    async def test_a_text_of_the_greatest_length_arrives(
        self, subject: Subject, character: str
    ) -> None:
        limit = subject.connector.capabilities.text
        text = character * (limit.most // limit.length(character))
        await subject.connector.send_message(Message(chat=subject.provider.chat, text=text))
        assert [seen.text for seen in await subject.provider.seen()] == [text]

    async def test_messages_keep_their_order_and_have_ids_of_their_own(
        self, subject: Subject
    ) -> None:
        messages = [Message(chat=subject.provider.chat, text=f"{number}") for number in range(5)]
        ids = [(await subject.connector.send_message(message)).message for message in messages]
        seen = await subject.provider.seen()
        assert [(one.message, one.text) for one in seen] == list(zip(ids, "01234", strict=True))
        assert len(set(ids)) == 5

    async def test_a_reply_quotes_its_message(self, subject: Subject) -> None:
        if not subject.connector.capabilities.reply:
            pytest.skip("no replies")
        asked = await subject.provider.say("a question")
        await subject.connector.send_message(
            Message(chat=subject.provider.chat, text="an answer", reply_to=asked)
        )
        assert [seen.reply_to for seen in await subject.provider.seen()] == [asked]

    async def test_files_arrive_byte_by_byte(self, subject: Subject) -> None:
        able = subject.connector.capabilities
        for limit in able.media:
            mime, name = example_of(limit)
            content = bytes(range(256)) * 20 + b"\r\n--\r\n" + limit.kind.encode()
            upload = MemoryUpload(content, name=name, mime=mime, piece=1000)
            captions = able.caption is not None and limit.captions
            caption = "with <this> & that" if captions else ""
            url = None
            if able.media_by_url:
                url = await offered(subject.provider.publish(content, mime=mime))
            accepted = await subject.connector.send_file(
                FileMessage(
                    chat=subject.provider.chat,
                    file=upload,
                    kind=limit.kind,
                    caption=caption,
                    url=url,
                )
            )
            seen = (await subject.provider.seen())[-1]
            assert (seen.message, seen.kind, seen.text) == (accepted.message, limit.kind, caption)
            assert seen.file == content
            assert upload.opened == (1 if url is None else 0)

    async def test_a_text_is_replaced_and_may_be_so_again(self, subject: Subject) -> None:
        connector, provider = subject.connector, subject.provider
        if not connector.capabilities.edit:
            pytest.skip("no edits")
        sent = await connector.send_message(Message(chat=provider.chat, text="frist"))
        for _ in range(2):
            await connector.edit(provider.chat, sent.message, "first")
            assert [seen.text for seen in await provider.seen()] == ["first"]

    async def test_a_message_is_taken_back_and_may_be_so_again(self, subject: Subject) -> None:
        connector, provider = subject.connector, subject.provider
        if not connector.capabilities.delete:
            pytest.skip("no deletes")
        sent = await connector.send_message(Message(chat=provider.chat, text="gone"))
        for _ in range(2):
            await connector.delete(provider.chat, sent.message)
            assert await provider.seen() == []

    async def test_a_reaction_is_shown_and_taken_back(self, subject: Subject) -> None:
        connector, provider = subject.connector, subject.provider
        if not connector.capabilities.reaction:
            pytest.skip("no reactions")
        said = await provider.say("look")
        for _ in range(2):
            await connector.react(provider.chat, said, "👍")
            assert await provider.reaction_on(said) == "👍"
        for _ in range(2):
            await connector.react(provider.chat, said, None)
            assert await provider.reaction_on(said) is None

    async def test_typing_and_reading_are_shown(self, subject: Subject) -> None:
        connector, provider = subject.connector, subject.provider
        said = await provider.say("hello?")
        if connector.capabilities.typing is not None:
            await connector.typing(provider.chat, said)
        if connector.capabilities.mark_read:
            await connector.mark_read(provider.chat, said)
        assert await provider.seen() == []

    async def test_a_template_is_filled(self, subject: Subject) -> None:
        if not subject.connector.capabilities.templates:
            pytest.skip("no templates")
        assert subject.provider.template is not None
        await subject.connector.send_template(subject.provider.template)
        seen = await subject.provider.seen()
        assert [one.text for one in seen] == [subject.provider.template_text]

    async def test_what_it_does_not_say_it_can_is_not_supported(self, subject: Subject) -> None:
        connector, chat = subject.connector, subject.provider.chat
        able = connector.capabilities
        template = TemplateMessage(chat=chat, name="hello", language="en")
        for can, call in (
            (able.edit, lambda: connector.edit(chat, "1", "text")),
            (able.delete, lambda: connector.delete(chat, "1")),
            (able.reaction, lambda: connector.react(chat, "1", "👍")),
            (able.typing is not None, lambda: connector.typing(chat, "1")),
            (able.mark_read, lambda: connector.mark_read(chat, "1")),
            (able.templates, lambda: connector.send_template(template)),
        ):
            if not can:
                with pytest.raises(NotSupported):
                    await call()

    # --- what goes wrong

    async def test_too_many_calls_are_throttled(self, subject: Subject) -> None:
        error = await self._failing(subject, "throttled", Throttled)
        assert isinstance(error, Throttled)
        assert error.retry_after is None or error.retry_after > 0
        await self._arrives_once(subject)

    async def test_an_error_of_the_provider_is_transient(self, subject: Subject) -> None:
        await self._failing(subject, "broken", Transient)
        await self._arrives_once(subject)

    async def test_a_connection_that_is_not_taken_is_never_taken_for_sent(
        self, subject: Subject
    ) -> None:
        """A short call may be written whole before that is noticed: then nobody knows."""
        await self._failing(subject, "unreachable", (Transient, UnknownOutcome))
        await self._arrives_once(subject)

    async def test_what_was_taken_without_an_answer_is_unknown(self, subject: Subject) -> None:
        await self._failing(subject, "lost", UnknownOutcome)
        assert [seen.text for seen in await subject.provider.seen()] == [PRIVATE]

    async def test_a_token_that_is_refused_is_a_matter_for_operators(
        self, subject: Subject
    ) -> None:
        await self._failing(subject, "revoked", Misconfigured)
        assert (await subject.connector.health()).state == "dead"

    async def test_a_person_who_takes_nothing_is_unreachable(self, subject: Subject) -> None:
        await offered(subject.provider.block())
        await self._raises(subject, Unreachable)

    async def test_what_is_not_there_is_refused_too(self, subject: Subject) -> None:
        connector, chat, able = (
            subject.connector,
            subject.provider.chat,
            subject.connector.capabilities,
        )
        nowhere = "999999999"
        with pytest.raises(SendError):
            await connector.send_message(Message(chat=subject.provider.nowhere, text="hello"))
        if able.edit:
            with pytest.raises(SendError):
                await connector.edit(chat, nowhere, "text")
        if able.reaction:
            with pytest.raises(SendError):
                await connector.react(chat, nowhere, "👍")
        if able.delete:
            await connector.delete(chat, nowhere)  # is gone already

    async def _failing(
        self,
        subject: Subject,
        fault: Fault,
        expected: type[SendError] | tuple[type[SendError], ...],
    ) -> SendError:
        await offered(subject.provider.fail(fault))
        return await self._raises(subject, expected)

    async def _raises(
        self, subject: Subject, expected: type[SendError] | tuple[type[SendError], ...]
    ) -> SendError:
        with pytest.raises(expected) as caught:
            await subject.connector.send_message(Message(chat=subject.provider.chat, text=PRIVATE))
        told = f"{caught.value!r} {caught.value.message} {caught.value.code}"
        assert not [secret for secret in (*subject.provider.secrets, PRIVATE) if secret in told]
        return caught.value

    async def _arrives_once(self, subject: Subject) -> None:
        """The same call once more does, and nothing had been sent before."""
        await subject.connector.send_message(Message(chat=subject.provider.chat, text=PRIVATE))
        assert [seen.text for seen in await subject.provider.seen()] == [PRIVATE]
