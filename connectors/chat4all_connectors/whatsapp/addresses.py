"""How people and groups are written on WhatsApp.

A person has a phone number, a business-scoped user id (BSUID, `US.1349…`), or both; since 2026
those with a user name may hide the number, so that either can be missing in any update. A number
is written with `+` and country code here, as without the plus Meta puts the business's own country
code in front.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

_PHONE: Final = re.compile(r"\+?([0-9]{5,20})")
_USER: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")

Kind: TypeAlias = Literal["phone", "user", "group"]


def kind_of(address: str) -> Kind:
    """What an address is one of; whatever is neither a number nor a user id is a group's."""
    if _PHONE.fullmatch(address):
        return "phone"
    return "user" if _USER.fullmatch(address) else "group"


def normal(address: str) -> str:
    """An address as it is written here: `5511999` is `+5511999`."""
    phone = _PHONE.fullmatch(address)
    return address if phone is None else f"+{phone[1]}"


def ids(*addresses: str | None) -> tuple[str, ...]:
    """All ids of one person, numbers first, from what an update has of them."""
    known = {normal(address) for address in addresses if address}
    return tuple(sorted(known, key=lambda address: (kind_of(address) != "phone", address)))


def recipient(chat: str) -> dict[str, str]:
    """The fields that say to whom a message goes."""
    match kind_of(chat):
        case "phone":
            return {"recipient_type": "individual", "to": normal(chat)}
        case "user":
            return {"recipient_type": "individual", "recipient": chat}
        case "group":
            return {"recipient_type": "group", "to": chat}
