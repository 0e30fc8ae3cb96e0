"""The kit finds what is wrong with a connector."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from chat4all_connectors.base import Polled, WebhookAnswer, WebhookCall
from chat4all_connectors.errors import Refused, SendError, Transient, UnknownOutcome
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.outgoing import Accepted, FileMessage, Message
from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.provider import Provider, Subject
from tests.connectors.loopback.test_conformance import OnStage

ENDS = (AssertionError, pytest.fail.Exception, SendError, ValueError, KeyError)


class CutsTexts(Loopback):
    async def send_message(self, message: Message) -> Accepted:
        cut = message.text.strip().replace("*", "")
        return await super().send_message(Message(chat=message.chat, text=cut))


class SendsTwice(Loopback):
    async def send_message(self, message: Message) -> Accepted:
        try:
            return await super().send_message(message)
        except UnknownOutcome:
            return await super().send_message(message)


class ForgetsQuotes(Loopback):
    async def send_message(self, message: Message) -> Accepted:
        return await super().send_message(Message(chat=message.chat, text=message.text))


class TellsTexts(Loopback):
    async def send_message(self, message: Message) -> Accepted:
        try:
            return await super().send_message(message)
        except Transient as error:
            raise Transient(f"could not send {message.text}") from error


class TakesAllForTransient(Loopback):
    async def send_message(self, message: Message) -> Accepted:
        try:
            return await super().send_message(message)
        except SendError as error:
            raise Transient("try again") from error


class ReadsFilesTwice(Loopback):
    async def send_file(self, message: FileMessage) -> Accepted:
        async with message.file.open():
            pass
        return await super().send_file(message)


class CantRepeatDeletes(Loopback):
    async def delete(self, chat: str, message: str) -> None:
        if message not in [line.id for line in self.stage.lines(chat)]:
            raise Refused("not found")
        await super().delete(chat, message)


class CantDoWhatItSays(Loopback):
    async def react(self, chat: str, message: str, emoji: str | None) -> None:
        pass


class NamesAllEventsAlike(Loopback):
    async def poll(self, cursor: str | None) -> Polled:
        polled = await super().poll(cursor)
        return Polled([replace(event, key="1") for event in polled.events], polled.cursor)


class TellsSeconds(Loopback):
    async def poll(self, cursor: str | None) -> Polled:
        polled = await super().poll(cursor)
        return Polled([replace(event, at=1_800_000_000) for event in polled.events], polled.cursor)


@pytest.mark.parametrize(
    ("broken", "check", "arguments"),
    [
        (CutsTexts, "a_text_arrives_as_it_was_written", {"text": "*bold*"}),
        (SendsTwice, "what_was_taken_without_an_answer_is_unknown", {}),
        (ForgetsQuotes, "a_reply_quotes_its_message", {}),
        (TellsTexts, "an_error_of_the_provider_is_transient", {}),
        (TakesAllForTransient, "too_many_calls_are_throttled", {}),
        (TakesAllForTransient, "a_token_that_is_refused_is_a_matter_for_operators", {}),
        (TakesAllForTransient, "a_person_who_takes_nothing_is_unreachable", {}),
        (TakesAllForTransient, "what_was_taken_without_an_answer_is_unknown", {}),
        (ReadsFilesTwice, "files_arrive_byte_by_byte", {}),
        (CantRepeatDeletes, "a_message_is_taken_back_and_may_be_so_again", {}),
        (CantDoWhatItSays, "a_reaction_is_shown_and_taken_back", {}),
        (NamesAllEventsAlike, "each_thing_has_a_key_of_its_own_and_keeps_their_order", {}),
        (TellsSeconds, "a_text_that_comes_is_told", {}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_a_connector_that_is_wrong_does_not_pass(
    broken: type[Loopback], check: str, arguments: dict[str, Any]
) -> None:
    passes = getattr(ConnectorChecks(), f"test_{check}")
    sound = Loopback()
    await passes(subject=Subject(sound, OnStage(sound)), **arguments)
    connector = broken()
    with pytest.raises(ENDS):
        await passes(subject=Subject(connector, OnStage(connector)), **arguments)


class Silent(OnStage):
    """Is called back with nothing in it."""

    async def calls(self) -> list[WebhookCall]:
        return [self.signed(b'{"id": 1}')]

    def signed(self, body: bytes) -> WebhookCall:
        return WebhookCall("POST", {}, {}, body)

    def forged(self, call: WebhookCall) -> WebhookCall:
        return call


class BelievesEverybody(Loopback):
    polls = False

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        return WebhookAnswer([] if call.body[:1] == b"{" else [call.body.decode()])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "check",
    [
        "what_is_told_twice_has_the_same_keys",
        "who_does_not_know_the_secret_is_refused",
        "what_can_not_be_read_is_refused",
        "nothing_in_a_call_breaks_it",
    ],
)
async def test_a_connector_that_believes_everybody_does_not_pass(check: str) -> None:
    connector = BelievesEverybody()
    provider: Provider = Silent(connector)
    with pytest.raises((*ENDS, UnicodeDecodeError)):
        await getattr(ConnectorChecks(), f"test_{check}")(Subject(connector, provider))
