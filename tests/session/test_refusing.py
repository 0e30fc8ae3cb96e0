from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from chat4all_actors.conversation.outside import Refusal
from chat4all_actors.session.refusing import telling
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Error
from chat4all_storage.ports.errors import InDoubt, Rejected, Unavailable

if TYPE_CHECKING:
    from chat4all_actors.session.session import Session


class Told:
    """What a session was told to do."""

    def __init__(self) -> None:
        self.sent: list[Error] = []
        self.closed = False

    def send(self, frame: Error) -> None:
        self.sent.append(frame)

    def close_internal(self) -> None:
        self.closed = True


async def told(error: Exception | None) -> Told:
    async def asked() -> None:
        if error is not None:
            raise error

    session: Any = Told()
    await telling(cast("Session", session), 7, asked())
    return cast("Told", session)


async def test_what_succeeds_answers_for_itself() -> None:
    session = await told(None)
    assert (session.sent, session.closed) == ([], False)


async def test_a_refusal_is_told_with_its_field_and_for_good() -> None:
    session = await told(Refusal(ErrorCode.NOT_FOUND, "no such user", "members"))
    assert session.sent == [
        Error(code="NOT_FOUND", message="no such user", rid=7, temporary=False, field="members")
    ]
    assert not session.closed


@pytest.mark.parametrize("error", [Unavailable("gone"), Rejected("odd")])
async def test_a_store_that_fails_is_told_to_be_away_for_now(error: Exception) -> None:
    session = await told(error)
    assert [(one.code, one.rid, one.temporary) for one in session.sent] == [
        ("UNAVAILABLE", 7, True)
    ]
    assert not session.closed


async def test_what_may_have_been_done_is_not_answered_at_all() -> None:
    session = await told(InDoubt("lost"))
    assert (session.sent, session.closed) == ([], True)


async def test_any_other_fault_is_the_connection_s() -> None:
    with pytest.raises(KeyError):
        await told(KeyError("a defect"))
