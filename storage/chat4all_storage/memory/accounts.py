"""Service clients, signing keys and answers in memory; and all account stores together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct
from msgspec.structs import replace

from ..ports.accounts import (
    ANSWER_LIFETIME,
    CLAIM_LIFETIME,
    AccountStores,
    Claim,
    ClientTaken,
    ServiceClient,
    SigningKey,
)
from .erasures import MemoryErasures
from .factors import MemoryFactors
from .logins import MemoryLogins, MemoryProfiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ports.accounts import Algorithm, Answer
    from ..ports.actor import Actor
    from .stores import MemoryDirectory


class MemoryClients:
    """See `Clients`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._clients: dict[str, ServiceClient] = {}

    async def add(self, client: ServiceClient, actor: Actor) -> None:
        """See `Clients.add`."""
        await trio.lowlevel.checkpoint()
        if client.id in self._clients or self._named(client.name):
            raise ClientTaken(f"{client.id} / {client.name}")
        self._clients[client.id] = replace(client, created_at=self._directory.clock_ms())
        self._directory.audit.tell(
            "client.added", f"client:{client.name}", actor, scopes=" ".join(client.scopes)
        )

    def _named(self, name: str) -> ServiceClient | None:
        return next((client for client in self._clients.values() if client.name == name), None)

    async def find(self, client_id: str) -> ServiceClient | None:
        """See `Clients.find`."""
        await trio.lowlevel.checkpoint()
        return self._clients.get(client_id)

    async def all(self) -> list[ServiceClient]:
        """See `Clients.all`."""
        await trio.lowlevel.checkpoint()
        return sorted(self._clients.values(), key=lambda client: client.name)

    async def remove(self, name: str, actor: Actor) -> bool:
        """See `Clients.remove`."""
        await trio.lowlevel.checkpoint()
        client = self._named(name)
        if client is None:
            return False
        del self._clients[client.id]
        self._directory.revoke_name(f"client:{name}")
        self._directory.audit.tell("client.removed", f"client:{name}", actor)
        return True


class MemoryKeys:
    """See `Keys`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._keys: list[SigningKey] = []

    async def all(self) -> list[SigningKey]:
        """See `Keys.all`."""
        await trio.lowlevel.checkpoint()
        now = self._directory.clock_ms()
        self._keys = [key for key in self._keys if key.retires_at is None or key.retires_at > now]
        return sorted(self._keys, key=lambda key: (key.active_from, key.kid))

    async def add(
        self,
        kid: str,
        algorithm: Algorithm,
        secret: bytes,
        actor: Actor,
        *,
        delay: float,
        keep: float,
        only_first: bool = False,
    ) -> bool:
        """See `Keys.add`."""
        known = await self.all()
        if only_first and any(key.algorithm == algorithm for key in known):
            return False
        now = self._directory.clock_ms()
        active_from = now + int(delay * 1000)
        retires_at = active_from + int(keep * 1000)
        self._keys = [
            replace(key, retires_at=retires_at)
            if key.algorithm == algorithm and key.retires_at is None
            else key
            for key in known
        ]
        self._keys.append(SigningKey(kid, algorithm, secret, now, active_from, None))
        self._directory.audit.tell("key.added", f"key:{kid}", actor, algorithm=algorithm)
        return True


class _Kept(Struct):
    """What is known of one key of a caller."""

    digest: bytes
    claim: str
    claimed_at: int
    answer: Answer | None = None


class MemoryAnswers:
    """See `Answers`."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def claim(self, caller: str, key: str, digest: bytes, claim: str) -> Claim:
        """See `Answers.claim`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        kept = self._kept.get((caller, key))
        if kept is None or kept.claimed_at < now - ANSWER_LIFETIME * 1000:
            self._kept[caller, key] = _Kept(digest, claim, now)
            return Claim("mine")
        if kept.digest != digest:
            return Claim("conflict")
        if kept.answer is not None:
            return Claim("answered", kept.answer)
        if kept.claimed_at >= now - CLAIM_LIFETIME * 1000:
            return Claim("in_progress")
        self._kept[caller, key] = _Kept(digest, claim, now)
        return Claim("mine")

    async def finish(self, caller: str, key: str, claim: str, answer: Answer) -> bool:
        """See `Answers.finish`."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((caller, key))
        if kept is None or kept.claim != claim or kept.answer is not None:
            return False
        kept.answer = answer
        return True

    async def abandon(self, caller: str, key: str, claim: str) -> None:
        """See `Answers.abandon`."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((caller, key))
        if kept is not None and kept.claim == claim and kept.answer is None:
            del self._kept[caller, key]

    async def trim(self) -> int:
        """See `Answers.trim`."""
        await trio.lowlevel.checkpoint()
        oldest = self._clock_ms() - ANSWER_LIFETIME * 1000
        kept = {key: one for key, one in self._kept.items() if one.claimed_at >= oldest}
        removed, self._kept = len(self._kept) - len(kept), kept
        return removed

    def forget(self, caller: str) -> None:
        """Remove everything of a caller who is gone."""
        self._kept = {key: one for key, one in self._kept.items() if key[0] != caller}


def memory_accounts(directory: MemoryDirectory) -> AccountStores:
    """The account stores beside a directory in memory."""
    logins, factors = MemoryLogins(directory), MemoryFactors(directory)
    answers, erasures = MemoryAnswers(directory.clock_ms), MemoryErasures(directory)
    return AccountStores(
        audit=directory.audit,
        profiles=MemoryProfiles(directory, logins, factors, answers, erasures),
        logins=logins,
        factors=factors,
        clients=MemoryClients(directory),
        keys=MemoryKeys(directory),
        answers=answers,
        erasures=erasures,
    )
