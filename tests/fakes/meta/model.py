"""What there is at the made-up Meta: accounts, people, groups, files, and what they received."""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

Channel = Literal["whatsapp", "messenger", "instagram"]
CHANNELS: Final[tuple[Channel, ...]] = ("whatsapp", "messenger", "instagram")
Receipts = Literal["none", "sent", "delivered", "read"]

DAY: Final = 24 * 3600.0
LINK_SECONDS: Final = 300.0
"""For which the address of a WhatsApp file works."""


class Account(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ours at Meta. Its defaults are what the fake starts with."""

    id: str
    """`phone_number_id`, `page_id` or `account_id`."""
    name: str = "Café da Ana"
    access_token: str = "EAAtoken"
    app_secret: str = "appsecret"
    verify_token: str = "verify"
    webhook: str = ""
    """Where updates go; empty: nowhere."""
    entry_id: str = ""
    """In webhooks, if it is another one: of the WhatsApp business account."""
    page_id: str = ""
    """Of Instagram's: the page with Facebook Login."""
    quality_rating: str = "GREEN"
    templates: dict[str, int] = {}
    """By `name/language`: the number of parameters of its body."""


def beginning() -> dict[Channel, Account]:
    """The accounts until the control API says otherwise."""
    return {
        "whatsapp": Account(id="106540352242922", entry_id="102290129340398"),
        "messenger": Account(id="110000000000001"),
        "instagram": Account(id="178414000000001", page_id="110000000000002"),
    }


class Person(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody on one channel."""

    id: str
    """PSID, IGSID, or on WhatsApp the phone number with `+`."""
    name: str = "Ana"
    username: str | None = None
    user_id: str | None = None
    """On WhatsApp: their BSUID."""
    hides_phone: bool = False
    """On WhatsApp: webhooks have the BSUID alone."""
    receipts: Receipts = "delivered"
    """How far what they get comes by itself."""
    blocked: bool = False
    """Whether they take nothing from us."""
    wrote_at: float | None = None
    """By the fake's clock, in seconds since the epoch."""


class Group(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """On WhatsApp."""

    id: str
    members: list[str]


@dataclass
class File:
    id: str
    content: bytes
    mime: str
    name: str | None = None
    channel: Channel = "whatsapp"

    @property
    def sha256(self) -> str:
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()

    def described(self) -> dict[str, Any]:
        """As it is shown to people; its bytes are at `GET /_control/files/<id>`."""
        return {"id": self.id, "name": self.name, "mime": self.mime, "size": len(self.content)}


@dataclass
class Message:
    """In a chat, by whomever."""

    id: str
    chat: str
    ours: bool
    at: float


@dataclass
class Entry:
    """What a person was shown, as `GET /_control/<channel>/received` tells it."""

    number: int
    person: str
    kind: Literal["message", "reaction", "typing", "seen"]
    chat: str
    id: str = ""
    type: str = ""
    text: str = ""
    reply_to: str | None = None
    reference: str | None = None
    file: dict[str, Any] | None = None


@dataclass
class World:
    accounts: dict[Channel, Account] = field(default_factory=dict)
    people: dict[tuple[Channel, str], Person] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    links: dict[str, tuple[str, float]] = field(default_factory=dict)
    """WhatsApp's addresses of files: the file, and when it ends."""
    messages: dict[tuple[Channel, str], Message] = field(default_factory=dict)
    subscribed: dict[Channel, list[str]] = field(default_factory=dict)
    shown: dict[Channel, list[Entry]] = field(default_factory=lambda: {c: [] for c in CHANNELS})
    ahead: float = 0.0
    """Seconds by which the clock was set forward."""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> float:
        """In seconds since the epoch."""
        return time.time() + self.ahead

    def new_id(self, channel: Channel) -> str:
        """Of a message: of the form that the channel's have."""
        number = next(self.numbers)
        if channel == "whatsapp":
            return "wamid." + base64.b64encode(f"HBgLfake{number:08d}".encode()).decode()
        return ("m_" if channel == "messenger" else "aWdf") + f"fake{number:08d}_-AZ"

    def person(self, channel: Channel, address: str) -> Person | None:
        """By any of their ids."""
        known = self.people.get((channel, address))
        if known is not None or channel != "whatsapp":
            return known
        found = (p for (c, _), p in self.people.items() if c == channel and p.user_id == address)
        return next(found, None)

    def window_is_open(self, person: Person) -> bool:
        return person.wrote_at is not None and self.now() - person.wrote_at < DAY

    def note(
        self, channel: Channel, id_: str, chat: str, *, ours: bool, at: float | None = None
    ) -> Message:
        """Remember that there is such a message."""
        message = Message(id_, chat, ours, self.now() if at is None else at)
        self.messages[channel, id_] = message
        return message

    def show(self, channel: Channel, person: Person, entry: Entry) -> None:
        """Have a person see something."""
        entry.person = person.id
        entry.number = len(self.shown[channel]) + 1
        self.shown[channel].append(entry)
