"""How people on channels are written: `channel:identity`, `channel:account:identity`.

An address is a name of a member, so each person has one way of being written:

| channel | identity |
|---|---|
| `whatsapp` | `+` and the number with its country code; a user id (`US.1349…`); a group's id |
| `instagram` | `@name` in small letters, else the number that is the person's for us |
| `telegram` | the number of a person, or with `-` of a group |
| `messenger` | the number that is the person's for us |
| another one | as it is there |

Nothing here knows which accounts there are. WhatsApp's forms are those of its connector's
`addresses.py`, which is not imported as that brings HTTP with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from chat4all_protocol.ids import CHANNEL_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

_ACCOUNT: Final = re.compile(CHANNEL_PATTERN)
_IDENTITY: Final = re.compile(r"[A-Za-z0-9+@._=~-]{1,128}")
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9+@._=-]")
"""What an identity is not written with; `~` is left to mark it."""

_ESCAPED: Final = re.compile(r"(?:~[0-9a-f]{2})+")

_BETWEEN_DIGITS: Final = re.compile(r"[ ().-]")
_LIKE_A_PHONE: Final = re.compile(r"\+.*|[0-9 ().-]+")
_PHONE: Final = re.compile(r"\+?([1-9][0-9]{4,19})")
_HANDLE: Final = re.compile(r"@?([A-Za-z0-9._]{1,30})")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,31}")
_CHAT: Final = re.compile(r"-?[1-9][0-9]{0,15}")


class AddressError(ValueError):
    """It is no address: the text tells users what would be."""


class Address(Struct, frozen=True):
    """A person, or a group, on a channel; its text is what members are called by."""

    account: str
    """Through which it is reached: `telegram`, or `telegram:support`."""
    identity: str
    """Who that is there."""

    def __str__(self) -> str:
        return f"{self.account}:{self.identity}"

    @property
    def channel(self) -> str:
        """The channel's name: `telegram`."""
        return self.account.partition(":")[0]


def parse(text: str) -> Address:
    """An address as people write it, in its one form.

    Raises:
        AddressError: it is none.
    """
    account, _, identity = text.rpartition(":")
    if not _ACCOUNT.fullmatch(account):
        raise AddressError(
            "an address is channel:identity or channel:account:identity: the channel is of small"
            " letters, the account of at most 64 letters, digits, '.', '_' and '-'"
        )
    form = _FORMS.get(account.partition(":")[0], _any)
    return Address(account, form(identity))


def address_of(account: str, id_: str, handle: str | None = None) -> Address:
    """The address of somebody whom the provider tells of, by its id there or by user name.

    Any id makes one, and different ids make different ones.

    Raises:
        AddressError: the id is empty, or too long.
    """
    if account.partition(":")[0] == "instagram" and handle and _HANDLE.fullmatch(handle):
        return Address(account, _instagram(f"@{handle}"))
    escaped = _FOREIGN.sub(lambda found: f"~{found[0].encode().hex('~')}", id_)
    return Address(account, _any(escaped))


def id_of(address: Address) -> str:
    """The provider's id from which `address_of` has made an address."""
    return _ESCAPED.sub(_unescape, address.identity)


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("~", "")).decode(errors="replace")


def _any(identity: str) -> str:
    if not _IDENTITY.fullmatch(identity):
        raise AddressError(
            "who it is on the channel has 1 to 128 letters, digits and characters of +@._=~-"
        )
    return identity


def _whatsapp(identity: str) -> str:
    if not _LIKE_A_PHONE.fullmatch(identity):
        return _any(identity)
    phone = _PHONE.fullmatch(_BETWEEN_DIGITS.sub("", identity))
    if phone is None:
        raise AddressError(
            "a number on WhatsApp has + and 5 to 20 digits, its country code first:"
            " whatsapp:+5511999998888"
        )
    return f"+{phone[1]}"


def _instagram(identity: str) -> str:
    if _NUMBER.fullmatch(identity):
        return identity
    handle = _HANDLE.fullmatch(identity)
    if handle is None:
        raise AddressError(
            "a name on Instagram has @ and at most 30 letters, digits, '.' and '_': instagram:@name"
        )
    return f"@{handle[1].lower()}"


def _telegram(identity: str) -> str:
    if not _CHAT.fullmatch(identity):
        raise AddressError(
            "a person on Telegram is a number, which bots are told: telegram:12345; a group's"
            " begins with -. User names do not reach people there"
        )
    return identity


def _messenger(identity: str) -> str:
    if not _NUMBER.fullmatch(identity):
        raise AddressError(
            "a person on Messenger is the number by which the page knows them: messenger:12345"
        )
    return identity


_FORMS: Final[dict[str, Callable[[str], str]]] = {
    "instagram": _instagram,
    "messenger": _messenger,
    "telegram": _telegram,
    "whatsapp": _whatsapp,
}
