"""The control API from Python, on trio: plays people who write to one bot."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TelegramPeople:
    """Those whom one bot knows, and what goes wrong for it."""

    def __init__(self, client: httpx2.AsyncClient, bot: int) -> None:
        self._client = client
        self._bot = bot

    async def _do(self, what: str, **command: Any) -> Any:
        answer = await self._client.post(f"/_control/{self._bot}/{what}", json=command)
        answer.raise_for_status()
        return answer.json()

    async def _ask(self, what: str, **query: Any) -> Any:
        answer = await self._client.get(f"/_control/{self._bot}/{what}", params=query)
        answer.raise_for_status()
        return answer.json()

    # --- who is there

    async def user(self, id: int, first_name: str, **names: str) -> None:
        """A person; `last_name` and `username` if there are any."""
        await self._do("users", id=id, first_name=first_name, **names)

    async def group(self, id: int, title: str, members: list[int], *, admin: bool = False) -> None:
        """A group with the bot in it; ids from -100… on are of supergroups."""
        await self._do("groups", id=id, title=title, members=members, admin=admin)

    # --- what they do; a chat with one person has the person's id

    async def say(
        self, user: int, text: str, *, chat: int | None = None, reply_to: int | None = None
    ) -> int:
        """Write; gives the message's id."""
        return await self.post(user, {"text": text}, chat=chat, reply_to=reply_to)

    async def post(
        self,
        user: int,
        content: dict[str, Any],
        *,
        chat: int | None = None,
        reply_to: int | None = None,
    ) -> int:
        """Send what has this shape in the Bot API: `{"location": …}`."""
        where = user if chat is None else chat
        given = {"chat": where, "user": user, "content": content, "reply_to": reply_to}
        return int((await self._do("say", **given))["message_id"])

    async def send(
        self,
        user: int,
        field: str,
        file: bytes,
        *,
        name: str,
        mime: str,
        chat: int | None = None,
        **content: Any,
    ) -> int:
        """Send a file as `photo`, `document`, `voice` …, perhaps with a `caption`."""
        sent = {
            "field": field,
            "name": name,
            "mime": mime,
            "content": base64.b64encode(file).decode(),
        }
        where = user if chat is None else chat
        given = {"chat": where, "user": user, "content": content, "file": sent}
        return int((await self._do("say", **given))["message_id"])

    async def edit(self, user: int, message: int, text: str, *, chat: int | None = None) -> None:
        """Replace an own text."""
        where = user if chat is None else chat
        content = {"text": text}
        await self._do("edit", chat=where, user=user, message_id=message, content=content)

    async def react(self, user: int, message: int, *emoji: str, chat: int | None = None) -> None:
        """Have these reactions, in place of those before."""
        where = user if chat is None else chat
        reactions = [{"type": "emoji", "emoji": one} for one in emoji]
        await self._do("react", chat=where, user=user, message_id=message, reactions=reactions)

    async def member(self, chat: int, status: str, *, by: int) -> None:
        """Let the bot in (`member`, `administrator`) or out (`left`, `kicked`)."""
        await self._do("member", chat=chat, status=status, by=by)

    async def block(self, user: int) -> None:
        """Block the bot."""
        await self.member(user, "kicked", by=user)

    async def deactivate(self, user: int) -> None:
        """End the account."""
        await self._do("deactivate", chat=user)

    async def migrate(self, chat: int, now: int) -> None:
        """Make a group a supergroup, of this id."""
        await self._do("migrate", chat=chat, now=now)

    # --- what goes wrong

    async def fail(self, kind: str, **fault: Any) -> None:
        """What the next calls meet, as `faults.Fault` has it."""
        await self._do("faults", kind=kind, **fault)

    async def token(self, *, valid: bool) -> None:
        """Take the token, or not."""
        await self._do("token", valid=valid)

    async def pace(self, pace: float) -> None:
        """Make the fake's waits as long as this times the real ones."""
        await self._do("pace", pace=pace)

    async def webhook(self, url: str) -> None:
        """Have somebody else set the webhook, or take it away."""
        await self._do("webhook", url=url)

    async def hold(self) -> None:
        """Keep back what happens."""
        await self._do("updates", hold=True)

    async def release(self, *, reverse: bool = False) -> None:
        """Tell what was kept back."""
        await self._do("updates", hold=False, reverse=reverse)

    async def twice(self, updates: int = 1) -> None:
        """Tell the next ones twice."""
        await self._do("updates", twice=updates)

    # --- what came of it

    async def received(self, chat: int | None = None) -> list[dict[str, Any]]:
        """All messages of the bot's in their order, as people have them now."""
        query = {} if chat is None else {"chat": chat}
        return list(await self._ask("received", **query))

    async def file(self, id: str) -> bytes:
        """The bytes of a file of the bot's."""
        return (await self._client.get(f"/_control/{self._bot}/files/{id}")).content

    async def reactions(self, chat: int, message: int) -> dict[str, list[dict[str, Any]]]:
        """On a message, by who reacted; the bot is `bot`."""
        return dict(await self._ask("reactions", chat=chat, message_id=message))

    async def settled(self) -> None:
        """Wait until the webhook has taken all that was not kept back."""
        await self._ask("settled")

    async def state(self) -> dict[str, Any]:
        """`webhook`, `pending`, `attempts` to call it, `polled` now, all `calls` of the bot's."""
        return dict(await self._ask("state"))


@asynccontextmanager
async def open_people(
    url: str, token: str, *, username: str | None = None
) -> AsyncIterator[TelegramPeople]:
    """A client for the bot with this token, which is made anew if a user name is given."""
    # Without TLS, for which a context would be made each time.
    async with httpx2.AsyncClient(
        base_url=url, trust_env=False, verify=False, timeout=30
    ) as client:
        if username is not None:
            made = await client.post("/_control/bots", json={"token": token, "username": username})
            made.raise_for_status()
        yield TelegramPeople(client, int(token.partition(":")[0]))
