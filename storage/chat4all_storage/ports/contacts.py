"""People on channels: how they are reached, and which users have proved to be one.

In the directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .audit import Actor


class Contact(Struct, frozen=True, kw_only=True):
    """A person (or a group) on a channel, who is a member of conversations by an address."""

    address: str
    """`channel:identity`, or `channel:account:identity` of a further account."""
    account: str
    """Through which it is reached."""
    chat: str
    """The provider's id of the chat with it."""
    name: str | None = None
    handle: str | None = None
    reachable: bool = True
    """Whether it takes messages from us, as far as is known."""
    wrote_at: int | None = None
    """When its last message came, in milliseconds since the epoch: windows are counted from it."""
    last_message: str | None = None
    """The provider's id of that message."""
    conversation: str | None = None
    """Where its next message belongs: that of the last message from or to it."""


class Link(Struct, frozen=True):
    """A user who is also somebody on a channel."""

    username: str
    channel: str
    """The account's name."""
    address: str
    chat: str
    verified_at: int | None


class Contacts(Protocol):
    """Part of the directory, which says what holds for all."""

    async def meet(self, contact: Contact, aliases: Sequence[str] = ()) -> Contact:
        """The contact of this account and chat, or of one of the aliases, else a new one.

        `name` and `handle` are brought up to date if they are told, `wrote_at` and `last_message`
        only forwards. The address of one that is known stays; a new one whose address is somebody
        else's gets `account:chat`. All ids that were told are aliases of it from now on.
        """
        ...

    async def contacts(self, addresses: Sequence[str]) -> dict[str, Contact]:
        """Those that are known."""
        ...

    async def by_id(self, account: str, ids: Sequence[str]) -> Contact | None:
        """The contact that has one of these ids (a chat, or an alias) on the account."""
        ...

    async def note_conversations(self, noted: Sequence[tuple[str, str, str]]) -> None:
        """Account, chat and conversation: the next message of the chat's contact belongs there.

        Of one chat the last counts.
        """
        ...

    async def note_reachable(self, account: str, chat: str, *, reachable: bool) -> None:
        """Whether it takes messages from us."""
        ...

    async def note_moved(self, account: str, chat: str, now: str) -> None:
        """The chat has another id from now on: of contacts, links, and what is queued."""
        ...

    # --- users who are linked to a channel

    async def ask_link(self, link: Link, *, code_hash: bytes, expires_at: int) -> None:
        """Note that a user says to be this one, until a code proves it; a former link goes."""
        ...

    async def verify_link(
        self, username: str, channel: str, code_hash: bytes, actor: Actor, *, now: int, tries: int
    ) -> Link | None:
        """Make it count if the code is right, has not expired, and was not tried `tries` times.

        Another user's link to the same chat ends with that. The `actor` is the user, as the audit
        log tells it.
        """
        ...

    async def unlink(self, username: str, channel: str, actor: Actor) -> bool:
        """Whether there was one; `actor` as in `verify_link`."""
        ...

    async def unlink_all(self, username: str) -> None:
        """Nothing is left of a user who is erased."""
        ...

    async def linked(self, account: str, chat: str) -> str | None:
        """The user who has proved to be the one in this chat, if there is one."""
        ...

    async def links(self, usernames: Sequence[str]) -> list[Link]:
        """The verified ones of these users."""
        ...

    async def links_of(self, username: str) -> list[Link]:
        """All of one user, those that wait for their code too."""
        ...
