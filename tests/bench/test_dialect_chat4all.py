"""Our dialect against the frames of the protocol itself."""

from __future__ import annotations

import msgspec
import pytest

from chat4all_bench.dialects.base import Acknowledged, Delivered, Fetched, Gap, Refused, Seat, Step
from chat4all_bench.dialects.chat4all import Chat4all
from chat4all_protocol import frames
from chat4all_protocol.codec import encode
from chat4all_protocol.ids import new_id

ROOM, OTHER = new_id(), new_id()

decode = msgspec.msgpack.Decoder(frames.AnyClientFrame).decode


class Sitting:
    """A session as a dialect sees it."""

    def __init__(self, room: str = ROOM, position: int = 0) -> None:
        self.seat = Seat(5, "alice", "token", "bench", room, 0, 1, 2)
        self.position = position
        self.stage = 0


def heard(frame: frames.AnyServerFrame, session: Sitting | None = None) -> object:
    return Chat4all().receive(session or Sitting(), encode(frame))


def state(conv: str, head: int) -> frames.ConvState:
    return frames.ConvState(conv, "private", head, 0, 0, 0)


def test_the_first_connect_names_no_cursors_and_later_ones_where_it_left_off() -> None:
    (first,) = Chat4all().begin(Sitting()).say
    assert decode(first) == frames.Connect("token", "bench")
    (later,) = Chat4all().begin(Sitting(position=7)).say
    assert decode(later) == frames.Connect("token", "bench", {ROOM: 7})
    (roomless,) = Chat4all().begin(Sitting(room="", position=7)).say
    assert decode(roomless) == frames.Connect("token", "bench")


def test_ready_tells_the_head_of_the_clients_own_room() -> None:
    ready = frames.Ready("s", "alice", 1, [state(OTHER, 9), state(ROOM, 4)], more=False)
    assert heard(ready) == Step(ready=True, head=4)
    assert heard(ready, Sitting(room="")) == Step(ready=True)


def test_a_message_is_a_send_whose_id_follows_from_client_and_number() -> None:
    dialect, text = Chat4all(), "#12345 and so on"
    sent = decode(dialect.message(Sitting(), 3, text))
    again = decode(dialect.message(Sitting(), 4, text))
    assert isinstance(sent, frames.Send)
    assert isinstance(again, frames.Send)
    assert (sent.rid, sent.conv, sent.body) == (3, ROOM, frames.TextBody(text))
    assert (sent.id, again.id) == (
        "00000005-2345-4000-8000-000000000003",
        "00000005-2345-4000-8000-000000000004",
    )


def test_sent_and_msg_are_an_acknowledgement_and_a_delivery() -> None:
    assert heard(frames.Sent(3, ROOM, new_id(), 8, 1, dup=False)) == Acknowledged(3, 8)
    message = frames.Msg(ROOM, 9, new_id(), "bob", 1, frames.TextBody("text"))
    assert heard(message) == Delivered("text", 9)


def test_an_id_that_was_used_before_is_told_as_an_error() -> None:
    found = heard(frames.Sent(3, ROOM, new_id(), 8, 1, dup=True))
    assert isinstance(found, Refused)
    assert "another --seed" in found.reason


def test_a_gap_is_fetched_page_by_page_and_no_further() -> None:
    gap = heard(frames.Gap(ROOM, 5, 7))
    assert isinstance(gap, Gap)
    assert gap.events == 3
    fetch = decode(gap.say[0])
    assert isinstance(fetch, frames.Fetch)
    assert (fetch.conv, fetch.after) == (ROOM, 4)

    def page(*seqs: int) -> Fetched:
        items = [frames.Msg(ROOM, n, new_id(), "b", 1, frames.TextBody(f"t{n}")) for n in seqs]
        found = heard(frames.Page(fetch.rid, ROOM, items, more=True))
        assert isinstance(found, Fetched)
        return found

    first = page(5, 6)
    assert first.items == [("t5", 5), ("t6", 6)]
    more = decode(first.say[0])
    assert isinstance(more, frames.Fetch)
    assert (more.rid, more.after) == (fetch.rid, 6)
    assert page(7, 8, 9) == Fetched([("t7", 7)])


@pytest.mark.parametrize("rid", [None, 3])
def test_an_error_is_of_the_message_that_it_names(rid: int | None) -> None:
    assert heard(frames.Error("RATE_LIMITED", "no", temporary=True, rid=rid)) == Refused(
        "RATE_LIMITED", rid
    )


def test_a_server_that_drains_is_told() -> None:
    assert heard(frames.Reconnect(100)) == Refused("RECONNECT")


@pytest.mark.parametrize(
    "frame",
    [
        frames.Hello(1, "n", 1, 25000, frames.Limits(1, 1, 1, 1)),
        frames.Pong(1),
        frames.Receipt(ROOM, "bob", 1, 1),
        frames.Composing(ROOM, "bob", "text", 1),
        frames.Presence("bob", "online"),
        frames.Ok(1),
        frames.Conv(ROOM, "private", ["alice", "bob"], 0),
    ],
)
def test_other_frames_do_not_matter(frame: frames.AnyServerFrame) -> None:
    assert heard(frame) is None
