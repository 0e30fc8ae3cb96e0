"""People on channels, and users who are linked to them, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.contacts import Contact, Link
from .audit import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.audit import Actor
    from .connections import Database

_CONTACT: Final = """
    c.address, c.account, c.chat, c.name, c.handle, c.reachable, c.wrote_at, c.last_message,
    c.conversation
"""
# Two that meet the same person at once take turns, by the account.
_TURN: Final = "SELECT pg_advisory_xact_lock(x'6336'::integer, hashtext($1))"
_BY_ID: Final = f"""
    SELECT {_CONTACT} FROM contact_aliases a JOIN contacts c ON c.address = a.address
    WHERE a.account = $1 AND a.alias = ANY ($2::text[])
    ORDER BY array_position($2::text[], a.alias) LIMIT 1
"""
_UPDATE: Final = f"""
    UPDATE contacts c SET name = coalesce($2, c.name), handle = coalesce($3, c.handle),
        wrote_at = greatest(c.wrote_at, $4),
        last_message = CASE WHEN $4 >= coalesce(c.wrote_at, 0) THEN $5 ELSE c.last_message END
    WHERE address = $1 RETURNING {_CONTACT}
"""
_ADD: Final = f"""
    INSERT INTO contacts AS c
        (address, account, chat, name, handle, reachable, wrote_at, last_message, conversation)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (address) DO NOTHING RETURNING {_CONTACT}
"""
_ADD_ALIASES: Final = """
    INSERT INTO contact_aliases (account, alias, address)
    SELECT $1, alias, $3 FROM unnest($2::text[]) AS alias ON CONFLICT DO NOTHING
"""
_CONTACTS: Final = f"SELECT {_CONTACT} FROM contacts c WHERE address = ANY ($1::text[])"
# Locked in one order: those who note several at once do not wait for each other in a circle.
_NOTE_CONVERSATIONS: Final = """
    WITH noted AS (
        SELECT c.address, n.conversation
        FROM unnest($1::text[], $2::text[], $3::uuid[]) AS n (account, alias, conversation)
        JOIN contact_aliases a ON a.account = n.account AND a.alias = n.alias
        JOIN contacts c ON c.address = a.address
        WHERE c.conversation IS DISTINCT FROM n.conversation
        ORDER BY c.address FOR UPDATE OF c
    )
    UPDATE contacts c SET conversation = n.conversation FROM noted n WHERE c.address = n.address
"""
_NOTE_REACHABLE: Final = """
    UPDATE contacts SET reachable = $3 WHERE address =
        (SELECT address FROM contact_aliases WHERE account = $1 AND alias = $2)
"""
_MOVE: Final = (
    """
    WITH moved AS (
        UPDATE contacts SET chat = $3 WHERE address =
            (SELECT address FROM contact_aliases WHERE account = $1 AND alias = $2)
            AND NOT EXISTS (SELECT FROM contact_aliases WHERE account = $1 AND alias = $3)
        RETURNING address
    )
    INSERT INTO contact_aliases (account, alias, address) SELECT $1, $3, address FROM moved
    """,
    "UPDATE channel_links SET chat = $3 WHERE channel = $1 AND chat = $2",
    "UPDATE deliveries SET chat = $3 WHERE account = $1 AND chat = $2 AND state = 'queued'",
)
_LINK: Final = "username, channel, address, chat, verified_at"
_ASK: Final = """
    INSERT INTO channel_links (username, channel, address, chat, code_hash, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (username, channel) DO UPDATE SET address = EXCLUDED.address,
        chat = EXCLUDED.chat, code_hash = EXCLUDED.code_hash, expires_at = EXCLUDED.expires_at,
        tries = 0, verified_at = NULL
"""
_TRY: Final = """
    UPDATE channel_links SET tries = tries + 1
    WHERE username = $1 AND channel = $2 AND code_hash IS NOT NULL AND expires_at > $3
        AND tries < $4
    RETURNING chat, code_hash = $5
"""
_UNLINK_OTHERS: Final = """
    DELETE FROM channel_links
    WHERE channel = $2 AND chat = $3 AND username <> $1 AND verified_at IS NOT NULL
"""
_VERIFY: Final = f"""
    UPDATE channel_links SET verified_at = $3, code_hash = NULL
    WHERE username = $1 AND channel = $2 RETURNING {_LINK}
"""
_UNLINK: Final = "DELETE FROM channel_links WHERE username = $1 AND channel = $2 RETURNING true"
_UNLINK_ALL: Final = "DELETE FROM channel_links WHERE username = $1"
_LINKED: Final = """
    SELECT username FROM channel_links
    WHERE channel = $1 AND chat = $2 AND verified_at IS NOT NULL
"""
_LINKS: Final = f"""
    SELECT {_LINK} FROM channel_links
    WHERE username = ANY ($1::text[]) AND verified_at IS NOT NULL
    ORDER BY username COLLATE "C", channel COLLATE "C"
"""
_LINKS_OF: Final = f"""
    SELECT {_LINK} FROM channel_links WHERE username = $1 ORDER BY channel COLLATE "C"
"""


class PostgresContacts:
    """See `Contacts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def meet(self, contact: Contact, aliases: Sequence[str] = ()) -> Contact:
        """See `Contacts.meet`."""
        ids = [contact.chat, *aliases]

        async def run(connection: Any) -> Any:
            async with connection.transaction():
                await connection.execute(_TURN, contact.account)
                row = await connection.fetchrow(_BY_ID, contact.account, ids)
                if row is not None:
                    told = (contact.name, contact.handle, contact.wrote_at, contact.last_message)
                    row = await connection.fetchrow(_UPDATE, row[0], *told)
                for address in (contact.address, f"{contact.account}:{contact.chat}"):
                    if row is None:
                        row = await connection.fetchrow(_ADD, address, *_values(contact))
                await connection.execute(_ADD_ALIASES, contact.account, ids, row[0])
                return row

        return _contact(await self._database.write(run))

    async def contacts(self, addresses: Sequence[str]) -> dict[str, Contact]:
        """See `Contacts.contacts`."""
        rows = await self._read(_CONTACTS, list(addresses))
        return {contact.address: contact for contact in map(_contact, rows)}

    async def by_id(self, account: str, ids: Sequence[str]) -> Contact | None:
        """See `Contacts.by_id`."""
        rows = await self._read(_BY_ID, account, list(ids))
        return _contact(rows[0]) if rows else None

    async def note_conversations(self, noted: Sequence[tuple[str, str, str]]) -> None:
        """See `Contacts.note_conversations`."""
        last = {(account, chat): conversation for account, chat, conversation in noted}
        columns = zip(*((*chat, conversation) for chat, conversation in last.items()), strict=True)
        if last:
            await self._write(_NOTE_CONVERSATIONS, *map(list, columns))

    async def note_reachable(self, account: str, chat: str, *, reachable: bool) -> None:
        """See `Contacts.note_reachable`."""
        await self._write(_NOTE_REACHABLE, account, chat, reachable)

    async def note_moved(self, account: str, chat: str, now: str) -> None:
        """See `Contacts.note_moved`."""

        async def run(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute(_TURN, account)
                for query in _MOVE:
                    await connection.execute(query, account, chat, now)

        await self._database.write(run)

    async def ask_link(self, link: Link, *, code_hash: bytes, expires_at: int) -> None:
        """See `Contacts.ask_link`."""
        place = (link.username, link.channel, link.address, link.chat)
        await self._write(_ASK, *place, code_hash, expires_at)

    async def verify_link(
        self, username: str, channel: str, code_hash: bytes, actor: Actor, *, now: int, tries: int
    ) -> Link | None:
        """See `Contacts.verify_link`."""

        async def run(connection: Any) -> Any:
            async with connection.transaction():
                await connection.execute(_TURN, channel)
                tried = await connection.fetchrow(_TRY, username, channel, now, tries, code_hash)
                if tried is None or not tried[1]:
                    return None
                await connection.execute(_UNLINK_OTHERS, username, channel, tried[0])
                await tell(connection, "channel.linked", actor.name, actor, channel=channel)
                return await connection.fetchrow(_VERIFY, username, channel, now)

        row = await self._database.write(run)
        return None if row is None else Link(*row)

    async def unlink(self, username: str, channel: str, actor: Actor) -> bool:
        """See `Contacts.unlink`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.fetchval(_UNLINK, username, channel)
                if done:
                    await tell(connection, "channel.unlinked", actor.name, actor, channel=channel)
                return bool(done)

        return await self._database.write(run)

    async def unlink_all(self, username: str) -> None:
        """See `Contacts.unlink_all`."""
        await self._write(_UNLINK_ALL, username)

    async def linked(self, account: str, chat: str) -> str | None:
        """See `Contacts.linked`."""
        rows = await self._read(_LINKED, account, chat)
        return rows[0][0] if rows else None

    async def links(self, usernames: Sequence[str]) -> list[Link]:
        """See `Contacts.links`."""
        return [Link(*row) for row in await self._read(_LINKS, list(usernames))]

    async def links_of(self, username: str) -> list[Link]:
        """See `Contacts.links_of`."""
        return [Link(*row) for row in await self._read(_LINKS_OF, username)]

    async def _read(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.read(lambda connection: connection.fetch(query, *arguments))

    async def _write(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.write(lambda connection: connection.fetch(query, *arguments))


def _values(contact: Contact) -> tuple[Any, ...]:
    return (
        contact.account,
        contact.chat,
        contact.name,
        contact.handle,
        contact.reachable,
        contact.wrote_at,
        contact.last_message,
        contact.conversation,
    )


def _contact(row: Any) -> Contact:
    address, account, chat, name, handle, reachable, wrote_at, last_message, conversation = row
    return Contact(
        address=address,
        account=account,
        chat=chat,
        name=name,
        handle=handle,
        reachable=reachable,
        wrote_at=wrote_at,
        last_message=last_message,
        conversation=None if conversation is None else str(conversation),
    )
