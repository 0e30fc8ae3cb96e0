"""Programs for two nodes: the bus between them fails, and devices move from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sim_world import DEVICES

if TYPE_CHECKING:
    from .sim_world import Step

NODES = 2

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
