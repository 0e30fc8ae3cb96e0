from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_client import open_client
from tests.client.model import CONV, ModelServer
from tests.client.network import Network

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from chat4all_client import Client
    from tests.client.network import Connect


@pytest.fixture
def server() -> ModelServer:
    server = ModelServer()
    server.create(CONV)
    return server


@pytest.fixture
def network(server: ModelServer) -> Network:
    return Network(server)


@pytest.fixture
def connect(network: Network) -> Connect:
    """Opens a client on the network, with half of the greatest waiting time at each retry."""

    def connect(**settings: Any) -> AbstractAsyncContextManager[Client]:
        settings = {
            "token": "t",
            "device": "d",
            "opener": network.open,
            "random": lambda: 0.5,
            **settings,
        }
        return open_client("ws://model", **settings)

    return connect


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A file on the disk that is uploaded in five parts, the last one smaller."""
    path = tmp_path / "plan.pdf"
    path.write_bytes(bytes(range(256)) * 18)
    return path
