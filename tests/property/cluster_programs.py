"""Programs for two nodes: the bus between them fails, and devices move from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from .programs import (
    bursts,
    conversations,
    devices,
    few_steps,
    lags,
    made_of,
    marks,
    pauses,
    sends,
    sizes,
    slowness,
    step,
    steps,
    users,
    waits,
)
from .sim_bus import BusFault
from .sim_world import DEVICES

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from .sim_world import Step

NODES = 2

nodes = st.integers(0, NODES - 1)
moves = step("connect", devices, nodes)
bus_faults = st.one_of(
    step("bus_down"),
    step("bus_up"),
    step("bus_forget"),
    step("bus_rewind", st.integers(1, 5)),
    step("bus_fault", st.sampled_from(BusFault), st.integers(1, 4)),
    step("bus_lag", st.sampled_from([0, 0.2, 1.0, 4.0])),
)
changes = step("leave", conversations, users, nodes) | step("join", conversations, users, nodes)
cluster_steps = st.one_of(
    steps,
    moves,
    moves,
    bus_faults,
    changes,
    step("crash_node", nodes),
    step("kill_node", nodes),
    step("start_node", nodes),
    step("restart_node", nodes),
    step("crash_conversation", conversations, nodes),
)
few = st.lists(cluster_steps, max_size=2)
busy = st.lists(st.one_of(sends, bursts, marks, changes, moves), min_size=1, max_size=4)

anywhere = st.lists(cluster_steps, min_size=1, max_size=8)


@st.composite
def apart(draw: DrawFn) -> list[Step]:
    """The nodes hear nothing of each other while things happen on both."""
    return [
        draw(bus_faults),
        draw(waits),
        *draw(busy),
        *draw(few),
        *draw(busy),
        draw(waits),
        draw(step("bus_up")),
    ]


@st.composite
def moving(draw: DrawFn) -> list[Step]:
    """A device goes from one node to the other, while more is coming for it."""
    device, conv, node = draw(devices), draw(conversations), draw(nodes)
    more = step("burst", devices, st.just(conv), st.integers(1, 4), sizes)
    return [
        draw(step("connect", st.just(device), st.just(node))),
        draw(more),
        *draw(few),
        draw(step("lag", st.just(conv % 2), lags, lags)),
        draw(step("connect", st.just(device), st.just(1 - node))),
        draw(more),
        draw(step("lag", st.just(conv % 2), lags, lags)),
        *draw(few),
        draw(waits),
    ]


@st.composite
def woken(draw: DrawFn) -> list[Step]:
    """Nobody is on a node when something is stored through the other one, and somebody comes."""
    conv, node, slow = draw(conversations), draw(nodes), draw(slowness)
    one, other = draw(st.sampled_from([(0, 2), (2, 0), (0, 3), (3, 0)]))
    change = step("leave", st.just(conv), users, st.just(node))
    return [
        draw(bus_faults),
        *[("drop", device, False, None) for device in range(len(DEVICES))],
        ("connect", one, node, None),
        draw(waits),
        ("lag", conv % 2, 0, slow, None),
        ("connect", other, 1 - node, None),
        ("lag", conv % 2, 0, 0, None),
        draw(step("send", st.just(one), st.just(conv), sizes) | change),
        *draw(few),
        draw(waits),
        *draw(few),
    ]


@st.composite
def mingled(draw: DrawFn) -> list[Step]:
    """Devices on both nodes talk at the same time, and commits are slow or in doubt."""
    conv = draw(conversations)
    talk = st.lists(
        step("send", devices, st.just(conv), sizes)
        | step("burst", devices, st.just(conv), st.integers(2, 4), sizes),
        min_size=2,
        max_size=5,
    )
    return [
        ("connect", 0, draw(nodes), None),
        ("connect", 2, draw(nodes), None),
        *draw(few_steps),
        *draw(talk),
        draw(bus_faults | waits),
        *draw(talk),
        *draw(few),
    ]


@st.composite
def introduced(draw: DrawFn) -> list[Step]:
    """A user is removed and added through one node, and is on the other one; people talk."""
    conv, user, node = draw(conversations), draw(users), draw(nodes)
    talk = step("send", devices, st.just(conv), sizes)
    lag = step("lag", st.just(conv % 2), lags, lags)
    return [
        ("leave", conv, user, node, draw(pauses)),
        *draw(few),
        draw(talk),
        draw(lag),
        ("join", conv, user, node, draw(pauses)),
        draw(talk),
        draw(talk),
        draw(lag),
        *draw(few),
    ]


cluster_programs = made_of(anywhere, apart(), moving(), woken(), mingled(), introduced())


# --- what once went wrong -------------------------------------------------------------------------

NOBODY: list[Step] = [("drop", device, False, None) for device in range(len(DEVICES))]

BROKEN_ON_TWO: dict[str, list[Step]] = {
    "a member is removed through the other node while it connects": [
        ("drop", 1, False, None),
        ("lag", 0, 0, 0.2, None),
        ("connect", 3, 1, None),
        ("lag", 0, 0, 0, None),
        ("leave", 2, 2, 0, None),
    ],
    "a member is removed through the other node while it connects, after another one": [
        *NOBODY,
        ("connect", 0, 0, None),
        ("lag", 0, 0, 0.6, None),
        ("connect", 3, 1, None),
        ("lag", 0, 0, 0, None),
        ("leave", 2, 2, 0, None),
        ("connect", 1, 1, None),
    ],
    "a member who was added through the other node writes before it was told": [
        ("leave", 0, 2, None),
        ("lag", 0, 0, 0.2, None),
        ("join", 0, 3, 1, None),
        ("send", 4, 0, 300, None),
        ("lag", 0, 2.0, 0, None),
        ("connect", 0, 1, None),
        ("connect", 2, 1, None),
        ("bus_rewind", 2, None),
        ("connect", 0, 1, None),
        ("connect", 2, 0, None),
        ("burst", 4, 0, 3, 1, None),
        ("burst", 1, 0, 4, 300, None),
    ],
}
