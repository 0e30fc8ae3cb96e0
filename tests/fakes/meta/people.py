"""What people do, as the updates that Meta makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.meta import acts
from tests.fakes.meta.model import File, Person

if TYPE_CHECKING:
    from tests.fakes.meta.messaging import Messaging
    from tests.fakes.meta.model import Channel, World
    from tests.fakes.meta.webhooks import Webhooks
    from tests.fakes.meta.whatsapp import WhatsApp


class UnknownPerson(Exception):
    """They have to be made first."""


class OnWhatsApp:
    def __init__(self, world: World, calls: WhatsApp) -> None:
        self._world = world
        self._calls = calls

    def act(self, act: acts.Act, person: Person) -> str:
        """Do it; the id of the message, if it is a new one."""
        match act:
            case acts.Write():
                content: dict[str, Any] = {"type": "text", "text": {"body": act.text}}
                if act.reply_to is not None:
                    content["context"] = {"from": person.id[1:], "id": act.reply_to}
                return self._message(person, content, act.group)
            case acts.Send():
                file = File(f"{next(self._world.numbers) + 10**12}", act.content, act.mime)
                self._world.files[file.id] = file
                what: dict[str, Any] = {
                    "id": file.id,
                    "mime_type": file.mime,
                    "sha256": file.sha256,
                }
                if act.name is not None and act.kind == "document":
                    what["filename"] = act.name
                if act.caption is not None:
                    what["caption"] = act.caption
                return self._message(person, {"type": act.kind, act.kind: what})
            case acts.React():
                reaction = {"message_id": act.message}
                if act.emoji is not None:
                    reaction["emoji"] = act.emoji
                return self._message(person, {"type": "reaction", "reaction": reaction})
            case acts.Edit():
                new = {"type": "text", "text": {"body": act.text}}
                edit = {"original_message_id": act.message, "message": new}
                return self._message(person, {"type": "edit", "edit": edit})
            case acts.Delete():
                revoke = {"original_message_id": act.message}
                return self._message(person, {"type": "revoke", "revoke": revoke})
            case acts.Read() | acts.Deliver():
                status = "read" if isinstance(act, acts.Read) else "delivered"
                self._calls.status(act.message, person.id, status)
            case acts.Fail():
                self._calls.status(act.message, person.id, "failed", act.reference, code=act.code)
            case acts.Raw():
                raise AssertionError("handed on before")
        return ""

    def _message(self, person: Person, content: dict[str, Any], group: str | None = None) -> str:
        world = self._world
        id_ = world.new_id("whatsapp")
        world.note("whatsapp", id_, group or person.id, ours=False)
        person.wrote_at = world.now()
        message: dict[str, Any] = {"id": id_, "timestamp": str(int(world.now())), **content}
        contact: dict[str, Any] = {"profile": {"name": person.name}}
        if person.username is not None:
            contact["profile"]["username"] = person.username
        if person.user_id is not None:
            message["from_user_id"] = contact["user_id"] = person.user_id
        if not person.hides_phone:
            message["from"] = contact["wa_id"] = person.id.removeprefix("+")
        if group is not None:
            message["group_id"] = group
        self._calls.value({"contacts": [contact], "messages": [message]})
        return id_


class OnMessaging:
    """On Messenger and on Instagram."""

    def __init__(self, channel: Channel, world: World, calls: Messaging) -> None:
        self._channel: Channel = channel
        self._world = world
        self._calls = calls

    def act(self, act: acts.Act, person: Person, base: str) -> str:
        """Do it; the id of the message, if it is a new one."""
        match act:
            case acts.Write():
                reply = {} if act.reply_to is None else {"reply_to": {"mid": act.reply_to}}
                return self._message(person, {"text": act.text, **reply})
            case acts.Send():
                attachments = []
                for _ in range(act.count):
                    file = File(f"{next(self._world.numbers)}", act.content, act.mime, act.name)
                    file.channel = self._channel
                    self._world.files[file.id] = file
                    url = f"{base}/_cdn/{file.id}?signature=scripted"
                    attachments.append({"type": act.kind, "payload": {"url": url}})
                caption = {} if act.caption is None else {"text": act.caption}
                return self._message(person, {"attachments": attachments, **caption})
            case acts.React():
                reaction: dict[str, Any] = {"mid": act.message, "action": "unreact"}
                if act.emoji is not None:
                    reaction |= {"action": "react", "reaction": "other", "emoji": act.emoji}
                self._calls.update(person, {"reaction": reaction})
            case acts.Edit():
                edit = {"mid": act.message, "text": act.text, "num_edit": 1}
                self._calls.update(person, {"message_edit": edit})
            case acts.Delete():
                self._calls.update(person, {"message": {"mid": act.message, "is_deleted": True}})
            case acts.Read():
                self._calls.read(person, act.message)
            case acts.Deliver():
                self._calls.delivered(person, [act.message])
            case acts.Fail() | acts.Raw():
                raise AssertionError("WhatsApp's alone, or handed on before")
        return ""

    def _message(self, person: Person, content: dict[str, Any]) -> str:
        id_ = self._world.new_id(self._channel)
        self._world.note(self._channel, id_, person.id, ours=False)
        person.wrote_at = self._world.now()
        self._calls.update(person, {"message": {"mid": id_, **content}})
        return id_


class People:
    """All of them."""

    def __init__(
        self,
        world: World,
        webhooks: Webhooks,
        whatsapp: WhatsApp,
        messaging: dict[Channel, Messaging],
    ) -> None:
        self._world = world
        self._webhooks = webhooks
        self._whatsapp = OnWhatsApp(world, whatsapp)
        self._messaging = {
            channel: OnMessaging(channel, world, calls) for channel, calls in messaging.items()
        }

    def act(self, act: acts.Act, base: str) -> str:
        """Do it; the id of the message, if it is a new one.

        Raises:
            UnknownPerson: there is nobody of that id.
        """
        if isinstance(act, acts.Raw):
            self._webhooks.happened(act.channel, act.update)
            return ""
        person = self._world.person(act.channel, act.person)
        if person is None:
            raise UnknownPerson(act.person)
        if act.channel == "whatsapp":
            return self._whatsapp.act(act, person)
        return self._messaging[act.channel].act(act, person, base)
