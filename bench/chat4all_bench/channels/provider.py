"""A provider that speaks as much of Telegram's Bot API as is measured.

`python -m chat4all_bench.channels.provider PEOPLE`: so many people write to each bot once
`/write/TOKEN` was asked for. A bot whose token has `hang` in it is never answered when it sends.
What came is told at `/came/TOKEN`: for each text, which begins with a time of the monotonic clock
and a number, how much later it was here, and when, in microseconds; and how many calls hang.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

POLL: Final = 20.0
"""Seconds that a poll without news waits."""


class Bot:
    """What one token has done."""

    def __init__(self, token: str, people: int) -> None:
        self.hangs = "hang" in token
        self.people = people
        self.may_write = asyncio.Event()
        """Set when the people write."""
        self.sent = 0
        self.delays: list[int] = []
        self.at: list[int] = []
        """When each came, in microseconds of the monotonic clock."""
        self.numbers: list[int] = []
        self.hung = 0
        """Calls that were taken, and not answered."""

    def came(self, text: str) -> None:
        """A text; those of the load begin with a time and a number."""
        now = time.monotonic_ns() // 1000
        began, number, *_ = f"{text}  ".split(" ", 2)
        if began.isdigit():
            self.delays.append(now - int(began))
            self.at.append(now)
            self.numbers.append(int(number))

    async def answer(self, method: str, asked: dict[str, Any]) -> Any:
        """The result of a call."""
        if method == "getMe":
            return {"id": 1, "is_bot": True, "first_name": "bench", "username": "bench"}
        if method == "getWebhookInfo":
            return {"url": "", "pending_update_count": 0}
        if method == "getUpdates":
            if asked.get("offset"):
                await asyncio.sleep(POLL)
                return []
            await self.may_write.wait()
            return [_hello(person) for person in range(1, self.people + 1)]
        if method == "sendMessage":
            if self.hangs:
                self.hung += 1
                await asyncio.Event().wait()
            self.came(asked["text"])
            self.sent += 1
            chat = {"id": int(asked["chat_id"]), "type": "private"}
            return {"message_id": self.sent, "date": 0, "chat": chat}
        return True


def _hello(person: int) -> dict[str, Any]:
    who = {"id": person, "is_bot": False, "first_name": f"person {person}"}
    chat = {"id": person, "type": "private", "first_name": who["first_name"]}
    message = {"message_id": 1, "date": 1, "chat": chat, "from": who, "text": "hello"}
    return {"update_id": person, "message": message}


class Provider:
    """All bots."""

    def __init__(self, people: int) -> None:
        self._people = people
        self._bots: dict[str, Bot] = {}

    def bot(self, token: str) -> Bot:
        """The one with this token."""
        return self._bots.setdefault(token, Bot(token, self._people))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                size = 0
                for line in head.split("\r\n")[1:]:
                    name, _, value = line.partition(":")
                    if name.lower() == "content-length":
                        size = int(value)
                body = await reader.readexactly(size)
                path = head.split(" ", 2)[1]
                said = json.dumps(await self._answer(path, body)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(said), said)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the other side has left
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes) -> Any:
        if path.startswith("/came/"):
            bot = self.bot(path.removeprefix("/came/"))
            return {
                "delays": bot.delays,
                "at": bot.at,
                "numbers": bot.numbers,
                "hung": bot.hung,
            }
        if path.startswith("/write/"):
            self.bot(path.removeprefix("/write/")).may_write.set()
            return {}
        token, method = path.removeprefix("/bot").split("/")
        asked = json.loads(body) if body else {}
        return {"ok": True, "result": await self.bot(token).answer(method, asked)}


async def main(people: int) -> None:
    """Serve on a free port, which is printed, until killed."""
    server = await asyncio.start_server(Provider(people).talk, "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
