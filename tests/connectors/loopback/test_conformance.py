"""The loopback channel passes what every connector has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.errors import Throttled, Transient, UnknownOutcome
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.stage import US, Fault
from chat4all_connectors.outgoing import TemplateMessage
from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.provider import Provider, Seen, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.testing import provider


FAULTS: dict[provider.Fault, Fault] = {
    "throttled": Fault(Throttled("slowly", retry_after=3)),
    "broken": Fault(Transient("broken")),
    "unreachable": Fault(Transient("nobody is there")),
    "lost": Fault(UnknownOutcome("no answer"), acted=True),
}


class OnStage(Provider):
    chat = "ana"
    template = TemplateMessage(chat="ana", name="hello", language="en", parameters=("Ana",))
    template_text = "[hello en] Ana"

    def __init__(self, loopback: Loopback) -> None:
        self._stage = loopback.stage
        self._stage.person("ana", "Ana")

    async def seen(self) -> list[Seen]:
        return [
            Seen(
                message=line.id,
                text=line.text,
                kind=None if line.file is None else line.file.kind,
                name=None if line.file is None else line.file.name,
                file=None if line.file is None else self._stage.files.get(line.file.ref),
                reply_to=line.reply_to,
            )
            for line in self._stage.lines("ana")
            if line.sender == US
        ]

    async def reaction_on(self, message: str) -> str | None:
        return self._stage.chat("ana").line(message).reactions.get(US)

    async def fail(self, fault: provider.Fault) -> None:
        if fault == "revoked":
            self._stage.revoked = True
        else:
            self._stage.faults.append(FAULTS[fault])

    async def say(self, text: str, *, reply_to: str | None = None) -> str:
        return self._stage.say("ana", text, reply_to=reply_to)

    async def send(self, file: bytes, *, mime: str, name: str, caption: str = "") -> str:
        return self._stage.send("ana", file, kind="document", mime=mime, name=name, caption=caption)

    async def edit(self, message: str, text: str) -> None:
        self._stage.edit("ana", message, text)

    async def delete(self, message: str) -> None:
        self._stage.delete("ana", message)

    async def react(self, message: str, emoji: str | None) -> None:
        self._stage.react("ana", message, emoji)

    async def read(self) -> None:
        self._stage.read("ana")

    async def block(self) -> None:
        self._stage.block("ana")


class TestLoopback(ConnectorChecks):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        loopback = Loopback()
        await loopback.connect()
        yield Subject(loopback, OnStage(loopback))
        await loopback.disconnect()
