"""Who talks to whom, and what they do: a plan from a seed, and the tasks that carry it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.faults.client import Client
    from tests.faults.outbox import Pending
    from tests.faults.progress import Progress

MISSED: Final = 130
"""Events that somebody who was away has missed in a conversation: more than are replayed."""
NO_SUCH_EVENT: Final = 2**40
"""A `reply_to` that is refused for good."""
LONG_TEXT: Final = 9000
PILE: Final = 600
"""Events after which somebody who does not read goes on: more bytes than the kernel keeps."""


class Shape(Struct, frozen=True, kw_only=True):
    """How much of everything."""

    users: int = 17
    second_devices: int = 3
    groups: int = 6
    privates: int = 4
    window: int = 12
    """Messages in an outbox, at which nothing more is written."""
    pause: float = 0.15
    """Mean seconds between what one client writes at once."""
    wanderers: int = 3
    """Clients that leave and come back when they have missed a lot."""
    dawdlers: int = 2
    """Clients that stop reading, and go on when a lot has piled up."""
    curious: bool = False
    """Whether clients also open conversations, ask who has read what, and ask for what is not
    theirs."""


class Room(Struct, frozen=True):
    """A conversation that is to be created; its creator is the first member."""

    type: str
    members: list[str]


class Person(Struct, frozen=True):
    """A client that is to be made."""

    user: str
    device: str
    habit: str
    """`steady`, `wanders` or `dawdles`."""


class Plan(Struct, frozen=True):
    """Who is there."""

    users: list[str]
    people: list[Person]
    rooms: list[Room]


def make_plan(shape: Shape, rng: random.Random) -> Plan:
    """A plan. The first room is everybody's, and the busiest."""
    users = [f"user{number}" for number in range(shape.users)]
    devices = [(user, "laptop") for user in users]
    devices += [(user, "phone") for user in users[: shape.second_devices]]
    habits = ["wanders"] * shape.wanderers + ["dawdles"] * shape.dawdlers
    habits += ["steady"] * (len(devices) - len(habits))
    rng.shuffle(habits)
    people = [Person(*device, habit) for device, habit in zip(devices, habits, strict=True)]
    rooms = [Room("group", rng.sample(users, len(users)))]
    rooms += [
        Room("group", rng.sample(users, rng.randint(3, len(users) - 1)))
        for _ in range(shape.groups - 1)
    ]
    pairs = [(a, b) for a in users for b in users if a < b]
    rooms += [Room("private", list(pair)) for pair in rng.sample(pairs, shape.privates)]
    return Plan(users, people, rooms)


async def write(client: Client, rng: random.Random, shape: Shape, progress: Progress) -> None:
    """Write bursts of messages, some of them twice, some impossible, some long."""
    written: list[Pending] = []
    while True:
        await progress.reach(lambda: len(client.outbox) < shape.window)
        rooms = list(client.held)
        room = rng.choice(rooms) if rng.random() < 0.6 else rooms[0]
        for _ in range(rng.randint(1, 6)):
            dice = rng.random()
            text = f"{client.user} on {client.device} says {len(written)}"
            if dice > 0.85:
                text = text.ljust(LONG_TEXT, ".")
            pending = client.put(room, text, reply_to=NO_SUCH_EVENT if dice < 0.02 else None)
            written.append(pending)
            if 0.02 < dice < 0.06:
                client.repeat(pending)
        if rng.random() < 0.2:
            client.repeat(rng.choice(written))
        await trio.sleep(rng.expovariate(1 / shape.pause))


async def wander(client: Client, rng: random.Random, progress: Progress) -> None:
    """Be there for a while, then away until much was missed."""

    def much_was_missed() -> bool:
        return any(progress.heads[room] > held + MISSED for room, held in client.held.items())

    while True:
        await trio.sleep(rng.expovariate(1))
        client.stay_away = lambda: not much_was_missed()
        client.cut()
        await progress.reach(much_was_missed)
        client.stay_away = lambda: False


async def dawdle(client: Client, rng: random.Random, progress: Progress) -> None:
    """Read for a while, then nothing until much has piled up."""
    while True:
        await trio.sleep(rng.expovariate(1))
        client.pause()
        await _stored(PILE, progress)
        client.unpause()


async def wonder(client: Client, rng: random.Random, users: list[str], progress: Progress) -> None:
    """Ask for this and that, also for what is none of this client's business."""
    while True:
        await trio.sleep(rng.expovariate(1))
        own = rng.choice(list(client.held))
        others = [room for room in progress.heads if room not in client.held]
        dice = rng.random()
        if dice < 0.4:
            client.ask({"t": "info", "conv": own})
        elif dice < 0.6:
            client.ask({"t": "typing", "conv": own})
        elif dice < 0.7:
            peer = rng.choice([user for user in users if user != client.user])
            client.ask({"t": "create", "type": "private", "members": [peer]})
        elif others and dice < 0.9:
            client.ask({"t": rng.choice(["info", "fetch", "typing"]), "conv": rng.choice(others)})
        elif others:
            client.put(rng.choice(others), "from outside")


async def _stored(count: int, progress: Progress) -> None:
    """Wait until so many more messages have been stored."""
    until = sum(progress.heads.values()) + count
    await progress.reach(lambda: sum(progress.heads.values()) >= until)


async def live(
    clients: Sequence[tuple[Client, Person]], rng: random.Random, shape: Shape, progress: Progress
) -> None:
    """Everybody does as is their habit, until cancelled; then everybody attends."""
    users = sorted({person.user for _, person in clients})
    try:
        async with trio.open_nursery() as nursery:
            for client, person in clients:
                nursery.start_soon(write, client, _child(rng), shape, progress)
                if shape.curious:
                    nursery.start_soon(wonder, client, _child(rng), users, progress)
                if person.habit == "wanders":
                    nursery.start_soon(wander, client, _child(rng), progress)
                elif person.habit == "dawdles":
                    nursery.start_soon(dawdle, client, _child(rng), progress)
    finally:
        for client, _ in clients:
            client.stay_away = lambda: False
            client.unpause()


def _child(rng: random.Random) -> random.Random:
    """A generator of one task's own: the order in which tasks run changes nothing."""
    return type(rng)(rng.random())
