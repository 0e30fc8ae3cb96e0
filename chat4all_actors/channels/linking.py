"""Users who are also somebody on a channel: each proves it by a code that is sent there.

What such a person writes on the channel is the user's, and what is sent to all channels of the user
arrives there. Whose an address is already is told to nobody: only who reads the code learns that it
was asked for, and by whom.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chat4all_connectors import errors
from chat4all_connectors.outgoing import Message
from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.contacts import Link

from ..conversation.outside import Refusal
from ..limits.limits import LINK_CODES, LINK_CODES_ADDRESS
from .addresses import AddressError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chat4all_storage.ports.audit import Actor
    from chat4all_storage.ports.contacts import Contacts

    from ..accounts.sealing import Sealing
    from ..config import Settings
    from ..conversation.outside import Outside
    from ..limits.limits import LimitName
    from .account import Account

logger = logging.getLogger(__name__)

DIGITS: Final = 6
"""Of a code: with a few tries, guessing it succeeds once in two hundred thousand times."""
MINUTE: Final = 60.0
CHANNEL_RETRY: Final = 30.0
"""Seconds after which a channel that does not work may."""
WRONG: Final = "the code is wrong, or does not count any more: ask for another one"


class Linking:
    """Of the accounts that are set up."""

    def __init__(
        self,
        settings: Settings,
        contacts: Contacts,
        outside: Outside,
        accounts: Mapping[str, Account],
        *,
        sealing: Sealing,
        take: Callable[[LimitName, str], float],
        clock: Callable[[], float],
    ) -> None:
        """`take` counts against a limit, and `clock` tells the seconds since the epoch."""
        self._settings = settings
        self._contacts = contacts
        self._outside = outside
        self._accounts = accounts
        self._sealing = sealing
        self._take = take
        self._clock = clock

    async def of(self, username: str) -> list[Link]:
        """All links of a user, those that wait for their code too.

        Raises:
            StorageError: it can't be found out now.
        """
        return await self._contacts.links_of(username)

    async def ask(self, username: str, account: str, address: str) -> Link:
        """Send a code to an address; the link, which counts already if it did before.

        Another one of the user on this account goes.

        Raises:
            Refusal: there is no such account, it does not work, or nobody can be reached at the
                address; or too many codes were sent there, or for this user.
            StorageError: it can't be done now, and no code was sent.
        """
        if account not in self._accounts:
            words = f"channel {account} is not configured"
            raise Refusal(ErrorCode.CHANNEL_UNAVAILABLE, words, "channel")
        self._check(account, address)
        self._spend(LINK_CODES, username)
        name = (await self._outside.canonical([address], "address"))[address]
        contact = (await self._contacts.contacts([name]))[name]
        found = await self._find(username, account)
        if found is not None and found.verified_at is not None and found.chat == contact.chat:
            return found
        self._spend(LINK_CODES_ADDRESS, name)
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        link = Link(username, account, name, contact.chat, None)
        lifetime = self._settings.link_code_lifetime
        await self._contacts.ask_link(
            link,
            code_hash=self._hash(username, account, code),
            expires_at=int((self._clock() + lifetime) * 1000),
        )
        await self._send(link, code)
        return link

    async def verify(
        self, username: str, account: str, code: str, actor: Actor, address: str | None = None
    ) -> Link:
        """Make a link count by its code; with `address`, only if it was sent there.

        Raises:
            Refusal: no code, or another one, was sent, or it does not count any more; or nobody
                can be reached at the address.
            StorageError: it can't be done now.
        """
        if address is not None:
            self._check(account, address)
            name = (await self._outside.canonical([address], "address"))[address]
            found = await self._find(username, account)
            if found is None or found.address != name:
                raise _wrong()
        link = await self._contacts.verify_link(
            username,
            account,
            self._hash(username, account, code),
            actor,
            now=int(self._clock() * 1000),
            tries=self._settings.link_code_tries,
        )
        if link is None:
            raise _wrong()
        return link

    async def end(self, username: str, account: str, actor: Actor) -> bool:
        """Whether there was one.

        Raises:
            StorageError: it can't be done now.
        """
        return await self._contacts.unlink(username, account, actor)

    # --- its own

    async def _find(self, username: str, account: str) -> Link | None:
        links = await self._contacts.links_of(username)
        return next((link for link in links if link.channel == account), None)

    def _check(self, account: str, address: str) -> None:
        """It is an address, and one of this account.

        Raises:
            Refusal: it is not.
        """
        try:
            of = parse(address).account
        except AddressError as error:
            raise Refusal(ErrorCode.INVALID_PAYLOAD, str(error), "address") from None
        if of != account:
            words = f"an address of this channel begins with {account}:"
            raise Refusal(ErrorCode.INVALID_PAYLOAD, words, "address")

    def _spend(self, limit: LimitName, key: str) -> None:
        if wait := self._take(limit, key):
            raise _too_many(wait)

    def _hash(self, username: str, account: str, code: str) -> bytes:
        return self._sealing.mac("link codes", f"{username}\n{account}\n{code}".encode())

    async def _send(self, link: Link, code: str) -> None:
        message = Message(chat=link.chat, text=self._words(link.username, code))
        try:
            await self._accounts[link.channel].connector.send_message(message)
        except errors.UnknownOutcome:
            return  # it may have come: who has no code asks for another one
        except errors.Throttled as error:
            raise _too_many(error.retry_after) from None
        except (errors.Transient, errors.Misconfigured) as error:
            logger.warning("account %s can't send a code: %s", link.channel, error)
            words = f"channel {link.channel} does not work now"
            raise Refusal(ErrorCode.UNAVAILABLE, words, retry_after=CHANNEL_RETRY) from None
        except errors.WindowClosed:
            words = "write to this server on the channel first: it may write to you for a day then"
            raise Refusal(ErrorCode.CHANNEL_UNAVAILABLE, words, "address") from None
        except errors.SendError:
            words = f"{link.address} takes no messages from here"
            raise Refusal(ErrorCode.CHANNEL_UNAVAILABLE, words, "address") from None

    def _words(self, username: str, code: str) -> str:
        public = self._settings.public_url
        server = (public and urlsplit(public).hostname) or "chat4all"
        minutes = round(self._settings.link_code_lifetime / MINUTE)
        return (
            f"{code} is your code for {server}. It links this chat to the user “{username}” there,"
            f" and counts for {minutes} minutes. If you have not asked for it, do nothing, and"
            " give it to nobody: without it nothing happens."
        )


def _too_many(retry_after: float | None) -> Refusal:
    wait = CHANNEL_RETRY if retry_after is None else retry_after
    return Refusal(ErrorCode.RATE_LIMITED, "too many codes were sent", retry_after=wait)


def _wrong() -> Refusal:
    return Refusal(ErrorCode.INVALID_PAYLOAD, WRONG, "code")
