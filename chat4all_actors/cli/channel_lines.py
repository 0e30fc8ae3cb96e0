"""Accounts on channels and their deliveries as they are printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from .chat_text import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chat4all_storage.ports.channel_accounts import AccountState, Backlog
    from chat4all_storage.ports.deliveries import DeliveryState, Progress

COUNTED: Final[tuple[DeliveryState, ...]] = ("queued", "sending", "unknown", "failed")
"""What an operator is told of how much there is."""


class Overview(Struct, frozen=True):
    """An account, and what waits in it."""

    account: str
    state: AccountState | None
    """None: no node has ever worked on it."""
    counts: dict[str, int]
    backlog: Backlog | None

    @property
    def stopped(self) -> bool:
        """Whether nothing is sent or received through it."""
        return self.state is None or self.state.holder is None or self.state.state == "dead"


def overview(
    configured: Iterable[str],
    states: Sequence[AccountState],
    backlogs: Sequence[Backlog],
    counts: Mapping[tuple[str, DeliveryState], int],
) -> list[Overview]:
    """All accounts of which something is known, by name."""
    known = {state.account: state for state in states}
    waiting = {backlog.account: backlog for backlog in backlogs}
    names = {*configured, *known, *waiting, *(account for account, _ in counts)}
    return [
        Overview(
            name,
            known.get(name),
            {state: counts.get((name, state), 0) for state in COUNTED},
            waiting.get(name),
        )
        for name in sorted(names)
    ]


def status_as_json(account: Overview) -> dict[str, Any]:
    """For programs."""
    state, backlog = account.state, account.backlog
    return {
        "account": account.account,
        "holder": state.holder if state else None,
        "state": state.state if state else "unknown",
        "detail": state.detail if state else "",
        "since": moment(state.at) if state else None,
        **account.counts,
        "pending": backlog.pending if backlog else 0,
        "aside": backlog.aside if backlog else 0,
        "aside_reason": backlog.reason if backlog else None,
    }


def status_lines(account: Overview) -> list[str]:
    """For people."""
    state, backlog, counts = account.state, account.backlog, account.counts
    if state is None:
        lines = [f"{account.account}: no node has worked on it yet"]
    else:
        said = f"{state.state.replace('_', ' ')} since {moment(state.at)}"
        if state.detail:
            said += f": {safe_line(state.detail)}"
        held = "held by no node" if state.holder is None else f"held by node {state.holder}"
        lines = [f"{account.account}: {said}", f"  {held}"]
    lines.append("  out: " + ", ".join(f"{counts[name]} {name}" for name in COUNTED))
    if backlog is not None:
        said = f"  in: {backlog.pending} to be worked on, {backlog.aside} put aside"
        lines.append(said if backlog.reason is None else f"{said} ({safe_line(backlog.reason)})")
    return lines


def delivery_as_json(delivery: Progress) -> dict[str, Any]:
    """For programs."""
    return {
        "id": delivery.id,
        "account": delivery.account,
        "address": delivery.address,
        "conversation_id": delivery.conversation,
        "seq": delivery.seq,
        "part": delivery.part,
        "state": delivery.state,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "steps": [{"state": step.state, "at": moment(step.at)} for step in delivery.steps],
    }


def delivery_line(delivery: Progress) -> str:
    """For people, in a list."""
    last = f"  {moment(delivery.steps[-1].at)}" if delivery.steps else ""
    reason = f"  {safe_line(delivery.reason)}" if delivery.reason else ""
    return (
        f"{delivery.id}  {delivery.state}  {delivery.account}  {safe_line(delivery.address)}"
        f"  {_place(delivery)}  {_attempts(delivery)}{last}{reason}"
    )


def delivery_lines(delivery: Progress, parts: Sequence[Progress]) -> list[str]:
    """For people, by itself: how it came to where it is, and its other parts."""
    reason = f": {safe_line(delivery.reason)}" if delivery.reason else ""
    return [
        f"{delivery.id}: {delivery.state}{reason}",
        f"  to {safe_line(delivery.address)} through {delivery.account}",
        f"  message {_place(delivery)}, {_attempts(delivery)}",
        *(f"  {moment(step.at)}  {step.state}" for step in delivery.steps),
        *(f"  part {each.part}: {each.id}, {each.state}" for each in parts),
    ]


def _place(delivery: Progress) -> str:
    part = f" part {delivery.part}" if delivery.part else ""
    return f"{delivery.conversation}/{delivery.seq}{part}"


def _attempts(delivery: Progress) -> str:
    return f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"


def moment(ms: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
