"""What a request with an Idempotency-Key is answered when it comes again."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_storage.ports.answers import CLAIM_LIFETIME
from chat4all_storage.ports.errors import InDoubt, Unavailable
from tests.actors.harness import running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_storage.ports.audit import Actor
    from tests.edge.rest.harness import Reply

ME = "/v1/users/me"


class Flat:
    """A node that the user `ana` asks, and a profile store whose changes can be held or fail."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.app = build(node, GROUPS, version="1")
        self.ana, self.bob = Api(self.app, node, "ana"), Api(self.app, node, "bob")
        profiles = node.desk.stores.profiles
        self._change = profiles.change
        profiles.change = self.change  # type: ignore[method-assign]
        self.changes = 0
        self.hold: trio.Event | None = None
        self.failures: list[Exception] = []

    async def change(self, user_id: str, changes: Mapping[str, str | None], actor: Actor) -> bool:
        self.changes += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop()
        return await self._change(user_id, changes, actor)

    async def rename(self, name: str, key: str, api: Api | None = None) -> Reply:
        body = {"display_name": name}
        return await (api or self.ana).ask("PATCH", ME, body, Idempotency_Key=key)


@pytest.fixture
async def flat() -> AsyncIterator[Flat]:
    async with running_node() as node:
        yield Flat(node)


async def test_the_same_request_is_carried_out_once_and_answered_alike(flat: Flat) -> None:
    first = await flat.rename("Ana", "k")
    await flat.rename("Someone", "later")
    again = await flat.rename("Ana", "k")
    assert (first.status, first.json["display_name"]) == (200, "Ana")
    assert (again.status, again.body) == (first.status, first.body)
    assert flat.changes == 2
    assert (await flat.ana.ask("GET", ME)).json["display_name"] == "Someone"


async def test_another_request_with_the_key_is_refused(flat: Flat) -> None:
    await flat.rename("Ana", "k")
    other = await flat.rename("Anna", "k")
    assert (other.status, other.code, other.field) == (409, "CONFLICT", "Idempotency-Key")
    assert flat.changes == 1


async def test_a_key_is_its_callers_own(flat: Flat) -> None:
    assert (await flat.rename("Ana", "k")).json["username"] == "ana"
    assert (await flat.rename("Ana", "k", flat.bob)).json["username"] == "bob"


async def test_what_is_being_answered_is_told_to_come_back(flat: Flat) -> None:
    flat.hold = trio.Event()
    replies: list[Reply] = []

    async def first() -> None:
        replies.append(await flat.rename("Ana", "k"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        waiting = await flat.rename("Ana", "k")
        assert (waiting.status, waiting.code) == (409, "CONFLICT")
        assert int(waiting.headers["retry-after"]) >= 1
        flat.hold.set()
    assert (await flat.rename("Ana", "k")).body == replies[0].body
    assert flat.changes == 1


async def test_what_failed_for_sure_may_be_tried_again(flat: Flat) -> None:
    flat.failures = [Unavailable("away")]
    assert (await flat.rename("Ana", "k")).status == 503
    assert (await flat.rename("Ana", "k")).status == 200


async def test_what_is_in_doubt_is_tried_again_when_it_has_settled(
    autojump_clock: MockClock, flat: Flat
) -> None:
    flat.failures = [InDoubt("in doubt")]
    assert (await flat.rename("Ana", "k")).status == 504
    assert (await flat.rename("Ana", "k")).status == 409
    await trio.sleep(CLAIM_LIFETIME + 1)
    assert (await flat.rename("Ana", "k")).status == 200


async def test_a_defect_holds_the_key_as_its_outcome_is_not_known(flat: Flat) -> None:
    flat.failures = [RuntimeError("a defect")]
    assert (await flat.rename("Ana", "k")).status == 500
    assert (await flat.rename("Ana", "k")).status == 409


async def test_many_of_one_request_at_once_are_one(flat: Flat) -> None:
    statuses: list[int] = []

    async def rename() -> None:
        statuses.append((await flat.rename("Ana", "k")).status)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(rename)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert flat.changes == 1


async def test_a_session_is_ended_once() -> None:
    async with running_node(bcrypt_cost=4) as node:
        app = build(node, GROUPS, version="1")
        nobody = Api(app, node, None)
        account = {"username": "dora", "password": "a password"}
        assert (await nobody.ask("POST", "/v1/auth/register", account)).status == 201
        log_in = functools.partial(nobody.ask, "POST", "/v1/auth/token", account)
        for _ in range(2):
            token = (await log_in()).json["access_token"]
        nobody.headers["Authorization"] = f"Bearer {token}"
        sessions = (await nobody.ask("GET", "/v1/auth/sessions")).json["sessions"]
        (other,) = [each["session_id"] for each in sessions if not each["current"]]
        path = f"/v1/auth/sessions/{other}"
        for key, status in (("k", 204), ("k", 204), ("l", 404)):
            assert (await nobody.ask("DELETE", path, Idempotency_Key=key)).status == status


async def test_answers_with_tokens_are_not_kept() -> None:
    async with running_node(bcrypt_cost=4) as node:
        nobody = Api(build(node, GROUPS, version="1"), node, None)
        account = {"username": "dora", "password": "a password"}
        await nobody.ask("POST", "/v1/auth/register", account)
        path = "/v1/auth/token"
        first = await nobody.ask("POST", path, account, Idempotency_Key="k")
        again = await nobody.ask("POST", path, account, Idempotency_Key="k")
        assert (first.status, again.status) == (200, 200)
        assert first.json["access_token"] != again.json["access_token"]
        assert first.json["refresh_token"] != again.json["refresh_token"]
