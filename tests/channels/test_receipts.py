"""What providers tell of what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.channels.receipts import Receipts
from chat4all_connectors.incoming import Receipt
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.deliveries import reference_of

from .world import ACCOUNT, BEA, receipts, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.errors import Failure
    from chat4all_connectors.incoming import ReceiptStatus

    from .world import World


def told(
    status: ReceiptStatus,
    *,
    chat: str | None = "bea",
    message: str | None = None,
    reference: str | None = None,
    watermark: int | None = None,
    failure: Failure | None = None,
) -> Receipt:
    return Receipt(
        key=new_id(),
        chat=chat,
        status=status,
        at=0,
        message=message,
        reference=reference,
        watermark=watermark,
        failure=failure,
        reason=None if failure is None else "why",
    )


async def sent(there: World, *texts: str) -> str:
    """Messages of Ana's, which have gone out; their conversation."""
    conversation = await there.with_bea()
    ana = await there.person("ana")
    for number, text in enumerate(texts, 1):
        await ana.say(Send(rid=number, conv=conversation, id=new_id(), body=TextBody(text)))
    await there.soon()
    return conversation


async def test_a_receipt_by_reference_counts_whatever_the_chat_is_called(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation = await sent(there, "hello")
        (progress,) = await there.progress(conversation, 1)
        taking = Receipts(ACCOUNT, there.stores, there.node.conversations)
        await taking.take([told("read", chat="another id", reference=reference_of(progress.id))])
        (progress,) = await there.progress(conversation, 1)
        assert progress.state == "read"


async def test_a_watermark_counts_for_all_that_was_sent_before(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await sent(there, "one", "two")
        ana = await there.person("ana")
        taking = Receipts(ACCOUNT, there.stores, there.node.conversations)
        await taking.take([told("read", watermark=2**50)])
        await there.soon()
        states = [(await there.progress(conversation, seq))[0].state for seq in (1, 2)]
        assert states == ["read", "read"]
        assert receipts(ana)[-1] == (BEA, 2, 2)


async def test_the_same_receipts_again_change_nothing(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await sent(there, "hello")
        line = there.stage.lines("bea")[0]
        taking = Receipts(ACCOUNT, there.stores, there.node.conversations)
        for _ in range(2):
            await taking.take([told("read", message=line.id), told("delivered", message=line.id)])
        (progress,) = await there.progress(conversation, 1)
        assert progress.state == "read"
        assert [step.state for step in progress.steps] == ["sent", "delivered", "read"]


async def test_a_failure_that_tells_of_the_person_is_remembered(autojump_clock: MockClock) -> None:
    async with world(loopback=LoopbackSettings(delivers=False)) as there:
        conversation = await sent(there, "hello")
        line = there.stage.lines("bea")[0]
        taking = Receipts(ACCOUNT, there.stores, there.node.conversations)
        await taking.take([told("failed", message=line.id, failure="unreachable")])
        (progress,) = await there.progress(conversation, 1)
        assert (progress.state, progress.reason) == ("failed", "why")
        assert not (await there.contact()).reachable
