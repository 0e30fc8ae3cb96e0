"""Programs for `simulation`: single steps, and scenes in which something is likely to go wrong."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from .sim_store import Fault
from .sim_world import CONVERSATIONS, DATABASES, DEVICES, USERS, Step

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

# The first ones are the most likely, so that many things happen to one of them.
devices = st.sampled_from([0, 0, 0, 2, 2, *range(len(DEVICES))])
conversations = st.sampled_from([0, 0, *range(len(CONVERSATIONS))])
databases = st.sampled_from([0, 0, *range(DATABASES)])
users = st.integers(0, len(USERS) - 1)
lags = st.sampled_from([0, 0.2, 2.0])
slowness = st.sampled_from([0.6, 1.2])
"""Longer than the journal is left alone, shorter than a resume waits."""
sizes = st.sampled_from([1, 300, 1500, 5000])
offsets = st.integers(-2, 3)
pauses = st.sampled_from([None, None, None, 0, 0, 1, 2, 5])
"""None: until nothing moves any more. Else so many turns of all tasks."""


def step(name: str, *arguments: SearchStrategy[object]) -> SearchStrategy[Step]:
    return st.tuples(st.just(name), *arguments, pauses)


sends = step("send", devices, conversations, sizes)
bursts = step("burst", devices, conversations, st.integers(2, 9), sizes)
waits = step("wait", st.sampled_from([0.02, 0.06, 0.3, 0.3, 1.1, 3.0, 12.0, 36.0]))
marks = step("read", devices, conversations, offsets) | step(
    "recv", devices, conversations, offsets
)
faults = step("fault", databases, st.sampled_from(Fault))
steps = st.one_of(
    sends,
    bursts,
    waits,
    marks,
    faults,
    step("retry", devices),
    step("repeat", devices, st.integers(0, 20)),
    step("connect", devices),
    step("drop", devices, st.booleans()),
    step("block", devices),
    step("drip", devices, st.integers(1, 5)),
    step("unblock", devices),
    step("typing", devices, conversations),
    step("fetch", devices, conversations),
    step("info", devices, conversations),
    step("create", devices, users),
    step("kick", devices),
    step("leave", conversations, users),
    step("join", conversations, users),
    step("stall", st.sampled_from([1.0, 20.0])),
    step("crash_node"),
    step("restart_node"),
    step("crash_conversation", conversations),
    step("foreign", conversations),
    step("down", databases),
    step("up", databases),
    step("lag", databases, lags, lags),
)
few_steps = st.lists(steps, max_size=2)
busy_steps = st.lists(st.one_of(sends, bursts, marks, steps), min_size=1, max_size=3)


@st.composite
def behind(draw: DrawFn) -> list[Step]:
    """A device takes no bytes for a while, and more comes for it than is queued."""
    device, conv = draw(devices), draw(conversations)
    return [
        ("block", device, None),
        *draw(few_steps),
        draw(step("burst", devices, st.just(conv), st.integers(4, 9), st.just(1500))),
        *draw(busy_steps),
        draw(step("drip", st.just(device), st.integers(1, 9)) | waits),
        ("unblock", device, None),
        *draw(few_steps),
    ]


@st.composite
def away(draw: DrawFn) -> list[Step]:
    """A device comes back to what it missed, perhaps while more is coming."""
    device, conv = draw(devices), draw(conversations)
    more = step("burst", devices, st.just(conv), st.integers(2, 4), sizes)
    return [
        draw(step("drop", st.just(device), st.booleans())),
        draw(more),
        *draw(few_steps),
        draw(step("lag", st.just(conv % 2), lags, lags)),
        draw(step("connect", st.just(device))),
        draw(waits),
        draw(more),
        *draw(few_steps),
        draw(waits),
    ]


@st.composite
def overtaken(draw: DrawFn) -> list[Step]:
    """More comes for a device while it is sent what it missed."""
    device, other = draw(st.sampled_from([(0, 2), (2, 0), (2, 1)]))
    full, conv, slow = 0, 1, draw(slowness)
    more = step("burst", st.just(other), st.just(conv), st.integers(1, 2), sizes)
    filling = step("burst", st.just(other), st.just(full), st.integers(4, 6), st.just(1500))
    missed, meanwhile = draw(
        st.sampled_from(
            [
                # It takes no bytes, and what it missed elsewhere fills its queue.
                (filling, st.just(("block", device, None))),
                # Stored after its memberships were read, and read as slowly as they were.
                (more, more),
            ]
        )
    )
    return [
        ("send", other, full, 1, None),
        ("send", other, conv, 1, None),
        draw(step("drop", st.just(device), st.booleans())),
        draw(missed),
        draw(more),
        ("lag", conv % 2, 0, slow, None),
        ("connect", device, None),
        draw(meanwhile),
        ("wait", slow + 0.05, None),
        draw(more),
        *draw(few_steps),
        ("lag", conv % 2, 0, 0, None),
        ("unblock", device, None),
        ("wait", slow + 0.05, None),
        draw(more),
    ]


@st.composite
def alone(draw: DrawFn) -> list[Step]:
    """Nearly nobody is there: conversations come to life and end all the time."""
    conv, slow = draw(conversations), draw(slowness)
    one, other = draw(st.sampled_from([(0, 2), (2, 0), (0, 3)]))
    lag_before: Step = ("lag", conv % 2, slow, 0, None)
    lag_after: Step = ("lag", conv % 2, 0, slow, None)
    connect: Step = ("connect", other, None)
    first, last = draw(
        st.sampled_from(
            [
                # The other one has been told where the conversation stood, but too slowly.
                ([lag_after, connect], ("wait", 3.0, None)),
                # The conversation fills a hole, slowly, when the other one comes.
                ([("foreign", conv, None), lag_before], connect),
            ]
        )
    )
    return [
        ("connect", one, None),
        *[("drop", device, False, None) for device in range(len(DEVICES)) if device != one],
        *first,
        draw(step("send", st.just(one), st.just(conv), sizes)),
        draw(step("drop", st.just(one), st.booleans())),
        ("lag", conv % 2, 0, 0, None),
        last,
        *draw(few_steps),
        draw(waits),
    ]


@st.composite
def vacated(draw: DrawFn) -> list[Step]:
    """The last one goes while what another writer stored is being read, and somebody comes."""
    conv, slow = draw(conversations), draw(slowness)
    one, other = draw(st.sampled_from([(0, 2), (2, 0), (0, 3), (0, 0)]))
    foreign: Step = ("foreign", conv, None)
    return [
        ("connect", one, None),
        *[("drop", device, False, None) for device in range(len(DEVICES)) if device != one],
        *[foreign] * draw(st.integers(1, 9)),
        ("lag", conv % 2, slow, 0, None),
        draw(waits),
        draw(step("drop", st.just(one), st.booleans())),
        ("lag", conv % 2, 0, 0, None),
        ("connect", other, None),
        draw(waits),
        foreign,
        *draw(few_steps),
    ]


@st.composite
def outage(draw: DrawFn) -> list[Step]:
    """A database loses commits or takes its time, and more goes wrong meanwhile."""
    conv, fault = draw(conversations), draw(st.sampled_from(Fault))
    crash = step("crash_conversation", st.just(conv))
    return [
        *draw(few_steps),
        ("fault", conv % 2, fault, None),
        draw(step("send", devices, st.just(conv), sizes) | step("join", st.just(conv), st.just(3))),
        draw(crash | step("down", st.just(conv % 2)) | crash | steps),
        draw(waits),
        *draw(few_steps),
        ("up", conv % 2, None),
    ]


@st.composite
def expelled(draw: DrawFn) -> list[Step]:
    """A member is removed in the middle of something, and perhaps added again."""
    conv, user = draw(conversations), draw(users)
    return [
        *draw(few_steps),
        ("leave", conv, user, draw(pauses)),
        *draw(busy_steps),
        ("join", conv, user, draw(pauses)),
        *draw(few_steps),
    ]


@st.composite
def curious(draw: DrawFn) -> list[Step]:
    """Somebody asks for what may not be its own, and says that it has read less than before."""
    device, conv = draw(st.integers(0, len(DEVICES) - 1)), draw(conversations)
    return [
        draw(step("fetch", st.just(device), st.just(conv))),
        draw(step("info", st.just(device), st.just(conv))),
        draw(bursts),
        draw(step("read", devices, st.just(conv), offsets)),
        draw(waits),
        draw(step("read", devices, st.just(conv), offsets)),
        draw(waits),
    ]


anything = st.lists(steps, min_size=1, max_size=8)


def made_of(*scenes: SearchStrategy[list[Step]]) -> SearchStrategy[list[Step]]:
    """Programs of a few scenes of these kinds."""
    return st.lists(st.one_of(*scenes), min_size=1, max_size=8).map(
        lambda parts: list(chain.from_iterable(parts))
    )


programs = made_of(
    anything, behind(), away(), overtaken(), alone(), vacated(), outage(), expelled(), curious()
)


# --- what once went wrong -------------------------------------------------------------------------

OTHERS: list[Step] = [("drop", device, True, None) for device in (1, 2, 3, 4)]
"""Everybody but the first device goes away."""

ONCE_BROKEN: dict[str, list[Step]] = {
    "a conversation crashes while an event is being stored, and its readers are back before": [
        ("fault", 1, Fault.SLOW, None),
        ("join", 1, 3, None),
        ("crash_conversation", 1, None),
        ("wait", 0.3, None),
        ("wait", 1.1, None),
    ],
    "a conversation crashes while a member is being added": [
        ("fault", 0, Fault.UNAVAILABLE, None),
        ("join", 0, 3, None),
        ("crash_conversation", 0, None),
        ("wait", 0.02, None),
    ],
    "a conversation crashes while a member is being removed, who connects slowly": [
        ("lag", 0, 0, 2.0, None),
        ("fault", 0, Fault.SLOW, None),
        ("leave", 0, 0, None),
        ("crash_conversation", 0, None),
        ("wait", 1.1, None),
    ],
    "a conversation is stored to and ends while a member connects": [
        *OTHERS,
        ("lag", 1, 0, 2.0, None),
        ("connect", 2, None),
        ("send", 0, 1, 1, None),
        ("drop", 0, True, None),
        ("lag", 1, 0, 0, None),
        ("wait", 3.0, None),
    ],
    "the last reader goes while its conversation fills a hole, and another comes": [
        *OTHERS,
        ("foreign", 1, None),
        ("lag", 1, 0.6, 0, None),
        ("send", 0, 1, 1, None),
        ("drop", 0, True, None),
        ("lag", 1, 0, 0, None),
        ("connect", 2, None),
        ("wait", 1.1, None),
    ],
    "a member is removed while it reads a page": [
        ("lag", 1, 0, 0.6, None),
        ("fetch", 2, 1, None),
        ("lag", 1, 0, 0, None),
        ("leave", 1, 1, None),
        ("wait", 1.1, None),
    ],
    "a member is removed while it asks for the members": [
        ("lag", 1, 0, 0.6, None),
        ("info", 2, 1, None),
        ("lag", 1, 0, 0, None),
        ("leave", 1, 1, None),
        ("wait", 1.1, None),
    ],
    "a member with a cursor is added again while it connects": [
        ("burst", 2, 0, 2, 1, None),
        ("drop", 0, True, None),
        ("send", 2, 0, 1, None),
        ("leave", 0, 0, None),
        ("lag", 0, 0, 0.6, None),
        ("connect", 0, None),
        ("lag", 0, 0, 0, None),
        ("join", 0, 0, None),
        ("wait", 1.1, None),
        ("send", 2, 0, 1, None),
    ],
    "the process hangs for longer than clients may be silent": [("stall", 20.0, None)],
}
