"""The Bot API's methods, as strict as the real ones about what they take, and their words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from .parameters import Bad, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import Chat, Json, Posted, StoredFile, World

TEXT: Final = 4096
CAPTION: Final = 1024
PHOTO: Final = 10 * 1024 * 1024
UPLOAD: Final = 50 * 1024 * 1024
DOWNLOAD: Final = 20 * 1024 * 1024
DELETABLE: Final = 48 * 3600
REACTIONS: Final = frozenset(
    "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔🤨😐"
    "🍓🍾💋🖕😈😴😭🤓👻👀🎃🙈😇😨🤝✍🤗🫡🎅🎄☃💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾😡"
) | {"❤\u200d🔥", "👨\u200d💻", "🤷", "🤷\u200d♂", "🤷\u200d♀"}
"""Those that bots may set."""
ACTIONS: Final = frozenset({"typing", "upload_photo", "upload_video", "upload_document"})
KINDS: Final = frozenset(
    {"message", "edited_message", "message_reaction", "my_chat_member", "callback_query"}
)
DEFAULT_KINDS: Final = KINDS - {"message_reaction"}
"""What is told unless it is said otherwise."""

MEDIA: Final = {
    "sendphoto": ("photo", "image", PHOTO),
    "sendvideo": ("video", "video", UPLOAD),
    "sendaudio": ("audio", "audio", UPLOAD),
    "sendvoice": ("voice", "audio", UPLOAD),
    "senddocument": ("document", "document", UPLOAD),
}
"""Method → the parameter that is the file, as what it is shown, and its greatest size."""


class ReplyParameters(Struct, forbid_unknown_fields=True):
    """What a message replies to."""

    message_id: int
    allow_sending_without_reply: bool = False


class Reaction(Struct, forbid_unknown_fields=True):
    """One that is set."""

    type: str
    emoji: str = ""


@dataclass
class Webhook:
    """Where updates are told."""

    url: str = ""
    secret: str = ""
    kinds: frozenset[str] = DEFAULT_KINDS
    connections: int = 40
    error_date: int | None = None
    error: str = ""


@dataclass
class Methods:
    """Those of one bot. `now` is in seconds since the epoch."""

    world: World
    now: Callable[[], float]
    webhook: Webhook = field(default_factory=Webhook)
    pending: Callable[[], int] = int
    """How many updates wait."""
    webhook_set: Callable[[], None] = lambda: None

    def call(self, method: str, given: Parameters) -> Any:
        """The result of a method; `getUpdates` waits, so it is not one of these.

        Raises:
            Bad: an error of the API's.
        """
        name = method.lower()
        if name in MEDIA:
            result: Any = self._send_media(given, *MEDIA[name])
        else:
            does = _METHODS.get(name)
            if does is None:
                raise Bad(404, "Not Found: method not found")
            result = does(self, given)
        return result

    # --- about the bot

    def _get_me(self, given: Parameters) -> Json:
        given.done()
        return {**self.world.bot, "can_join_groups": True, "supports_inline_queries": False}

    def _set_webhook(self, given: Parameters) -> bool:
        url = given.text("url") or ""
        secret = given.text("secret_token") or ""
        kinds = given.json("allowed_updates", list[str], sorted(self.webhook.kinds))
        connections = given.integer("max_connections", 40)
        given.json("drop_pending_updates", bool, False)
        given.done()
        if url and not re.match(r"^https?://[^/]+", url):
            # A real one takes https alone, unless somebody runs their own.
            raise Bad(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", secret):
            raise Bad(400, "Bad Request: secret token contains unallowed characters")
        if not 1 <= connections <= 100:
            raise Bad(400, "Bad Request: max_connections must be between 1 and 100")
        self.webhook = Webhook(url, secret, frozenset(kinds) & KINDS or DEFAULT_KINDS, connections)
        self.webhook_set()
        return True

    def _delete_webhook(self, given: Parameters) -> bool:
        given.json("drop_pending_updates", bool, False)
        given.done()
        self.webhook = Webhook(kinds=self.webhook.kinds)
        self.webhook_set()
        return True

    def _webhook_info(self, given: Parameters) -> Json:
        given.done()
        info = {
            "url": self.webhook.url,
            "has_custom_certificate": False,
            "pending_update_count": self.pending(),
            "max_connections": self.webhook.connections,
            "allowed_updates": sorted(self.webhook.kinds),
        }
        if self.webhook.error_date is not None:
            info["last_error_date"] = self.webhook.error_date
            info["last_error_message"] = self.webhook.error
        return info

    # --- messages

    def _send_text(self, given: Parameters) -> Json:
        chat = self._open(given.chat())
        text = given.text("text")
        reply = self._reply(chat, given)
        given.done()
        content = {"text": _checked(text, TEXT, "message")}
        return self.world.post(chat, content, user=None, reply_to=reply).message

    def _send_media(self, given: Parameters, name: str, kind: str, most: int) -> Json:
        chat = self._open(given.chat())
        caption = given.text("caption")
        reply = self._reply(chat, given)
        sent = given.file(name)
        given.done()
        if len(sent.content) > most:
            raise Bad(413, "Request Entity Too Large")
        if not sent.content:
            raise Bad(400, "Bad Request: file must be non-empty")
        file = self.world.keep_file(sent.name, sent.mime, sent.content)
        content: Json = {name: _shape_of(name, file)}
        if caption:
            content["caption"] = _checked(caption, CAPTION, "message caption")
        posted = self.world.post(chat, content, user=None, reply_to=reply, file=file, kind=kind)
        return posted.message

    def _edit_text(self, given: Parameters) -> Json:
        posted = self._own(given, "edit")
        text = _checked(given.text("text"), TEXT, "message")
        given.done()
        if "text" not in posted.message:
            raise Bad(400, "Bad Request: there is no text in the message to edit")
        return self._edited(posted, "text", text)

    def _edit_caption(self, given: Parameters) -> Json:
        posted = self._own(given, "edit")
        caption = _checked(given.text("caption"), CAPTION, "message caption")
        given.done()
        if "text" in posted.message:
            raise Bad(400, "Bad Request: there is no caption in the message to edit")
        return self._edited(posted, "caption", caption)

    def _edited(self, posted: Posted, field: str, text: str) -> Json:
        if posted.message.get(field) == text:
            raise Bad(
                400,
                "Bad Request: message is not modified: specified new message content and reply "
                "markup are exactly the same as a current content and reply markup of the message",
            )
        posted.message = {**posted.message, field: text, "edit_date": int(self.now())}
        posted.edits += 1
        return posted.message

    def _delete(self, given: Parameters) -> bool:
        chat = self._open(given.chat())
        posted = chat.messages.get(given.integer("message_id"))
        given.done()
        if posted is None or posted.deleted:
            raise Bad(400, "Bad Request: message to delete not found")
        if self.now() - posted.message["date"] > DELETABLE:
            raise Bad(400, "Bad Request: message can't be deleted for everyone")
        if not posted.by_bot and not (chat.private or chat.status == "administrator"):
            raise Bad(400, "Bad Request: message can't be deleted")
        posted.deleted = True
        return True

    def _react(self, given: Parameters) -> bool:
        chat = self._open(given.chat())
        posted = chat.messages.get(given.integer("message_id"))
        reactions = given.json("reaction", list[Reaction], [])
        given.json("is_big", bool, False)
        given.done()
        if posted is None or posted.deleted:
            raise Bad(400, "Bad Request: message to react not found")
        if len(reactions) > 1:
            raise Bad(400, "Bad Request: REACTIONS_TOO_MANY")
        if any(one.type != "emoji" or one.emoji not in REACTIONS for one in reactions):
            raise Bad(400, "Bad Request: REACTION_INVALID")
        posted.reactions["bot"] = [{"type": one.type, "emoji": one.emoji} for one in reactions]
        return True

    def _action(self, given: Parameters) -> bool:
        self._open(given.chat())
        if given.text("action") not in ACTIONS:
            raise Bad(400, "Bad Request: wrong parameter action in request")
        given.done()
        return True

    # --- what can be asked

    def _get_chat(self, given: Parameters) -> Json:
        chat = self._known(given.chat())
        given.done()
        return {**chat.shape, "accent_color_id": 0, "max_reaction_count": 11}

    def _get_file(self, given: Parameters) -> Json:
        file = self.world.files.get(given.text("file_id") or "")
        given.done()
        if file is None:
            raise Bad(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(file.content) > DOWNLOAD:
            raise Bad(400, "Bad Request: file is too big")
        return file.shape(file_path=file.path)

    # --- what is checked

    def _known(self, id: int) -> Chat:
        chat = self.world.chats.get(id)
        if chat is None or (chat.private and chat.status == "left"):
            raise Bad(400, "Bad Request: chat not found")
        return chat

    def _open(self, id: int) -> Chat:
        """A chat in which the bot may write."""
        chat = self.world.chats.get(id)
        if chat is None:
            raise Bad(400, "Bad Request: chat not found")
        if chat.moved_to is not None:
            raise Bad(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.moved_to,
            )
        if chat.deactivated:
            raise Bad(403, "Forbidden: user is deactivated")
        if chat.blocked:
            raise Bad(403, "Forbidden: bot was blocked by the user")
        if chat.private and chat.status == "left":
            raise Bad(403, "Forbidden: bot can't initiate conversation with a user")
        if chat.status == "kicked":
            raise Bad(403, f"Forbidden: bot was kicked from the {chat.shape['type']} chat")
        if chat.status == "left":
            raise Bad(403, f"Forbidden: bot is not a member of the {chat.shape['type']} chat")
        return chat

    def _own(self, given: Parameters, what: str) -> Posted:
        posted = self._open(given.chat()).messages.get(given.integer("message_id"))
        if posted is None or posted.deleted:
            raise Bad(400, f"Bad Request: message to {what} not found")
        if not posted.by_bot:
            raise Bad(400, "Bad Request: message can't be edited")
        return posted

    def _reply(self, chat: Chat, given: Parameters) -> int | None:
        wanted = given.json("reply_parameters", ReplyParameters, None)
        if wanted is None:
            return None
        quoted = chat.messages.get(wanted.message_id)
        if quoted is not None and not quoted.deleted:
            return int(wanted.message_id)
        if wanted.allow_sending_without_reply:
            return None
        raise Bad(400, "Bad Request: message to be replied not found")


def _checked(text: str | None, most: int, what: str) -> str:
    if text is None or not text.strip():
        raise Bad(400, f"Bad Request: {what} text is empty")
    if len(text.encode("utf-16-le")) // 2 > most:
        raise Bad(400, f"Bad Request: {what} is too long")
    return text.strip()


def _shape_of(field: str, file: StoredFile) -> Any:
    if field == "photo":
        return [file.shape(width=90, height=60, file_size=1), file.shape(width=900, height=600)]
    return file.shape(file_name=file.name, mime_type=file.mime)


_METHODS: Final[dict[str, Callable[[Methods, Parameters], Any]]] = {
    "getme": Methods._get_me,
    "setwebhook": Methods._set_webhook,
    "deletewebhook": Methods._delete_webhook,
    "getwebhookinfo": Methods._webhook_info,
    "sendmessage": Methods._send_text,
    "editmessagetext": Methods._edit_text,
    "editmessagecaption": Methods._edit_caption,
    "deletemessage": Methods._delete,
    "setmessagereaction": Methods._react,
    "sendchataction": Methods._action,
    "getchat": Methods._get_chat,
    "getfile": Methods._get_file,
}
