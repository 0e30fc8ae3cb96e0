"""The call by which Messenger and Instagram send, and the updates that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import httpx2
from msgspec import Meta

from tests.fakes.meta.checking import Form, Strict, checked
from tests.fakes.meta.failing import GraphError
from tests.fakes.meta.model import Channel, Entry, File, Person

if TYPE_CHECKING:
    from tests.fakes.meta.checking import Call
    from tests.fakes.meta.model import Account, World
    from tests.fakes.meta.webhooks import Webhooks

_MB: Final = 1024 * 1024
_APP: Final = 4711
_TYPES: Final[dict[Channel, dict[str, str]]] = {
    "messenger": {"image": "image/", "video": "video/", "audio": "audio/", "file": ""},
    "instagram": {
        "image": "image/",
        "video": "video/",
        "audio": "audio/",
        "file": "application/pdf",
    },
}
_CLOSED: Final[dict[Channel, int]] = {"messenger": 2018278, "instagram": 2534022}

Kind = Literal["image", "video", "audio", "file"]


class To(Strict):
    id: str


class Payload(Strict):
    attachment_id: str | None = None
    url: str | None = None
    is_reusable: bool | None = None


class Attachment(Strict):
    type: Kind
    payload: Payload


class Message(Strict):
    text: Annotated[str, Meta(min_length=1, max_length=1999)] | None = None
    attachment: Attachment | None = None
    metadata: Annotated[str, Meta(min_length=1, max_length=999)] | None = None


class Mid(Strict):
    mid: str


class Send(Strict):
    recipient: To
    message: Message
    messaging_type: Literal["RESPONSE", "UPDATE", "MESSAGE_TAG"] | None = None
    tag: str | None = None
    reply_to: Mid | None = None


class Target(Strict):
    message_id: str
    reaction: str | None = None


class Action(Strict):
    recipient: To
    sender_action: Literal["typing_on", "typing_off", "mark_seen", "react", "unreact"]
    payload: Target | None = None


class Stored(Strict):
    attachment: Attachment


class Messaging:
    def __init__(
        self, channel: Channel, world: World, webhooks: Webhooks, client: httpx2.AsyncClient
    ) -> None:
        """`client` fetches files from their addresses."""
        self._channel: Channel = channel
        self._client = client
        self._world = world
        self._webhooks = webhooks

    # --- calls

    async def messages(self, account: Account, body: Any) -> dict[str, Any]:
        """`POST /<account>/messages`."""
        if isinstance(body, dict) and "sender_action" in body:
            return self._act(checked(body, Action))
        send = checked(body, Send)
        self._allowed(send)
        person = self._person(send.recipient.id)
        self._reaches(person, send)
        entry = await self._content(send)
        id_ = self._world.new_id(self._channel)
        self._world.note(self._channel, id_, person.id, ours=True)
        entry.id, entry.chat = id_, person.id
        self._world.show(self._channel, person, entry)
        self._echo(account, person, entry)
        if person.receipts in ("delivered", "read"):
            self.delivered(person, [id_])
        if person.receipts == "read":
            self.read(person, id_)
        return {"recipient_id": person.id, "message_id": id_}

    def upload(self, account: Account, request: Call, *, by_page: bool) -> dict[str, Any]:
        """`POST /<page>/message_attachments`."""
        fields = {"message"}
        if self._channel == "instagram":
            if not by_page:
                raise GraphError(100, "Unsupported post request", subcode=33)
            fields = {"message", "platform"}
        form = Form(request, field="filedata", fields=frozenset(fields))
        if self._channel == "instagram" and (
            form.values["platform"] != "instagram" or not form.name.isascii()
        ):
            raise GraphError(100, "Instagram takes files with names in ASCII")
        attachment = checked(form.json("message"), Stored).attachment
        if attachment.payload != Payload(is_reusable=True):
            raise GraphError(100, "What is uploaded is reusable")
        number = next(self._world.numbers)
        file = File(f"{number}", form.content, form.mime, form.name, self._channel)
        self._check(attachment.type, file)
        self._world.files[file.id] = file
        return {"attachment_id": file.id}

    def profile(self, person: Person, fields: list[str]) -> dict[str, Any]:
        """`GET /<person>`."""
        if person.wrote_at is None:
            raise GraphError(230, "User consent is required", status=403)
        first, _, last = person.name.partition(" ")
        known = {"name": person.name, "first_name": first, "last_name": last}
        if self._channel == "instagram":
            known = {"name": person.name, "username": person.username or ""}
        if not set(fields) <= set(known):
            raise GraphError(100, "Tried accessing nonexisting field")
        return {name: known[name] for name in fields} | {"id": person.id}

    # --- what comes of them

    def update(self, person: Person, what: dict[str, Any], *, ours: bool = False) -> None:
        """Tell us that something happened between a person and the account."""
        account = self._world.accounts[self._channel]
        us, them = {"id": account.id}, {"id": person.id}
        sender, recipient = (us, them) if ours else (them, us)
        at = int(self._world.now() * 1000)
        self._webhooks.happened(
            self._channel, {"sender": sender, "recipient": recipient, "timestamp": at, **what}
        )

    def delivered(self, person: Person, mids: list[str]) -> None:
        """Messenger alone tells it."""
        if self._channel == "messenger" and self._subscribed("message_deliveries"):
            self.update(person, {"delivery": {"mids": mids, "watermark": self._watermark()}})

    def read(self, person: Person, mid: str) -> None:
        if self._channel == "messenger" and self._subscribed("message_reads"):
            self.update(person, {"read": {"watermark": self._watermark()}})
        if self._channel == "instagram" and self._subscribed("messaging_seen"):
            self.update(person, {"read": {"mid": mid}})

    # --- how

    def _watermark(self) -> int:
        return int(self._world.now() * 1000)

    def _subscribed(self, field: str) -> bool:
        return field in self._world.subscribed.get(self._channel, [])

    def _person(self, id_: str) -> Person:
        person = self._world.person(self._channel, id_)
        if person is None:
            raise GraphError(100, "No matching user found", subcode=2018001)
        return person

    def _allowed(self, send: Send) -> None:
        message = send.message
        if (message.text is None) == (message.attachment is None):
            raise GraphError(100, "A message has a text or an attachment")
        if self._channel == "messenger" and send.messaging_type is None:
            raise GraphError(100, "messaging_type is missing")
        if (send.messaging_type == "MESSAGE_TAG") != (send.tag is not None):
            raise GraphError(100, "MESSAGE_TAG has a tag")
        if send.tag not in (None, "HUMAN_AGENT"):
            raise GraphError(100, "Invalid parameter")
        if self._channel == "instagram":
            if message.metadata is not None:
                raise GraphError(100, "Param message[metadata] is unknown")
            if message.text is not None and len(message.text.encode()) > 1000:
                raise GraphError(100, "Length of param message[text] must be at most 1000")
        if send.reply_to is not None:
            self._known(send.reply_to.mid)

    def _known(self, mid: str) -> None:
        if (self._channel, mid) not in self._world.messages:
            raise GraphError(100, "There is no such message", subcode=33)

    def _reaches(self, person: Person, send: Send) -> None:
        if person.blocked:
            raise GraphError(551, "This person isn't available", subcode=1545041)
        days = 7 if send.tag == "HUMAN_AGENT" else 1
        wrote = person.wrote_at
        if wrote is None or self._world.now() - wrote >= days * 24 * 3600:
            subcode = _CLOSED[self._channel]
            raise GraphError(10, "Outside of the allowed window", status=403, subcode=subcode)

    async def _content(self, send: Send) -> Entry:
        """What it looks like to people, if all of it is right."""
        message = send.message
        reply = None if send.reply_to is None else send.reply_to.mid
        entry = Entry(0, "", "message", "", type="text", text=message.text or "", reply_to=reply)
        entry.reference = message.metadata
        if message.attachment is None:
            return entry
        entry.type = message.attachment.type
        payload = message.attachment.payload
        if (payload.attachment_id is None) == (payload.url is None):
            raise GraphError(100, "An attachment has an id or an address")
        if payload.url is not None:
            file = await self._fetched(payload.url)
            self._check(entry.type, file)
            self._world.files[file.id] = file
        else:
            known = self._world.files.get(payload.attachment_id or "")
            if known is None or known.channel != self._channel:
                raise GraphError(100, "There is no such attachment", subcode=33)
            file = known
        entry.file = file.described()
        return entry

    async def _fetched(self, url: str) -> File:
        try:
            answer = await self._client.get(url)
        except httpx2.HTTPError as error:
            raise GraphError(100, "The file can't be fetched", subcode=2018008) from error
        if answer.status_code != 200:
            raise GraphError(100, "The file can't be fetched", subcode=2018008)
        mime = answer.headers.get("content-type", "").partition(";")[0]
        return File(f"{next(self._world.numbers)}", answer.content, mime, None, self._channel)

    def _check(self, type_: str, file: File) -> None:
        if not file.mime.startswith(_TYPES[self._channel][type_]):
            raise GraphError(100, "The file is of another type", subcode=2018047)
        most = 8 * _MB if self._channel == "instagram" and type_ == "image" else 25 * _MB
        if len(file.content) > most:
            raise GraphError(100, "The file is too large", subcode=2018047)

    def _echo(self, account: Account, person: Person, entry: Entry) -> None:
        if not self._subscribed("message_echoes" if self._channel == "messenger" else "messages"):
            return
        message: dict[str, Any] = {"mid": entry.id, "is_echo": True}
        if self._channel == "messenger":
            message["app_id"] = _APP
        if entry.text:
            message["text"] = entry.text
        if entry.reference is not None:
            message["metadata"] = entry.reference
        self.update(person, {"message": message}, ours=True)

    def _act(self, action: Action) -> dict[str, Any]:
        person = self._person(action.recipient.id)
        name, target = action.sender_action, action.payload
        if (name in ("react", "unreact")) != (target is not None):
            raise GraphError(100, "A reaction has a payload")
        if target is not None:
            if (name == "react") != (target.reaction is not None):
                raise GraphError(100, "To react has a reaction")
            self._known(target.message_id)
        kinds: dict[str, Literal["typing", "seen"]] = {"typing_on": "typing", "mark_seen": "seen"}
        entry = Entry(0, "", kinds.get(name, "reaction"), person.id)
        if target is not None:
            entry.reply_to, entry.text = target.message_id, target.reaction or ""
        if name != "typing_off":
            self._world.show(self._channel, person, entry)
        return {"recipient_id": person.id}
