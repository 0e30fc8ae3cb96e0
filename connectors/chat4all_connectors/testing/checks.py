"""All checks, for any connector; run by pytest with pytest-trio.

class TestMine(ConnectorChecks):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        ...  # start the fake, connect
        yield Subject(connector, provider)
"""

from __future__ import annotations

from .incoming_checks import IncomingChecks
from .sending_checks import SendingChecks
from .webhook_checks import WebhookChecks


class ConnectorChecks(SendingChecks, IncomingChecks, WebhookChecks):
    """A subclass needs a fixture `subject`: a connector that has connected, and its provider."""
