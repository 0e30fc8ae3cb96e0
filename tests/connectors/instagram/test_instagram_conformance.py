from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.instagram import Instagram, InstagramSettings
from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.provider import Subject
from tests.connectors.meta.playing import ACCOUNTS, BASICS, Played, open_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")


class TestInstagram(ConnectorChecks):
    @pytest.fixture
    async def subject(self, meta: MetaControl) -> AsyncIterator[Subject]:
        account = ACCOUNTS["instagram"]
        settings = InstagramSettings(
            **BASICS,
            base_url=meta.base_url,
            account_id=account.id,
        )
        connector = Instagram(settings)
        async with open_home(meta, "instagram", connector) as home:
            played = Played(meta, "instagram", home)
            await played.appear()
            await connector.connect()
            yield Subject(connector, played)
            await connector.disconnect()
