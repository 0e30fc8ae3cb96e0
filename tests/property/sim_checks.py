"""What is compared once everything has healed: the stores, the clients, and what was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import TextBody
from chat4all_storage.ports.shard import Range

from .sim_world import CONVERSATIONS

if TYPE_CHECKING:
    from chat4all_storage.ports.events import StoredEvent

    from .sim_client import Device
    from .sim_world import World


async def check(world: World) -> None:
    """Complain of every guarantee that was broken."""
    for device in world.devices:
        if len(device.links()) > 1 and not (world.bus is not None and world.bus.lost):
            world.complain(f"{device.user}/{device.name} has more than one session")
    for conv in CONVERSATIONS:
        store = world.database_of(conv).inner
        stored = await store.conversation(conv)
        assert stored is not None
        (events,) = await store.history([Range(conv, 0, stored.head, stored.head)])
        _check_log(world, conv, events)
        for device in world.devices:
            _check_device(world, device, conv, events, device.user in stored.members)
        for name, member in stored.members.items():
            if not 0 <= member.read <= member.recv <= stored.head:
                world.complain(f"G11: {name} of {conv} stands at {member}")


def _check_log(world: World, conv: str, events: list[StoredEvent]) -> None:
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        world.complain(f"G4: the log of {conv} is not gapless")
    ids = [(event.sender, event.id) for event in events]
    if len(set(ids)) < len(ids):
        world.complain(f"G2: {conv} holds a message twice")
    where = {event.id: event for event in events}
    for message in world.messages:
        if message.conv != conv:
            continue
        found = where.get(message.id)
        if message.seq is not None:
            if found is None or (found.seq, found.sender) != (message.seq, message.sender):
                world.complain(f"G1: {message} was answered, stored is {found}")
            elif found.body != encode_body(TextBody(message.text)):
                world.complain(f"G1: {message} was stored as {found.body!r}")
            if found is not None and found.seq <= message.floor:
                world.complain(f"G5: {message} came after {message.floor} was answered")
        elif found is not None and not message.unanswered:
            world.complain(f"G3: every try of {message} was refused, but {found} is stored")


def _check_device(
    world: World, device: Device, conv: str, events: list[StoredEvent], member: bool
) -> None:
    who = f"{device.user}/{device.name}"
    if not device.live:
        world.complain(f"G7: {who} does not get in")
        return
    assert device.link is not None
    if not member:
        if conv in device.link.allowed:
            world.complain(f"G10: {who} was never told that {conv} is no longer its own")
        return
    if conv not in device.link.allowed:
        world.complain(f"G7: {who} does not see {conv}")
    holds = device.events.get(conv, {})
    for event in events:
        if event.seq not in holds:
            world.complain(f"G7: {who} lacks {event.seq} of {len(events)} in {conv}")
        elif holds[event.seq] != (event.sender, event.id):
            world.complain(f"G4: {who} holds {holds[event.seq]} in place of {event}")
    for message in device.outbox:
        world.complain(f"G7: {who} has no answer to {message}")
