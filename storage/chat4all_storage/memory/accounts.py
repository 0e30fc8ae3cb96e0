"""All account stores beside a directory in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ports.accounts import AccountStores
from .answers import MemoryAnswers
from .clients import MemoryClients
from .erasures import MemoryErasures
from .factors import MemoryFactors
from .keys import MemoryKeys
from .logins import MemoryLogins
from .profiles import MemoryProfiles

if TYPE_CHECKING:
    from .directory import MemoryDirectory


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
