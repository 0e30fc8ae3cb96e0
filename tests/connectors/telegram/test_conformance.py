"""Telegram passes what every connector has to, by webhook and by polling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.testing.checks import ConnectorChecks
from chat4all_connectors.testing.incoming_checks import IncomingChecks
from chat4all_connectors.testing.provider import Subject
from tests.connectors.telegram.scenes import TelegramProvider, open_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.xdist_group("telegram")


class TestByWebhook(ConnectorChecks):
    @pytest.fixture
    async def subject(self, fake: str) -> AsyncIterator[Subject]:
        async with open_scene(fake) as scene:
            yield Subject(scene.telegram, TelegramProvider(scene))


class TestByPolling(IncomingChecks):
    @pytest.fixture
    async def subject(self, fake: str) -> AsyncIterator[Subject]:
        async with open_scene(fake, mode="polling", poll_seconds=1) as scene:
            yield Subject(scene.telegram, TelegramProvider(scene))
