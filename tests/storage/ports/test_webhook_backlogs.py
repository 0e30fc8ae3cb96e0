"""What every directory keeps of how far the endpoints of webhooks have come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.webhooks import Backlog, Report

from ..webhooks import BAD, GOOD, OWNER, WebhookPlace, backlog, held, stands

if TYPE_CHECKING:
    from chat4all_storage.ports.webhooks import Webhook


async def test_it_advances_with_what_it_leaves_behind(hooks: WebhookPlace) -> None:
    webhook, one = await held(hooks), new_id()
    left = backlog(one, after=4, upto=6, rises=9, delay=60, attempts=1)
    assert await hooks.webhooks.advance(webhook.id, "one", b"here", [left], BAD)
    assert (await stands(hooks, webhook)).positions == b"here"
    assert await hooks.other.behind(webhook.id, [one, new_id()]) == {one}
    due, later = await hooks.other.due(webhook.id, 10)
    assert due == []
    assert later is not None
    assert 50 < later <= 60
    await hooks.later(61)
    due, later = await hooks.other.due(webhook.id, 10)
    assert due == [Backlog(one, False, 4, 6, 9, 1, 1)]
    assert later is None


async def test_a_backlog_gets_longer_and_is_due_when_it_was(hooks: WebhookPlace) -> None:
    webhook, one = await held(hooks), new_id()
    first = backlog(one, after=4, upto=6, delay=60, attempts=2)
    more = backlog(one, after=7, upto=9, rises=5)
    for each in (first, more, backlog(one, after=9, upto=8, rises=6)):
        await hooks.webhooks.advance(webhook.id, "one", b"", [each], Report())
    assert (await hooks.other.due(webhook.id, 10))[0] == []
    await hooks.later(61)
    assert (await hooks.other.due(webhook.id, 10))[0] == [Backlog(one, False, 4, 9, 5, 3, 2)]


async def test_what_is_due_longest_comes_first(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    keys = [new_id() for _ in range(3)]
    backlogs = [backlog(key, delay=delay) for key, delay in zip(keys, (3, 1, 2), strict=True)]
    await hooks.webhooks.advance(webhook.id, "one", b"", backlogs, Report())
    await hooks.later(4)
    due, _ = await hooks.other.due(webhook.id, 2)
    assert [each.key for each in due] == [keys[1], keys[2]]


async def settle(hooks: WebhookPlace, webhook: Webhook, known: Backlog, **fields: Any) -> None:
    told = {"after": known.upto, "told_rises": True, "attempts": 0, "delay": 0.0} | fields
    assert await hooks.webhooks.settle(webhook.id, "one", known, Report(), **told)


async def one_due(hooks: WebhookPlace, webhook: Webhook) -> Backlog:
    (found,) = (await hooks.other.due(webhook.id, 10))[0]
    return found


async def test_what_was_told_whole_is_forgotten(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(rises=1)], Report())
    await settle(hooks, webhook, await one_due(hooks, webhook))
    assert await hooks.webhooks.backlog_count(webhook.id, 10) == 0


async def test_what_was_told_in_part_is_due_later_from_there_on(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(rises=1)], Report())
    known = await one_due(hooks, webhook)
    await settle(hooks, webhook, known, after=2, told_rises=False, attempts=3, delay=60.0)
    assert (await hooks.other.due(webhook.id, 10))[0] == []
    await hooks.later(61)
    left = await one_due(hooks, webhook)
    assert (left.after, left.upto, left.rises, left.attempts) == (2, 3, 1, 3)
    await settle(hooks, webhook, left, told_rises=False)
    assert (await one_due(hooks, webhook)).rises == 1


async def test_what_was_added_meanwhile_stays(hooks: WebhookPlace) -> None:
    webhook, one = await held(hooks), new_id()
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(one, rises=1)], Report())
    known = await one_due(hooks, webhook)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(one, upto=5, rises=8)], Report())
    await settle(hooks, webhook, known)
    left = await one_due(hooks, webhook)
    assert (left.after, left.upto, left.rises) == (3, 5, 1)


async def test_a_settlement_of_what_was_removed_meanwhile_does_nothing(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await settle(hooks, webhook, Backlog(new_id(), False, 0, 1, None, 1, 0))
    assert await hooks.webhooks.backlog_count(webhook.id, 10) == 0


async def test_looking_back_begins_earlier_and_is_due_now(hooks: WebhookPlace) -> None:
    webhook, one, two = await held(hooks), new_id(), new_id()
    first = backlog(one, after=5, upto=9, delay=60, attempts=4)
    await hooks.webhooks.advance(webhook.id, "one", b"", [first], Report())
    backlogs = [backlog(one, after=2, upto=7), backlog(two, after=-1, upto=1)]
    assert await hooks.webhooks.look_back(webhook.id, "one", backlogs, done=None)
    due, _ = await hooks.other.due(webhook.id, 10)
    found = {each.key: (each.after, each.upto, each.attempts) for each in due}
    assert found == {one: (2, 9, 0), two: (-1, 1, 0)}


async def test_a_settlement_does_not_undo_a_look_back(hooks: WebhookPlace) -> None:
    webhook, one = await held(hooks), new_id()
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(one, after=5, upto=9)], Report())
    known = await one_due(hooks, webhook)
    await hooks.webhooks.look_back(webhook.id, "one", [backlog(one, after=2, upto=9)], done=None)
    await settle(hooks, webhook, known)
    assert (await one_due(hooks, webhook)).after == 2


async def test_a_replay_is_wanted_until_it_was_looked_for(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    for since in (5, 3, 4):
        await hooks.other.replay(webhook.id, OWNER, since)
    wanted = await stands(hooks, webhook)
    assert (wanted.replay_from, wanted.since) == (3, 3)
    await hooks.webhooks.look_back(webhook.id, "one", [], done=5)  # not what is wanted now
    assert (await stands(hooks, webhook)).replay_from == 3
    await hooks.webhooks.look_back(webhook.id, "one", [], done=3)
    assert (await stands(hooks, webhook)).replay_from is None


async def test_attempts_are_counted_and_since_when_all_fail_is_known(hooks: WebhookPlace) -> None:
    webhook, webhooks = await held(hooks), hooks.webhooks

    async def report(report: Report) -> Webhook:
        await webhooks.advance(webhook.id, "one", b"", [], report)
        return await stands(hooks, webhook)

    fresh = await report(Report())
    assert (fresh.last_success_at, fresh.last_failure_at, fresh.failing_since) == (None,) * 3
    failing = await report(BAD)
    assert failing.failing_since == failing.last_failure_at is not None
    assert failing.last_failure == "503"
    again = await report(Report(failed=2, given_up=1, failure="time-out"))
    assert again.failing_since == failing.failing_since
    well = await report(GOOD)
    assert well.failing_since is None
    assert well.last_success_at is not None
    assert (well.delivered, well.failed, well.given_up) == (1, 3, 1)
    assert well.last_failure == "time-out"
    mixed = await report(Report(delivered=1, failed=1, failure="late"))
    assert mixed.failing_since is not None
