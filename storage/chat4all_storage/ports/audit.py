"""Who did what: the audit log of accounts, and who acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

Act = Literal[
    "user.added",
    "user.changed",
    "user.revoked",
    "user.erased",
    "password.changed",
    "password.refused",
    "login.opened",
    "login.refused",
    "login.ended",
    "token.refreshed",
    "token.replayed",
    "totp.enrolled",
    "totp.confirmed",
    "totp.refused",
    "totp.disabled",
    "totp.codes_replaced",
    "totp.recovery_used",
    "client.added",
    "client.removed",
    "client.token",
    "client.refused",
    "key.added",
    "webhook.added",
    "webhook.removed",
    "webhook.rotated",
    "delivery.retried",
    "delivery.dropped",
    "incoming.put_back",
    "channel.linked",
    "channel.unlinked",
]

Detail = str | int | bool | None


class Actor(Struct, frozen=True):
    """Who does something, and from where."""

    name: str
    """`user:ID`, `client:NAME`, `shell`, `node` or `anonymous`."""
    address: str | None = None
    trace: bytes | None = None
    """The trace id of the request: 16 bytes."""


SHELL: Final = Actor("shell")
"""Somebody on the command line of a machine that has the databases."""

NODE: Final = Actor("node")


def user_subject(user_id: str) -> str:
    """How the audit log names a user: by id, so that nothing is left of an erased name."""
    return f"user:{user_id}"


def channel_subject(account: str) -> str:
    """How the audit log names an account on a channel."""
    return f"channel:{account}"


class AuditEntry(Struct, frozen=True):
    """Something that was done, or refused."""

    id: int
    at: int
    actor: str
    act: str
    subject: str | None
    address: str | None
    trace: bytes | None
    details: dict[str, Detail]


class Audit(Protocol):
    """The audit log. It is only ever added to, and forgets by age."""

    async def note(
        self, act: Act, subject: str | None, actor: Actor, details: Mapping[str, Detail]
    ) -> None:
        """Tell of an act that changes nothing else, such as a refusal."""
        ...

    async def entries(
        self, subject: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The latest entries (about `subject`) with an id below `before`, latest first."""
        ...

    async def trim(self, keep: float) -> int:
        """Remove entries older than `keep` seconds, a bounded number at once; how many."""
        ...
