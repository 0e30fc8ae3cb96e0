"""One server, Ana at a WebSocket, and people on a made-up Telegram, WhatsApp and Instagram.

The providers are processes of their own, which the server calls over HTTP and which call it back.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from chat4all_client import open_client
from chat4all_protocol.frames import Msg, Receipt
from tests.fakes.meta.acts import Read, Write
from tests.fakes.meta.client import MetaControl, control
from tests.fakes.meta.model import Person, beginning
from tests.fakes.process import run_fake
from tests.fakes.telegram.client import TelegramPeople, open_people
from tests.life.rest import Rest
from tests.support.server import run_command
from tests.support.storage_servers import fetch

from .processes import DatabaseProcess, ServerProcess, server_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from chat4all_client import Client
    from tests.fakes.meta.model import Channel, Entry

PASSWORD: Final = "a password"
TOKEN: Final = "123456:AAfake-token"
SECRET: Final = "told-with-each-call"
TIA: Final = 7001
ANA, BOB = "ana", "bob"
TELEGRAM: Final = f"telegram:{TIA}"
WHATSAPP: Final = "whatsapp:+5511999990000"
INSTAGRAM: Final = "instagram:@isa.on.ig"
EVERYBODY: Final = (TELEGRAM, WHATSAPP, INSTAGRAM)
_ON_META: Final[dict[str, Person]] = {
    WHATSAPP: Person(id="+5511999990000", name="Wanda"),
    INSTAGRAM: Person(id="9000000000001", name="Isa", username="isa.on.ig"),
}
NAMES: Final = {TELEGRAM: "Tia", WHATSAPP: "Wanda", INSTAGRAM: "Isa"}
LOOK: Final = 0.05
"""Seconds between two looks at what other processes have done."""
PACE: Final = 0.02
"""Of the made-up Telegram's waits, to the real ones."""
SETTINGS: Final = {
    "CHAT4ALL_CHANNEL_LEASE": "3",
    "CHAT4ALL_CHANNEL_HEALTH_INTERVAL": "1",
    "CHAT4ALL_CHANNEL_SCHEDULE": "0.2 0.4 0.8 1.6",
}


class Shown(Struct, frozen=True):
    """A message of ours, as somebody there sees it."""

    text: str
    file: bytes | None


class Town:
    """Everything, and what is asked of it."""

    def __init__(
        self, server: ServerProcess, telegram: TelegramPeople, meta: MetaControl, data_dir: Path
    ) -> None:
        self.server = server
        self.telegram = telegram
        self.meta = meta
        self._data_dir = data_dir
        self._database = DatabaseProcess(data_dir)
        self.url = f"ws://127.0.0.1:{server.port}"
        self.token = ""
        self.events: list[Msg] = []
        """What Ana's session was told, in its order."""
        self.receipts: dict[str, tuple[int, int]] = {}
        """Of the group: up to where each member has received, and read."""

    # --- here

    def rest(self) -> Rest:
        return Rest(self.server.port, self.token)

    async def add_users(self) -> None:
        directory = ["--data-dir", str(self._data_dir)]
        await run_command("user", "add", ANA, BOB, "--password", PASSWORD, *directory)
        body = {"username": ANA, "password": PASSWORD}
        answer = await self.ask("POST", "/v1/auth/token", body)
        self.token = answer["access_token"]

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API, until it is there."""
        while True:
            try:
                answer = await trio.to_thread.run_sync(self.rest().ask, method, path, body)
            except (OSError, ValueError):
                await trio.sleep(0.05)
                continue
            if answer.status in (503, 504):
                await trio.sleep(0.05)
                continue
            assert answer.status < 300, answer.body
            return answer.json if answer.body else None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        """Ana's, which comes back whenever it is broken."""
        async with (
            open_client(self.url, token=self.token, device="desk") as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._listen, client)
            yield client
            nursery.cancel_scope.cancel()

    async def _listen(self, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, Msg):
                self.events.append(event)
            elif isinstance(event, Receipt):
                recv, read = self.receipts.get(event.user, (0, 0))
                self.receipts[event.user] = (max(recv, event.recv), max(read, event.read))

    def said_by(self, member: str, conversation: str) -> list[str]:
        """What a member's messages say, as Ana's session was told."""
        return [
            getattr(event.body, "text", None) or ""
            for event in self.events
            if (event.from_, event.conv, event.kind) == (member, conversation, "message")
        ]

    async def kill(self) -> None:
        """kill -9, and another start."""
        await self.server.kill()
        await self.server.start()

    # --- there

    async def write(self, member: str, text: str) -> None:
        """Somebody there writes."""
        if member == TELEGRAM:
            await self.telegram.say(TIA, text)
        else:
            await self.meta.act(
                Write(channel=_channel(member), person=_ON_META[member].id, text=text)
            )

    async def read(self, member: str) -> None:
        """Somebody at Meta's reads everything."""
        last = (await self._entries(member))[-1]
        person = _ON_META[member].id
        await self.meta.act(Read(channel=_channel(member), person=person, message=last.id))

    async def shown(self, member: str) -> list[Shown]:
        """Our messages, as somebody there sees them, in their order."""
        if member == TELEGRAM:
            found = []
            for message in await self.telegram.received(TIA):
                file = message["file"]
                content = None if file is None else await self.telegram.file(file)
                found.append(Shown(message["text"], content))
            return found
        return [
            Shown(entry.text, None if entry.file is None else await self.meta.content(entry))
            for entry in await self._entries(member)
        ]

    async def texts(self, member: str) -> list[str]:
        """What our messages say there; a picture without words is left out."""
        return [each.text for each in await self.shown(member) if each.text]

    async def until_shown(self, member: str, count: int, *authors: str) -> None:
        """Wait until somebody there has seen so many messages, and something of these people."""
        while True:
            texts = await self.texts(member)
            if len(texts) >= count and all(
                any(text.startswith(f"{author}: ") for text in texts) for author in authors
            ):
                return
            await trio.sleep(LOOK)

    # --- what has become of it

    async def states(self, conversation: str, member: str) -> list[set[str]]:
        """Of each message for this member, by its place: how far its parts have come."""
        query = (
            "SELECT array_agg(state) AS states FROM deliveries WHERE conversation = $1"
            " AND address = $2 AND kind = 0 GROUP BY seq ORDER BY seq"
        )
        rows = await trio.to_thread.run_sync(fetch, self._database.dsn, query, conversation, member)
        return [set(row["states"]) for row in rows]

    async def until_carried(self, conversation: str, upto: int) -> None:
        """Wait until nothing up to this place is on its way any more."""
        for member in EVERYBODY:
            while True:
                states = await self.states(conversation, member)
                if len(states) >= upto and not {"queued", "sending"} & {
                    state for of in states for state in of
                }:
                    break
                await trio.sleep(LOOK)

    async def _entries(self, member: str) -> list[Entry]:
        person = _ON_META[member].id
        return await self.meta.shown(_channel(member), person=person, kind="message")


def _channel(member: str) -> Channel:
    return "whatsapp" if member == WHATSAPP else "instagram"


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that other processes do, who set no events."""
    while not happened():  # noqa: ASYNC110 - see above
        await trio.sleep(LOOK)


@asynccontextmanager
async def town(data_dir: Path) -> AsyncIterator[Town]:
    """Everything runs, and everybody has an account; nobody has written yet."""
    async with AsyncExitStack() as stack:
        telegram_url = stack.enter_context(
            run_fake("telegram", "--token", TOKEN, "--pace", str(PACE))
        )
        meta_url = stack.enter_context(run_fake("meta"))
        telegram = await stack.enter_async_context(open_people(telegram_url, TOKEN))
        meta = await stack.enter_async_context(control(meta_url))
        config = data_dir.parent / "chat4all.toml"
        log = stack.enter_context(server_log(data_dir))
        arguments = ["--data-dir", str(data_dir), "--config", str(config)]
        server = ServerProcess(["chat4all_actors"], arguments, log, SETTINGS)
        config.write_text(_configured(server.port, telegram_url, meta_url), encoding="utf-8")
        try:
            await server.start()
            there = Town(server, telegram, meta, data_dir)
            await there.add_users()
            await telegram.user(TIA, "Tia")
            accounts = beginning()
            for member, person in _ON_META.items():
                channel = _channel(member)
                account = accounts[channel]
                account.webhook = f"http://127.0.0.1:{server.port}/v1/channels/{channel}/webhook"
                await meta.person(channel, person)
                answered = await meta.account(channel, account)
                assert answered  # Meta's question whether the address is ours
            while not (await telegram.state())["webhook"]:  # noqa: ASYNC110 - as in `until`
                await trio.sleep(LOOK)
            yield there
        finally:
            with trio.CancelScope(shield=True):
                if server.running:
                    await server.drain()


def _configured(port: int, telegram_url: str, meta_url: str) -> str:
    accounts = beginning()
    whatsapp, instagram = accounts["whatsapp"], accounts["instagram"]
    quick = "http = { connect_seconds = 2, read_seconds = 2 }"

    def meta(account: Any) -> str:
        return (
            f"access_token = {json.dumps(account.access_token)}\n"
            f"app_secret = {json.dumps(account.app_secret)}\n"
            f"verify_token = {json.dumps(account.verify_token)}\n"
            f"base_url = {json.dumps(meta_url)}\ninbox = ['{ANA}']\n{quick}\n"
        )

    return (
        f"public_url = 'http://127.0.0.1:{port}'\n"
        f"[channels.telegram]\ntoken = '{TOKEN}'\nsecret_token = '{SECRET}'\nchat_per_second = 10\n"
        f"base_url = '{telegram_url}'\ninbox = ['{ANA}']\n{quick}\n"
        f"[channels.whatsapp]\nphone_number_id = '{whatsapp.id}'\n{meta(whatsapp)}"
        f"[channels.instagram]\naccount_id = '{instagram.id}'\npage_id = '{instagram.page_id}'\n"
        f"{meta(instagram)}"
    )
