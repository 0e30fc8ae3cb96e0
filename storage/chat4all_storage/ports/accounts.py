"""The ports of accounts together: who somebody is, and what was done.

Every act is told to the audit log in the transaction that does it, so neither is ever there
without the other. All times are the directory's own: milliseconds since the epoch. Every method
raises `Unavailable` or `Rejected` as those of `Directory`; those that write raise `InDoubt` too,
and doing the same again is then safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .answers import Answers
    from .audit import Audit
    from .clients import Clients
    from .erasures import Erasures
    from .factors import Factors
    from .keys import Keys
    from .logins import Logins
    from .profiles import Profiles


class AccountStores(Struct, frozen=True):
    """All of these, of one directory."""

    audit: Audit
    profiles: Profiles
    logins: Logins
    factors: Factors
    clients: Clients
    keys: Keys
    answers: Answers
    erasures: Erasures
