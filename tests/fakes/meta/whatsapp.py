"""The calls of the Cloud API, and the updates that follow from them."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta

from tests.fakes.meta.checking import Form, Strict, checked
from tests.fakes.meta.failing import GraphError
from tests.fakes.meta.model import LINK_SECONDS, Entry, File, Group, Person

if TYPE_CHECKING:
    from tests.fakes.meta.checking import Call
    from tests.fakes.meta.model import Account, World
    from tests.fakes.meta.webhooks import Webhooks

_MB: Final = 1024 * 1024
_LIMITS: Final[dict[str, tuple[str, int]]] = {
    "image/jpeg": ("image", 5 * _MB),
    "image/png": ("image", 5 * _MB),
    "image/webp": ("sticker", 500 * 1024),
    "video/mp4": ("video", 16 * _MB),
    "video/3gpp": ("video", 16 * _MB),
    "audio/aac": ("audio", 16 * _MB),
    "audio/amr": ("audio", 16 * _MB),
    "audio/mpeg": ("audio", 16 * _MB),
    "audio/mp4": ("audio", 16 * _MB),
    "audio/ogg": ("audio", 16 * _MB),
    "text/plain": ("document", 100 * _MB),
    "application/pdf": ("document", 100 * _MB),
    "application/msword": ("document", 100 * _MB),
}
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_USER: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")

Caption = Annotated[str, Meta(min_length=1, max_length=1024)]


class Text(Strict):
    body: Annotated[str, Meta(min_length=1, max_length=4096)]
    preview_url: bool = False


class Picture(Strict):
    id: str
    caption: Caption | None = None


class Document(Strict):
    id: str
    caption: Caption | None = None
    filename: str | None = None


class Sound(Strict):
    id: str
    voice: bool = False


class Reaction(Strict):
    message_id: str
    emoji: str


class Language(Strict):
    code: str
    policy: Literal["deterministic"] = "deterministic"


class Parameter(Strict):
    type: Literal["text"]
    text: str


class Component(Strict):
    type: Literal["body"]
    parameters: list[Parameter]


class Template(Strict):
    name: str
    language: Language
    components: list[Component] | None = None


class Context(Strict):
    message_id: str


class Send(Strict):
    messaging_product: Literal["whatsapp"]
    type: Literal["text", "image", "video", "audio", "document", "reaction", "template"]
    recipient_type: Literal["individual", "group"] = "individual"
    to: str | None = None
    recipient: str | None = None
    context: Context | None = None
    biz_opaque_callback_data: Annotated[str, Meta(max_length=512)] | None = None
    text: Text | None = None
    image: Picture | None = None
    video: Picture | None = None
    audio: Sound | None = None
    document: Document | None = None
    reaction: Reaction | None = None
    template: Template | None = None


class Indicator(Strict):
    type: Literal["text"]


class Seen(Strict):
    messaging_product: Literal["whatsapp"]
    status: Literal["read"]
    message_id: str
    typing_indicator: Indicator | None = None


class WhatsApp:
    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks

    # --- calls

    def messages(self, account: Account, body: Any) -> dict[str, Any]:
        """`POST /<number>/messages`."""
        if isinstance(body, dict) and "status" in body:
            return self._seen(checked(body, Seen))
        send = checked(body, Send)
        content = getattr(send, send.type)
        given = [name for name in _CONTENTS if getattr(send, name) is not None]
        if content is None or given != [send.type]:
            raise GraphError(131008, f"A message of type {send.type} has {send.type} alone")
        chat = self._chat(send)
        if send.context is not None:
            self._known(send.context.message_id)
        shown = self._content(account, send)
        people = self._people(chat)
        id_ = self._world.new_id("whatsapp")
        if send.type != "reaction":
            self._world.note("whatsapp", id_, chat, ours=True)
        for person in people:
            self._arrives(send, shown, id_, chat, person)
        if not people:
            self.status(id_, chat, "failed", send.biz_opaque_callback_data, code=131026)
        return self._answer(send, id_, people)

    def upload(self, account: Account, request: Call) -> dict[str, Any]:
        """`POST /<number>/media`."""
        form = Form(request, field="file", fields=frozenset({"messaging_product", "type"}))
        if form.values["messaging_product"] != "whatsapp":
            raise GraphError(100, "messaging_product is whatsapp")
        limit = _LIMITS.get(form.mime)
        if form.values["type"] != form.mime or limit is None:
            raise GraphError(131053, f"Files of type {form.values['type']} are not taken")
        if len(form.content) > limit[1] or not form.content:
            raise GraphError(131053, "The file is too large")
        file = File(str(next(self._world.numbers) + 10**12), form.content, form.mime, form.name)
        self._world.files[file.id] = file
        return {"id": file.id}

    def media(self, account: Account, file: File, query: dict[str, str], base: str) -> Any:
        """`GET /<file>`: an address that works for a while."""
        if query.get("phone_number_id", account.id) != account.id:
            raise GraphError(100, "The file is not of this number", subcode=33)
        link = secrets.token_urlsafe(12)
        self._world.links[link] = (file.id, self._world.now() + LINK_SECONDS)
        return {
            "messaging_product": "whatsapp",
            "url": f"{base}/_media/{link}",
            "mime_type": file.mime,
            "sha256": file.sha256,
            "file_size": len(file.content),
            "id": file.id,
        }

    def number(self, account: Account) -> dict[str, Any]:
        """`GET /<number>`."""
        return {
            "id": account.id,
            "display_phone_number": "+55 11 5555-0000",
            "verified_name": account.name,
            "quality_rating": account.quality_rating,
        }

    # --- what comes of them

    def status(
        self,
        id_: str,
        chat: str,
        status: str,
        reference: str | None = None,
        *,
        participant: str | None = None,
        code: int | None = None,
    ) -> None:
        """Tell us how far a message has come."""
        item: dict[str, Any] = {
            "id": id_,
            "status": status,
            "timestamp": str(int(self._world.now())),
        }
        person = self._world.person("whatsapp", chat)
        if chat in self._world.groups:
            item |= {"recipient_id": chat, "recipient_type": "group"}
            if participant is not None:
                item["recipient_participant_id"] = participant.removeprefix("+")
        elif person is not None and person.hides_phone:
            item["recipient_user_id"] = person.user_id
        else:
            item["recipient_id"] = chat.removeprefix("+")
            if person is not None and person.user_id is not None:
                item["recipient_user_id"] = person.user_id
        if reference is not None:
            item["biz_opaque_callback_data"] = reference
        if code is not None:
            error = {"code": code, "title": "scripted", "message": "scripted"}
            item["errors"] = [error | {"error_data": {"details": f"to {chat}"}}]
        self.value({"statuses": [item]})

    def value(self, value: dict[str, Any], *, field: str = "messages") -> None:
        """Tell us of a change."""
        account = self._world.accounts["whatsapp"]
        metadata = {"display_phone_number": "551155550000", "phone_number_id": account.id}
        whole: dict[str, Any] = {"messaging_product": "whatsapp", "metadata": metadata}
        self._webhooks.happened("whatsapp", {"field": field, "value": {**whole, **value}})

    # --- how

    def _chat(self, send: Send) -> str:
        if (send.to is None) == (send.recipient is None):
            raise GraphError(131008, "A message has to or recipient")
        if send.recipient_type == "group":
            if send.to not in self._world.groups:
                raise GraphError(131020, "There is no such group")
            if send.type == "reaction":
                raise GraphError(131051, "A group takes no reactions")
            return send.to
        if send.recipient is not None:
            if not _USER.fullmatch(send.recipient):
                raise GraphError(131009, "recipient is a user id")
            person = self._world.person("whatsapp", send.recipient)
            return send.recipient if person is None else person.id
        assert send.to is not None  # one of the two is there
        if not _PHONE.fullmatch(send.to):
            raise GraphError(131009, "to is a phone number with + and country code")
        return send.to

    def _people(self, chat: str) -> list[Person]:
        group: Group | None = self._world.groups.get(chat)
        members = [chat] if group is None else group.members
        found = [self._world.person("whatsapp", member) for member in members]
        return [person for person in found if person is not None]

    def _known(self, id_: str) -> None:
        if ("whatsapp", id_) not in self._world.messages:
            raise GraphError(131009, "There is no such message")

    def _content(self, account: Account, send: Send) -> Entry:
        """What it looks like to people, if all of it is right."""
        entry = Entry(0, "", "message", "", type=send.type, reference=send.biz_opaque_callback_data)
        entry.reply_to = None if send.context is None else send.context.message_id
        if send.text is not None:
            entry.text = send.text.body
        elif send.reaction is not None:
            self._known(send.reaction.message_id)
            entry.kind, entry.text = "reaction", send.reaction.emoji
            entry.reply_to = send.reaction.message_id
        elif send.template is not None:
            name = f"{send.template.name}/{send.template.language.code}"
            wanted = account.templates.get(name)
            given = [
                part.text
                for component in send.template.components or []
                for part in component.parameters
            ]
            if wanted is None:
                raise GraphError(132001, "There is no such template", status=404)
            if wanted != len(given):
                raise GraphError(132000, "The number of parameters is another one")
            entry.text = " ".join([name, *given])
        else:
            picture = send.image or send.video or send.audio or send.document
            assert picture is not None  # the type has its content
            file = self._world.files.get(picture.id)
            if file is None:
                raise GraphError(100, "There is no such file", subcode=33)
            if _LIMITS[file.mime][0] != send.type:
                raise GraphError(131053, "The file is of another type")
            entry.text = getattr(picture, "caption", None) or ""
            entry.file = file.described() | {"name": getattr(picture, "filename", None)}
        return entry

    def _arrives(self, send: Send, shown: Entry, id_: str, chat: str, person: Person) -> None:
        reference = send.biz_opaque_callback_data
        in_group = chat in self._world.groups
        participant = person.id if in_group else None
        if person.blocked:
            self.status(id_, chat, "failed", reference, participant=participant, code=131026)
            return
        if not in_group and send.type != "template" and not self._world.window_is_open(person):
            self.status(id_, chat, "failed", reference, code=131047)
            return
        entry = Entry(**{**_fields(shown), "id": id_, "chat": chat})
        self._world.show("whatsapp", person, entry)
        steps = ("sent",) if send.type == "reaction" else ("sent", "delivered", "read")
        for step in steps:
            if person.receipts == "none":
                return
            self.status(id_, chat, step, reference, participant=participant)
            if step == person.receipts:
                return

    def _answer(self, send: Send, id_: str, people: list[Person]) -> dict[str, Any]:
        message: dict[str, Any] = {"id": id_}
        if send.recipient_type == "group":
            message["group_id"] = send.to
        contact: dict[str, Any] = {"input": send.to or send.recipient}
        if send.recipient_type == "individual" and people:
            if not people[0].hides_phone:
                contact["wa_id"] = people[0].id.removeprefix("+")
            if people[0].user_id is not None:
                contact["user_id"] = people[0].user_id
        elif send.to is not None:
            contact["wa_id"] = send.to.removeprefix("+")
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}

    def _seen(self, seen: Seen) -> dict[str, Any]:
        self._known(seen.message_id)
        message = self._world.messages["whatsapp", seen.message_id]
        if message.ours or message.chat in self._world.groups:
            raise GraphError(131009, "Only what one person wrote is marked")
        person = self._world.person("whatsapp", message.chat)
        assert person is not None  # they wrote it
        entry = Entry(0, "", "seen", message.chat, id=seen.message_id)
        self._world.show("whatsapp", person, entry)
        if seen.typing_indicator is not None:
            self._world.show("whatsapp", person, Entry(0, "", "typing", message.chat))
        return {"success": True}


_CONTENTS: Final = ("text", "image", "video", "audio", "document", "reaction", "template")


def _fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}
