from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from chat4all_actors.cli.main import FINDING, OK, USAGE, run
from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.ports.channel_accounts import Incoming
from chat4all_storage.ports.deliveries import Finish, NewDelivery
from chat4all_storage.storage import open_postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chat4all_storage.ports.audit import AuditEntry
    from chat4all_storage.storage import Storage

    Channels = Callable[..., tuple[int, str]]

TELEGRAM: Final = "telegram"
NODE: Final = "5f0e"
CONVERSATION: Final = new_id()


@pytest.fixture
def channels(database: str, capsys: pytest.CaptureFixture[str]) -> Channels:
    """`chat4all channels ARGUMENTS`: its exit code, and what it printed."""

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["channels", *arguments, "--postgres", database])
        return code, capsys.readouterr().out

    return command


def lines(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


async def stored(dsn: str, how: Callable[[Storage], Any]) -> Any:
    async with open_bridge() as bridge, open_postgres(bridge, [dsn]) as storage:
        return await how(storage)


async def _deliveries(storage: Storage) -> list[int]:
    """One that waits, one that has failed and one that is unknown, and what stays out of lists."""
    channels = storage.channels
    new = [
        NewDelivery(
            account=account,
            chat=f"{number}",
            address=f"{account}:{number}",
            conversation=CONVERSATION,
            seq=7,
            kind="message",
        )
        for account in (TELEGRAM, "whatsapp")
        for number in range(1, 5)
    ]
    await channels.deliveries.add(new)
    ids: list[int] = []
    for account in (TELEGRAM, "whatsapp"):
        assert await channels.accounts.hold(account, NODE, 60)
        due, _ = await channels.deliveries.due(account, 10)
        mine = sorted(each.id for each in due)
        await channels.deliveries.begin(NODE, account, mine[1:])
        ends = [
            Finish(id=mine[1], state="failed", reason="blocked \x1b[31m"),
            Finish(id=mine[2], state="unknown", reason="no answer"),
            Finish(id=mine[3], state="sent", message=f"m-{account}"),
        ]
        await channels.deliveries.finish(NODE, account, ends)
        ids += mine
    return ids


@pytest.fixture
def deliveries(database: str) -> list[int]:
    """Of `telegram`: queued, failed, unknown, sent; then those of `whatsapp` likewise."""
    found: list[int] = trio.run(stored, database, _deliveries)
    return found


def audited(database: str, account: str) -> list[AuditEntry]:
    async def read(storage: Storage) -> list[AuditEntry]:
        return await storage.accounts.audit.entries(f"channel:{account}")

    found: list[AuditEntry] = trio.run(stored, database, read)
    return found


# What stands where


def test_dead_letters_and_unknown_ones_are_listed(
    channels: Channels, deliveries: list[int]
) -> None:
    code, said = channels("list", "--json")
    assert code == OK
    found = lines(said)
    assert [(each["id"], each["state"], each["account"]) for each in found] == [
        (deliveries[1], "failed", "telegram"),
        (deliveries[2], "unknown", "telegram"),
        (deliveries[5], "failed", "whatsapp"),
        (deliveries[6], "unknown", "whatsapp"),
    ]
    assert (
        found[1].items()
        >= {
            "address": "telegram:3",
            "conversation_id": CONVERSATION,
            "seq": 7,
            "part": 0,
            "reason": "no answer",
            "attempts": 0,
        }.items()
    )
    assert [step["state"] for step in found[1]["steps"]] == ["unknown"]


def test_a_list_is_of_these_states_and_this_account(
    channels: Channels, deliveries: list[int]
) -> None:
    assert lines(channels("list", "--json", "--account", "telegram:support")[1]) == []
    _, said = channels("list", "--json", "--account", "whatsapp", "--state", "sent,queued")
    assert [each["id"] for each in lines(said)] == [deliveries[4], deliveries[7]]


def test_a_list_for_people_has_a_line_for_each(channels: Channels, deliveries: list[int]) -> None:
    _, said = channels("list", "--account", "telegram")
    failed, unknown = said.splitlines()
    assert failed.startswith(f"{deliveries[1]}  failed  telegram  telegram:2  {CONVERSATION}/7  ")
    assert "\x1b" not in failed
    assert unknown.endswith("  no answer")


def test_a_delivery_is_shown_with_its_steps_and_its_other_parts(
    database: str, channels: Channels
) -> None:
    async def parts(storage: Storage) -> None:
        await storage.channels.deliveries.add(
            [
                NewDelivery(
                    account=TELEGRAM,
                    chat="1",
                    address="telegram:1",
                    conversation=conversation,
                    seq=1,
                    kind="message",
                    part=part,
                )
                for part in range(2)
            ]
        )

    conversation = new_id()
    trio.run(stored, database, parts)
    found = lines(channels("list", "--json", "--state", "queued", "--account", TELEGRAM)[1])
    first, second = (each for each in found if each["conversation_id"] == conversation)
    code, said = channels("show", str(first["id"]), "--json")
    (shown,) = lines(said)
    assert (code, shown["id"], shown["other_parts"]) == (OK, first["id"], [second])
    _, said = channels("show", str(second["id"]))
    assert said.splitlines() == [
        f"{second['id']}: queued",
        "  to telegram:1 through telegram",
        f"  message {conversation}/1 part 1, 0 attempts",
        f"  part 0: {first['id']}, queued",
    ]


def test_what_is_not_there_is_not_shown(
    database: str, channels: Channels, capsys: pytest.CaptureFixture[str]
) -> None:
    assert channels("show", "4611686018427387904") == (FINDING, "")
    run(["channels", "show", "4611686018427387904", "--postgres", database])
    assert "is unknown here" in capsys.readouterr().err


# What is decided


def test_what_was_given_up_is_sent_again(
    database: str, channels: Channels, deliveries: list[int]
) -> None:
    before = len(audited(database, TELEGRAM))
    failed, unknown = deliveries[1:3]
    code, said = channels("retry", str(failed), str(unknown), "--json")
    assert code == OK
    assert lines(said) == [{"id": id_, "state": "queued"} for id_ in (failed, unknown)]
    assert lines(channels("list", "--json", "--account", TELEGRAM)[1]) == []
    entry, *others = audited(database, TELEGRAM)
    assert (entry.actor, entry.act) == ("shell", "delivery.retried")
    assert entry.details == {"deliveries": f"{failed} {unknown}"}
    assert len(others) == before


def test_all_of_an_account_are_those_that_have_failed_unless_it_is_said_otherwise(
    channels: Channels, deliveries: list[int]
) -> None:
    assert channels("retry", "--all", "--account", TELEGRAM) == (OK, f"{deliveries[1]}  queued\n")
    left = lines(channels("list", "--json")[1])
    assert [each["id"] for each in left] == [deliveries[2], *deliveries[5:7]]
    code, said = channels("drop", "--all", "--account", "whatsapp", "--state", "failed,unknown")
    assert (code, said) == (OK, "".join(f"{id_}  dropped\n" for id_ in deliveries[5:7]))
    assert [each["id"] for each in lines(channels("list", "--json")[1])] == [deliveries[2]]


def test_what_waits_can_be_dropped_and_what_was_sent_stays(
    database: str, channels: Channels, deliveries: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    queued, sent = str(deliveries[0]), str(deliveries[3])
    assert channels("drop", queued, sent) == (FINDING, f"{queued}  dropped\n")
    assert run(["channels", "drop", sent, "--postgres", database]) == FINDING
    assert f"delivery {sent} is sent: nothing was done" in capsys.readouterr().err
    assert channels("retry", queued) == (FINDING, "")


# How accounts do


def status(channels: Channels, *arguments: str) -> dict[str, dict[str, Any]]:
    return {each["account"]: each for each in lines(channels("status", "--json", *arguments)[1])}


def test_the_status_tells_who_works_on_an_account_and_what_waits(
    database: str, channels: Channels, deliveries: list[int]
) -> None:
    async def told(storage: Storage) -> None:
        accounts = storage.channels.accounts
        await accounts.tell_state(TELEGRAM, NODE, "degraded", "it is slow")
        await accounts.receive(TELEGRAM, [Incoming("a", b"{}"), Incoming("b", b"{}")])
        first = (await accounts.pending(TELEGRAM, 1))[0]
        await accounts.put_aside(TELEGRAM, NODE, first.id, "nobody is in its inbox")

    trio.run(stored, database, told)
    account = status(channels)[TELEGRAM]
    assert account.pop("since")
    assert account == {
        "account": TELEGRAM,
        "holder": NODE,
        "state": "degraded",
        "detail": "it is slow",
        "queued": 1,
        "sending": 0,
        "unknown": 1,
        "failed": 1,
        "pending": 1,
        "aside": 1,
        "aside_reason": "nobody is in its inbox",
    }
    code, said = channels("status")
    assert code == OK
    assert "telegram: degraded since " in said
    assert "  in: 1 to be worked on, 1 put aside (nobody is in its inbox)\n" in said
    assert channels("put-back", TELEGRAM) == (OK, f"{TELEGRAM}  1 put back\n")
    assert channels("put-back", TELEGRAM, "--json")[1] == '{"account": "telegram", "events": 0}\n'
    assert status(channels)[TELEGRAM]["pending"] == 2
    assert audited(database, TELEGRAM)[0].act == "incoming.put_back"


@pytest.mark.parametrize("state", ["dead", "connected"])
def test_an_account_that_is_dead_or_that_no_node_holds_is_a_finding(
    database: str, channels: Channels, deliveries: list[int], state: str
) -> None:
    async def told(storage: Storage) -> None:
        accounts = storage.channels.accounts
        await accounts.tell_state(TELEGRAM, NODE, state, "")
        if state == "connected":
            await accounts.let_go(TELEGRAM, NODE)

    trio.run(stored, database, told)
    assert channels("status")[0] == FINDING


def test_an_account_that_never_worked_is_shown_if_it_is_in_the_settings(
    channels: Channels, tmp_path: Path
) -> None:
    file = tmp_path / "chat4all.toml"
    file.write_text("[channels.loopback]\n")
    code, said = channels("status", "--config", str(file))
    assert code == FINDING
    assert said == (
        "loopback: no node has worked on it yet\n  out: 0 queued, 0 sending, 0 unknown, 0 failed\n"
    )
    assert status(channels, "--config", str(file))["loopback"]["since"] is None
    assert channels("status") == (OK, "")


# What does not fit


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "name deliveries, or --all --account ACCOUNT"),
        (("drop", "--all"), "--all is of one account"),
        (("drop", "--all", "5", "--account", "telegram"), "--all is of one account"),
        (("retry", "5", "--account", "telegram"), "--account goes with --all"),
        (
            ("retry", "--all", "--account", "a", "--state", "sent"),
            "'sent' is none of unknown, failed",
        ),
        (("list", "--state", "lost"), "'lost' is none of queued, sending,"),
        (("show", "0"), "0 is no id of a delivery"),
        (("show", "9223372036854775808"), "is no id of a delivery"),
    ],
)
def test_arguments_that_do_not_fit_are_told_before_anything_is_opened(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["channels", *arguments]) == USAGE
    assert said in capsys.readouterr().err
