"""A node, and people who ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from tests.actors.harness import running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.node import Node


class Town:
    """A node that serves the whole API to the users `ana`, `bob` and `carla`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.app = build(node, GROUPS, version="1")
        self.ana, self.bob, self.carla = (self.as_(name) for name in ("ana", "bob", "carla"))
        self.nobody = self.as_(None)

    def as_(self, user: str | None) -> Api:
        return Api(self.app, self.node, user)

    async def pair(self, one: Api, other: str) -> str:
        """The private conversation of two."""
        made = await one.ask("POST", "/v1/conversations", {"type": "private", "members": [other]})
        assert made.status in (200, 201), made.body
        id_: str = made.json["conversation_id"]
        return id_

    async def group(self, owner: Api, *members: str, **fields: object) -> str:
        """A new group."""
        body = {"type": "group", "members": list(members), **fields}
        made = await owner.ask("POST", "/v1/conversations", body)
        assert made.status == 201, made.body
        id_: str = made.json["conversation_id"]
        return id_


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with running_node() as node:
        yield Town(node)
