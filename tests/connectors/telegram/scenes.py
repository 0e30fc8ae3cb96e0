"""A bot on the fake Telegram, with one person who has begun to write to it."""

from __future__ import annotations

import itertools
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chat4all_connectors.base import WebhookCall
from chat4all_connectors.http import HttpSettings
from chat4all_connectors.telegram.connector import SECRET_HEADER, Telegram
from chat4all_connectors.telegram.settings import TelegramSettings
from chat4all_connectors.testing.callback import Callback, open_callback
from chat4all_connectors.testing.provider import Fault, NotOffered, Provider, Seen
from tests.fakes.telegram.client import TelegramPeople, open_people

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.incoming import Event

SECRET: Final = "a-secret_token"
ANA: Final = 5_000_000_001
BOTS: Final = itertools.count(1000 * os.getpid())


@dataclass
class Scene:
    """What a test works with."""

    telegram: Telegram
    people: TelegramPeople
    callback: Callback
    settings: TelegramSettings

    async def events(self) -> list[Event]:
        """What was told by webhook since the last time."""
        await self.people.settled()
        calls = self.callback.take()
        return [event for call in calls for event in self.telegram.handle_webhook(call).events]


@asynccontextmanager
async def open_scene(
    fake: str, *, mode: str = "webhook", connect: bool = True, **more: object
) -> AsyncIterator[Scene]:
    """A bot of its own, connected, and Ana, who has sent `/start`."""
    token = f"{next(BOTS)}:AAF-token_of-a-bot"
    given = {"token": token, "base_url": fake, "mode": mode, "secret_token": SECRET, **more}
    settings = TelegramSettings(http=HttpSettings(connect_seconds=5), **given)  # type: ignore[arg-type]
    async with open_people(fake, token, username="our_bot") as people, open_callback() as callback:
        telegram = Telegram(settings, callback_url=callback.url)
        await people.user(ANA, "Ana", last_name="Silva", username="ana")
        if connect:
            await telegram.connect()
        await people.say(ANA, "/start")
        scene = Scene(telegram, people, callback, settings)
        if connect and mode == "webhook":
            await scene.events()
        elif connect:
            await telegram.poll((await telegram.poll(None)).cursor)
        yield scene
        await telegram.disconnect()


class TelegramProvider(Provider):
    """Ana, for the conformance kit."""

    chat = str(ANA)

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._people = scene.people
        self.secrets = (scene.settings.token, SECRET, scene.settings.base_url)

    async def seen(self) -> list[Seen]:
        return [
            Seen(
                message=str(one["message_id"]),
                text=one["text"],
                kind=None if one["kind"] == "text" else one["kind"],
                name=one["name"],
                file=None if one["file"] is None else await self._people.file(one["file"]),
                reply_to=None if one["reply_to"] is None else str(one["reply_to"]),
            )
            for one in await self._people.received(ANA)
            if not one["deleted"]
        ]

    async def reaction_on(self, message: str) -> str | None:
        ours = (await self._people.reactions(ANA, int(message))).get("bot", [])
        return ours[0]["emoji"] if ours else None

    async def fail(self, fault: Fault) -> None:
        if fault == "throttled":
            text = "Too Many Requests: retry after 3"
            await self._people.fail("error", code=429, description=text, retry_after=3)
        elif fault == "broken":
            await self._people.fail("error")
        elif fault == "lost":
            await self._people.fail("drop")
        elif fault == "unreachable":
            await self._people.fail("refuse")
        else:
            await self._people.token(valid=False)

    async def say(self, text: str, *, reply_to: str | None = None) -> str:
        quoted = None if reply_to is None else int(reply_to)
        return str(await self._people.say(ANA, text, reply_to=quoted))

    async def send(self, file: bytes, *, mime: str, name: str, caption: str = "") -> str:
        field = "photo" if mime == "image/jpeg" else "document"
        sent = await self._people.send(ANA, field, file, name=name, mime=mime, caption=caption)
        return str(sent)

    async def edit(self, message: str, text: str) -> None:
        await self._people.edit(ANA, int(message), text)

    async def react(self, message: str, emoji: str | None) -> None:
        await self._people.react(ANA, int(message), *([] if emoji is None else [emoji]))

    async def block(self) -> None:
        await self._people.block(ANA)

    async def calls(self) -> list[WebhookCall]:
        if self._scene.telegram.polls:
            raise NotOffered
        await self._people.settled()
        return self._scene.callback.take()

    def signed(self, body: bytes) -> WebhookCall:
        return WebhookCall("POST", {}, {SECRET_HEADER: SECRET}, body)

    def forged(self, call: WebhookCall) -> WebhookCall:
        headers = {**call.headers, SECRET_HEADER: SECRET[:-1] + "ñ"}
        return WebhookCall(call.method, call.query, headers, call.body)
