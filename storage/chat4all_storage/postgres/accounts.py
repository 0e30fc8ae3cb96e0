"""All account stores in the directory's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ports.accounts import AccountStores
from .answers import PostgresAnswers
from .audit import PostgresAudit
from .clients import PostgresClients
from .erasures import PostgresErasures
from .factors import PostgresFactors
from .keys import PostgresKeys
from .logins import PostgresLogins
from .profiles import PostgresProfiles

if TYPE_CHECKING:
    from .connections import Database


def postgres_accounts(database: Database) -> AccountStores:
    """The account stores in the directory's database."""
    return AccountStores(
        audit=PostgresAudit(database),
        profiles=PostgresProfiles(database),
        logins=PostgresLogins(database),
        factors=PostgresFactors(database),
        clients=PostgresClients(database),
        keys=PostgresKeys(database),
        answers=PostgresAnswers(database),
        erasures=PostgresErasures(database),
    )
