from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.provider import Subject
from chat4all_connectors.whatsapp import WhatsApp, WhatsAppSettings
from tests.connectors.meta.playing import ACCOUNTS, BASICS, Played, open_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")


class TestWhatsApp(ConnectorChecks):
    @pytest.fixture
    async def subject(self, meta: MetaControl) -> AsyncIterator[Subject]:
        account = ACCOUNTS["whatsapp"]
        settings = WhatsAppSettings(
            **BASICS,
            base_url=meta.base_url,
            phone_number_id=account.id,
            waba_id=account.entry_id,
        )
        connector = WhatsApp(settings)
        async with open_home(meta, "whatsapp", connector) as home:
            played = Played(meta, "whatsapp", home)
            await played.appear(user_id="BR.1349000001")
            await connector.connect()
            yield Subject(connector, played)
            await connector.disconnect()
