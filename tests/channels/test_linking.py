"""Users link themselves to somebody on a channel, by a code that arrives there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
    WindowClosed,
)
from chat4all_connectors.loopback.stage import Fault
from chat4all_storage.ports.audit import user_subject

from .test_members import rest, seen, text
from .world import ACCOUNT, BEA, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.errors import SendError
    from tests.edge.rest.harness import Api

    from .world import World

LINKS = "/v1/users/me/channels"
LINK = f"{LINKS}/{ACCOUNT}"


def code(there: World, person: str = "bea") -> str:
    """The one that the last message to somebody has."""
    (found,) = re.findall(r"\b[0-9]{6}\b", seen(there, person)[-1])
    return str(found)


def another(right: str) -> str:
    return f"{(int(right) + 1) % 10**6:06}"


async def linked(there: World, user: str = "ana") -> Api:
    """Somebody who is linked to Bea."""
    api = rest(there, user)
    assert (await api.ask("PUT", LINK, {"address": BEA})).status == 202
    assert (await api.ask("PUT", LINK, {"code": code(there)})).status == 200
    return api


async def links(api: Api) -> list[dict[str, Any]]:
    found = await api.ask("GET", LINKS)
    assert found.status == 200
    channels: list[dict[str, Any]] = found.json["channels"]
    return channels


async def test_a_link_counts_when_the_code_that_arrived_is_told(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = rest(there)
        asked = await ana.ask("PUT", LINK, {"address": BEA})
        waiting = {"channel": ACCOUNT, "address": BEA, "verified": False, "verified_at": None}
        assert (asked.status, asked.json) == (202, waiting)
        assert await links(ana) == [waiting]
        told = await ana.ask("PUT", LINK, {"code": code(there)})
        stands = waiting | {"verified": True, "verified_at": told.json["verified_at"]}
        assert (told.status, told.json) == (200, stands)
        assert await links(ana) == [stands]
        assert await links(rest(there, "bob")) == []


async def test_whoever_reads_the_code_learns_who_asked_and_what_it_does(
    autojump_clock: MockClock,
) -> None:
    async with world(public_url="https://chat.example.org") as there:
        await rest(there).ask("PUT", LINK, {"address": BEA})
        (words,) = seen(there)
        assert "chat.example.org" in words
        assert "“ana”" in words
        assert "10 minutes" in words
        assert "do nothing" in words


async def test_what_a_linked_person_writes_is_the_user_s(autojump_clock: MockClock) -> None:
    async with world(inbox=("bob",)) as there:
        await linked(there)
        there.stage.say("bea", "hello, it is me")
        await there.soon()
        (listed,) = (await rest(there, "bob").ask("GET", "/v1/conversations")).json["conversations"]
        assert listed["members"] == ["ana", "bob"]
        (event,) = await there.events(listed["conversation_id"])
        assert event.sender == "ana"


@pytest.mark.parametrize("channels", [[ACCOUNT], ["all"]])
async def test_what_is_sent_to_the_channel_arrives_there(
    autojump_clock: MockClock, channels: list[str]
) -> None:
    async with world() as there:
        ana = await linked(there)
        bob = rest(there, "bob")
        body = text("on your telephone", recipient_id="ana", channels=channels)
        assert (await bob.ask("POST", "/v1/messages", body)).status == 202
        await bob.ask("POST", "/v1/messages", text("here alone", recipient_id="ana"))
        await there.soon()
        assert seen(there)[1:] == ["on your telephone"]
        assert (await ana.ask("DELETE", LINK)).status == 204
        await bob.ask("POST", "/v1/messages", body)
        await there.soon()
        assert len(seen(there)) == 2


async def test_a_code_that_is_wrong_late_or_was_never_sent_is_answered_alike(
    autojump_clock: MockClock,
) -> None:
    async with world(link_code_lifetime=60) as there:
        ana, bob = rest(there), rest(there, "bob")
        replies = [await ana.ask("PUT", LINK, {"code": "123456"})]
        await ana.ask("PUT", LINK, {"address": BEA})
        right = code(there)
        replies.append(await ana.ask("PUT", LINK, {"code": another(right)}))
        replies.append(await bob.ask("PUT", LINK, {"code": right}))
        there.stage.person("carl")
        elsewhere = {"code": right, "address": "loopback:carl"}
        replies.append(await ana.ask("PUT", LINK, elsewhere))
        autojump_clock.jump(61)
        replies.append(await ana.ask("PUT", LINK, {"code": right}))
        told = {(r.status, r.code, r.field, r.json["error"]["message"]) for r in replies}
        assert len(told) == 1
        assert (replies[0].status, replies[0].field) == (400, "code")


async def test_after_too_many_tries_the_right_code_does_not_count(
    autojump_clock: MockClock,
) -> None:
    async with world(link_code_tries=2) as there:
        ana = rest(there)
        await ana.ask("PUT", LINK, {"address": BEA})
        right = code(there)
        for _ in range(2):
            assert (await ana.ask("PUT", LINK, {"code": another(right)})).status == 400
        assert (await ana.ask("PUT", LINK, {"code": right})).status == 400
        await ana.ask("PUT", LINK, {"address": BEA})
        body = {"code": code(there), "address": BEA}
        assert (await ana.ask("PUT", LINK, body)).status == 200


async def test_to_ask_for_what_stands_changes_nothing_and_sends_nothing(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        ana = await linked(there)
        before = await links(ana)
        again = await ana.ask("PUT", LINK, {"address": BEA})
        assert (again.status, [again.json]) == (200, before)
        assert len(seen(there)) == 1


async def test_somebody_is_one_user_and_nobody_is_told_whose_address_it_is(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        ana = await linked(there)
        bob = rest(there, "bob")
        assert (await bob.ask("PUT", LINK, {"address": BEA})).status == 202
        assert len(await links(ana)) == 1
        assert (await bob.ask("PUT", LINK, {"code": code(there)})).status == 200
        assert await links(ana) == []


async def test_a_link_is_ended_once(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await linked(there)
        assert (await ana.ask("DELETE", LINK)).status == 204
        assert await links(ana) == []
        assert (await ana.ask("DELETE", LINK)).status == 404


async def test_the_same_request_again_sends_no_second_code(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = rest(there)
        for _ in range(2):
            asked = await ana.ask("PUT", LINK, {"address": BEA}, Idempotency_Key="1")
            assert asked.status == 202
        assert len(seen(there)) == 1


async def test_a_user_has_so_many_codes_sent_in_an_hour(autojump_clock: MockClock) -> None:
    async with world(rate_link_codes=2) as there:
        for person in ("bea", "carl", "dan"):
            there.stage.person(person)
        ana = rest(there)
        replies = [
            await ana.ask("PUT", LINK, {"address": f"{ACCOUNT}:{person}"})
            for person in ("bea", "carl", "dan")
        ]
        assert [reply.status for reply in replies] == [202, 202, 429]
        assert int(replies[2].headers["retry-after"]) > 60
        assert seen(there, "dan") == []
        autojump_clock.jump(1800)
        assert (await ana.ask("PUT", LINK, {"address": f"{ACCOUNT}:dan"})).status == 202


async def test_nobody_is_sent_more_codes_however_many_ask(autojump_clock: MockClock) -> None:
    async with world(rate_link_codes_per_address=1) as there:
        assert (await rest(there).ask("PUT", LINK, {"address": BEA})).status == 202
        assert (await rest(there, "bob").ask("PUT", LINK, {"address": BEA})).status == 429
        assert len(seen(there)) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Transient("away"), 503),
        (Misconfigured("the token is none"), 503),
        (Throttled("slowly", retry_after=7), 429),
        (Unreachable("has blocked us"), 422),
        (WindowClosed("has not written for long"), 422),
        (Refused("not this"), 422),
        (UnknownOutcome("no answer"), 202),
    ],
)
async def test_a_code_that_can_t_be_sent_is_told_by_what_may_help(
    autojump_clock: MockClock, error: SendError, status: int
) -> None:
    async with world() as there:
        there.stage.faults.append(Fault(error))
        reply = await rest(there).ask("PUT", LINK, {"address": BEA})
        assert reply.status == status
        assert ("retry-after" in reply.headers) == (status in (429, 503))


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (f"{LINKS}/pager", {"address": "pager:1"}, 422, "channel"),
        (LINK, {"address": "pager:1"}, 400, "address"),
        (LINK, {"address": "bea"}, 400, "address"),
        (LINK, {"address": f"{ACCOUNT}:support:bea"}, 400, "address"),
        (LINK, {}, 400, "address"),
        (LINK, {"code": "12345"}, 400, "code"),
        (LINK, {"code": "12345a"}, 400, "code"),
    ],
)
async def test_what_is_no_address_or_no_code_is_refused(
    autojump_clock: MockClock, path: str, body: dict[str, str], status: int, field: str
) -> None:
    async with world() as there:
        reply = await rest(there).ask("PUT", path, body)
        assert (reply.status, reply.field) == (status, field)


async def test_the_audit_log_tells_of_it(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await linked(there)
        await ana.ask("DELETE", LINK)
        told = await there.storage.accounts.audit.entries(user_subject("id of ana"))
        assert [entry.act for entry in told[:2]] == ["channel.unlinked", "channel.linked"]


async def test_no_code_is_kept_as_it_is(autojump_clock: MockClock) -> None:
    async with world() as there:
        await rest(there).ask("PUT", LINK, {"address": BEA})
        kept = repr(vars(there.stores.contacts))
        assert code(there) not in kept
