"""Whoever implements a port can be called as it says; mypy compares the types, we the rest."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_storage.memory.answers import MemoryAnswers
from chat4all_storage.memory.audit import MemoryAudit
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.memory.channel_accounts import MemoryChannelAccounts
from chat4all_storage.memory.clients import MemoryClients
from chat4all_storage.memory.contacts import MemoryContacts
from chat4all_storage.memory.deliveries import MemoryDeliveries
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.memory.erasures import MemoryErasures
from chat4all_storage.memory.factors import MemoryFactors
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.keys import MemoryKeys
from chat4all_storage.memory.logins import MemoryLogins
from chat4all_storage.memory.objects import MemoryObjects
from chat4all_storage.memory.profiles import MemoryProfiles
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.memory.webhooks import MemoryWebhooks
from chat4all_storage.ports.answers import Answers
from chat4all_storage.ports.audit import Audit
from chat4all_storage.ports.bus import Bus
from chat4all_storage.ports.channel_accounts import ChannelAccounts
from chat4all_storage.ports.clients import Clients
from chat4all_storage.ports.contacts import Contacts
from chat4all_storage.ports.deliveries import Deliveries
from chat4all_storage.ports.directory import Directory
from chat4all_storage.ports.erasures import Erasures
from chat4all_storage.ports.factors import Factors
from chat4all_storage.ports.files import Files
from chat4all_storage.ports.keys import Keys
from chat4all_storage.ports.logins import Logins
from chat4all_storage.ports.objects import ObjectStore
from chat4all_storage.ports.profiles import Profiles
from chat4all_storage.ports.shard import ShardStore
from chat4all_storage.ports.tally import Tally
from chat4all_storage.ports.webhooks import Webhooks
from chat4all_storage.postgres.answers import PostgresAnswers
from chat4all_storage.postgres.audit import PostgresAudit
from chat4all_storage.postgres.channel_accounts import PostgresChannelAccounts
from chat4all_storage.postgres.clients import PostgresClients
from chat4all_storage.postgres.contacts import PostgresContacts
from chat4all_storage.postgres.deliveries import PostgresDeliveries
from chat4all_storage.postgres.directory import PostgresDirectory
from chat4all_storage.postgres.erasures import PostgresErasures
from chat4all_storage.postgres.factors import PostgresFactors
from chat4all_storage.postgres.files import PostgresFiles
from chat4all_storage.postgres.keys import PostgresKeys
from chat4all_storage.postgres.logins import PostgresLogins
from chat4all_storage.postgres.profiles import PostgresProfiles
from chat4all_storage.postgres.shard import PostgresShard
from chat4all_storage.postgres.webhooks import PostgresWebhooks
from chat4all_storage.redis.bus import RedisStreams
from chat4all_storage.redis.tally import RedisTally

if TYPE_CHECKING:
    from collections.abc import Iterator

# Assigned one by one, so that mypy compares each with its port.
ANSWERS: list[type[Answers]] = [MemoryAnswers, PostgresAnswers]
AUDIT: list[type[Audit]] = [MemoryAudit, PostgresAudit]
BUS: list[type[Bus]] = [MemoryBus, RedisStreams]
CHANNEL_ACCOUNTS: list[type[ChannelAccounts]] = [MemoryChannelAccounts, PostgresChannelAccounts]
CLIENTS: list[type[Clients]] = [MemoryClients, PostgresClients]
CONTACTS: list[type[Contacts]] = [MemoryContacts, PostgresContacts]
DELIVERIES: list[type[Deliveries]] = [MemoryDeliveries, PostgresDeliveries]
DIRECTORY: list[type[Directory]] = [MemoryDirectory, PostgresDirectory]
ERASURES: list[type[Erasures]] = [MemoryErasures, PostgresErasures]
FACTORS: list[type[Factors]] = [MemoryFactors, PostgresFactors]
FILES: list[type[Files]] = [MemoryFiles, PostgresFiles]
KEYS: list[type[Keys]] = [MemoryKeys, PostgresKeys]
LOGINS: list[type[Logins]] = [MemoryLogins, PostgresLogins]
OBJECTS: list[type[ObjectStore]] = [MemoryObjects]
PROFILES: list[type[Profiles]] = [MemoryProfiles, PostgresProfiles]
SHARD: list[type[ShardStore]] = [MemoryShard, PostgresShard]
TALLY: list[type[Tally]] = [MemoryTally, RedisTally]
WEBHOOKS: list[type[Webhooks]] = [MemoryWebhooks, PostgresWebhooks]

PORTS: list[tuple[Any, list[Any]]] = [
    (Answers, ANSWERS),
    (Audit, AUDIT),
    (Bus, BUS),
    (ChannelAccounts, CHANNEL_ACCOUNTS),
    (Clients, CLIENTS),
    (Contacts, CONTACTS),
    (Deliveries, DELIVERIES),
    (Directory, DIRECTORY),
    (Erasures, ERASURES),
    (Factors, FACTORS),
    (Files, FILES),
    (Keys, KEYS),
    (Logins, LOGINS),
    (ObjectStore, OBJECTS),
    (Profiles, PROFILES),
    (ShardStore, SHARD),
    (Tally, TALLY),
    (Webhooks, WEBHOOKS),
]


def methods(port: Any) -> Iterator[str]:
    for name, _ in inspect.getmembers(port, inspect.isfunction):
        if not name.startswith("_"):
            yield name


@pytest.mark.parametrize(
    ("port", "implementation"), [(port, each) for port, all_ in PORTS for each in all_]
)
def test_every_method_takes_what_the_port_says(port: Any, implementation: Any) -> None:
    names = list(methods(port))
    assert names
    for name in names:
        made = getattr(implementation, name)
        promised = getattr(port, name)
        assert inspect.iscoroutinefunction(made) == inspect.iscoroutinefunction(promised), name
        given, asked = inspect.signature(made), inspect.signature(promised)
        assert given.parameters == asked.parameters, name
        if inspect.iscoroutinefunction(made):  # else it may be made by a decorator; mypy compares
            assert given.return_annotation == asked.return_annotation, name
        assert inspect.getdoc(made) is not None
