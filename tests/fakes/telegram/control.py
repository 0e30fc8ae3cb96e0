"""The control API, at `/_control/BOT/…`: plays the people of a bot, and scripts its troubles."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from chat4all_connectors.testing.http_server import Request, Response, json_response

from .faults import Fault
from .world import Unknown

if TYPE_CHECKING:
    from .bot import Bot

T = TypeVar("T")


class _Command(Struct, forbid_unknown_fields=True):
    pass


class User(_Command):
    """A person whom the bot may come to know."""

    id: int
    first_name: str
    last_name: str = ""
    username: str | None = None


class Group(_Command):
    """A group with the bot in it."""

    id: int
    title: str
    members: list[int]
    admin: bool = False


class SentFile(_Command):
    """A file that a person sends: `field` is what the message has it as."""

    field: str
    name: str
    mime: str
    content: str
    """In base64."""


class Say(_Command):
    """A person writes."""

    chat: int
    user: int
    content: dict[str, Any] = {}
    """As the Bot API has it: `{"text": "…"}`, `{"location": {…}}`."""
    file: SentFile | None = None
    reply_to: int | None = None


class Edit(_Command):
    """A person edits."""

    chat: int
    user: int
    message_id: int
    content: dict[str, Any]


class React(_Command):
    """A person reacts."""

    chat: int
    user: int
    message_id: int
    reactions: list[dict[str, Any]]


class Member(_Command):
    """The bot's place in a chat: `kicked` in a private one is blocked."""

    chat: int
    status: str
    by: int


class Deactivate(_Command):
    """A person's account ends."""

    chat: int


class Migrate(_Command):
    """A group becomes a supergroup."""

    chat: int
    now: int


class NewWebhook(_Command):
    """Somebody else sets it."""

    url: str


class Updates(_Command):
    """How updates are told from now on."""

    hold: bool | None = None
    """True: keep them back. False: tell what was kept."""
    reverse: bool = False
    twice: int = 0


class Pace(_Command):
    """How long waits take from now on: 1 as real."""

    pace: float


class Token(_Command):
    """Whether the token is taken."""

    valid: bool


async def answer(bot: Bot, what: str, request: Request) -> Response:
    """Do what is asked for, at `/_control/BOT/WHAT`."""
    try:
        if request.method == "GET":
            return await _tell(bot, what, request)
        return json_response(_do(bot, what, await request.read()))
    except Unknown as error:
        return json_response({"error": f"there is no {error}"}, 404)
    except msgspec.MsgspecError as error:
        return json_response({"error": str(error)}, 400)


async def _tell(bot: Bot, what: str, request: Request) -> Response:
    if what == "received":
        chat = request.query.get("chat")
        return json_response(bot.world.received(None if chat is None else int(chat)))
    if what == "settled":
        await bot.telling.settled()
        return json_response({"pending": bot.telling.pending()})
    if what == "state":
        return json_response(
            {
                "webhook": bot.methods.webhook.url,
                "pending": bot.telling.pending(),
                "polled": bot.telling.polled,
                "attempts": bot.telling.attempts,
                "calls": bot.calls,
            }
        )
    if what == "reactions":
        chat_id, message_id = int(request.query["chat"]), int(request.query["message_id"])
        posted = bot.world.chat(chat_id).messages.get(message_id)
        return json_response({} if posted is None else posted.reactions)
    if what.startswith("files/"):
        file = bot.world.files.get(what.removeprefix("files/"))
        if file is not None:
            return Response(200, file.content, file.mime)
    raise Unknown(what)


def _do(bot: Bot, what: str, body: bytes) -> Any:
    def given(type_: type[T]) -> T:
        return msgspec.json.decode(body, type=type_)

    world = bot.world
    if what == "users":
        user = given(User)
        shape = {key: value for key, value in msgspec.structs.asdict(user).items() if value}
        world.user(**shape)
    elif what == "groups":
        group = given(Group)
        world.group(group.id, group.title, group.members, admin=group.admin)
    elif what == "say":
        return {"message_id": _say(bot, given(Say))}
    elif what == "edit":
        edit = given(Edit)
        world.edit(edit.chat, edit.user, edit.message_id, edit.content)
    elif what == "react":
        reaction = given(React)
        world.react(reaction.chat, reaction.user, reaction.message_id, reaction.reactions)
    elif what == "member":
        member = given(Member)
        world.member(member.chat, member.status, member.by)
    elif what == "deactivate":
        world.chat(given(Deactivate).chat).deactivated = True
    elif what == "migrate":
        migrate = given(Migrate)
        world.migrate(migrate.chat, migrate.now)
    elif what == "faults":
        bot.faults.add(given(Fault))
    elif what == "webhook":
        bot.methods.webhook.url = given(NewWebhook).url
        bot.telling.webhook_set()
    elif what == "updates":
        updates = given(Updates)
        bot.telling.twice = updates.twice
        if updates.hold is not None:
            bot.telling.held = updates.hold
            if not updates.hold:
                bot.telling.release(reverse=updates.reverse)
    elif what == "pace":
        bot.telling.pace = given(Pace).pace
    elif what == "token":
        bot.valid = given(Token).valid
    else:
        raise Unknown(what)
    return {}


def _say(bot: Bot, say: Say) -> int:
    content = dict(say.content)
    file = None
    if say.file is not None:
        raw = base64.b64decode(say.file.content)
        file = bot.world.keep_file(say.file.name, say.file.mime, raw)
        if say.file.field == "photo":
            small = bot.world.keep_file("thumb.jpg", say.file.mime, b"thumb")
            content["photo"] = [small.shape(width=90, height=60), file.shape(width=900, height=600)]
        else:
            more = content.get(say.file.field, {})
            content[say.file.field] = file.shape(
                file_name=say.file.name, mime_type=say.file.mime, **more
            )
    return bot.world.say(say.chat, say.user, content, reply_to=say.reply_to, file=file)
