"""`chat4all channels`: accounts on channels, and what an operator decides on their messages."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final, get_args

import trio

from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.deliveries import DeliveryState
from chat4all_storage.ports.errors import StorageError

from .channel_lines import (
    delivery_as_json,
    delivery_line,
    delivery_lines,
    overview,
    status_as_json,
    status_lines,
)
from .flags import settings_of
from .main import FINDING, OK, USAGE, CommandError
from .opening import open_storage

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence

    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.deliveries import Deliveries, Progress

    from ..config import Settings

PAGE: Final = 100
"""Deliveries that are read, or decided on, at once."""
STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)
DECIDED_ON: Final = frozenset({"failed", "unknown"})
MAX_ID: Final = 2**63 - 1


def run(options: argparse.Namespace) -> int:
    """Show, decide, or play."""
    if options.action == "play":
        from .channel_play import play

        return play(options)
    _check(options)
    return trio.run(_run, options)


def _check(options: argparse.Namespace) -> None:
    """See that the arguments fit together.

    Raises:
        CommandError: they do not.
    """
    for id_ in getattr(options, "ids", ()):
        if not 0 < id_ <= MAX_ID:
            raise CommandError(f"{id_} is no id of a delivery", code=USAGE)
    if options.action == "list":
        _states(options.state, frozenset(STATES))
    if options.action in ("retry", "drop"):
        if options.all:
            _states(options.state, DECIDED_ON)
        if options.all and (options.ids or options.account is None):
            raise CommandError("--all is of one account: --all --account ACCOUNT", code=USAGE)
        if not options.all and not options.ids:
            raise CommandError("name deliveries, or --all --account ACCOUNT", code=USAGE)
        if not options.all and options.account is not None:
            raise CommandError("--account goes with --all", code=USAGE)


def _states(text: str, allowed: frozenset[str]) -> list[DeliveryState]:
    named = text.split(",")
    if unknown := [state for state in named if state not in allowed]:
        known = ", ".join(state for state in STATES if state in allowed)
        raise CommandError(
            f"--state: {unknown[0]!r} is none of {known}, with commas between", code=USAGE
        )
    return [state for state in STATES if state in named]


async def _run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    async with open_storage(settings, beside_server=True) as opened:
        stores = opened.storage.channels
        try:
            match options.action:
                case "status":
                    return await _status(stores, settings, as_json=options.json)
                case "list":
                    states = _states(options.state, frozenset(STATES))
                    await _list(stores.deliveries, states, options.account, as_json=options.json)
                    return OK
                case "show":
                    return await _show(stores.deliveries, options.ids, as_json=options.json)
                case "put-back":
                    return await _put_back(stores, options.accounts, as_json=options.json)
                case _:
                    return await _decide(stores.deliveries, options)
        except StorageError as error:
            raise CommandError(f"the directory could not do it: {error}") from error


async def _status(stores: ChannelStores, settings: Settings, *, as_json: bool) -> int:
    accounts = overview(
        settings.channels,
        await stores.accounts.states(),
        await stores.accounts.backlogs(),
        await stores.deliveries.counts(),
    )
    for account in accounts:
        if as_json:
            print(json.dumps(status_as_json(account)))
        else:
            print("\n".join(status_lines(account)))
    return FINDING if any(account.stopped for account in accounts) else OK


async def _list(
    deliveries: Deliveries, states: list[DeliveryState], account: str | None, *, as_json: bool
) -> None:
    async for page in _pages(deliveries, states, account):
        for each in page:
            print(json.dumps(delivery_as_json(each)) if as_json else delivery_line(each))


async def _pages(
    deliveries: Deliveries, states: Sequence[DeliveryState], account: str | None
) -> AsyncIterator[list[Progress]]:
    after, full = 0, True
    while full:
        page = await deliveries.listed(states, account=account, after=after, limit=PAGE)
        full = len(page) == PAGE
        if page:
            after = page[-1].id
            yield page


async def _show(deliveries: Deliveries, ids: Sequence[int], *, as_json: bool) -> int:
    code = OK
    for id_ in ids:
        found = await _find(deliveries, id_)
        if found is None:
            code = _nothing(id_, found)
            continue
        event = await deliveries.progress(found.conversation, found.seq)
        parts = [
            each
            for each in event
            if (each.account, each.address) == (found.account, found.address) and each.id != id_
        ]
        if as_json:
            told = delivery_as_json(found)
            print(json.dumps({**told, "other_parts": [delivery_as_json(each) for each in parts]}))
        else:
            print("\n".join(delivery_lines(found, parts)))
    return code


async def _find(deliveries: Deliveries, id_: int) -> Progress | None:
    found = await deliveries.listed(STATES, account=None, after=id_ - 1, limit=1)
    return found[0] if found and found[0].id == id_ else None


async def _decide(deliveries: Deliveries, options: argparse.Namespace) -> int:
    """Retry or drop; 1 if there was one to which it could not be done."""
    decide = deliveries.retry if options.action == "retry" else deliveries.drop
    if options.all:
        states = _states(options.state, DECIDED_ON)
        async for page in _pages(deliveries, states, options.account):
            _tell(await decide([each.id for each in page], SHELL), options)
        return OK
    code = OK
    for start in range(0, len(options.ids), PAGE):
        ids = options.ids[start : start + PAGE]
        done = await decide(ids, SHELL)
        _tell(done, options)
        for id_ in dict.fromkeys(ids):
            if id_ not in done:
                code = _nothing(id_, await _find(deliveries, id_))
    return code


def _tell(done: set[int], options: argparse.Namespace) -> None:
    state = "queued" if options.action == "retry" else "dropped"
    for id_ in sorted(done):
        print(json.dumps({"id": id_, "state": state}) if options.json else f"{id_}  {state}")


def _nothing(id_: int, found: Progress | None) -> int:
    state = "unknown here" if found is None else found.state
    print(f"delivery {id_} is {state}: nothing was done", file=sys.stderr)
    return FINDING


async def _put_back(stores: ChannelStores, accounts: Sequence[str], *, as_json: bool) -> int:
    for account in dict.fromkeys(accounts):
        events = await stores.accounts.put_back(account, SHELL)
        if as_json:
            print(json.dumps({"account": account, "events": events}))
        else:
            print(f"{account}  {events} put back")
    return OK
