"""Samples, for tests of what is made of them."""

from __future__ import annotations

from chat4all_bench.rest.samples import Sample


def sample(
    number: int = 1,
    *,
    due: float = 0.0,
    late: float = 0.0,
    took: float = 0.010,
    seq: int | None = None,
    fault: str = "",
    status: int = 202,
) -> Sample:
    """Message `number`, which stands at that place unless told otherwise."""
    return Sample(
        due=due,
        sent=due + late,
        done=due + took,
        status=status,
        fault=fault,
        conversation=0,
        message_id=f"id-{number}",
        seq=number if seq is None else seq,
    )
