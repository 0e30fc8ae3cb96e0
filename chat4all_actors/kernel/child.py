"""A child of a supervisor: what it is, its place among the others, and each of its lives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from chat4all_actors.kernel.errors import ChildReturned
from chat4all_actors.kernel.faults import split_faults
from chat4all_actors.kernel.tree import TreeNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Child:
    """The specification of a child, which runs until it is cancelled.

    `run` is called with the keyword ``task_status`` and must call ``task_status.started()`` when
    it is ready. `tree` describes what is below the child.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    tree: Callable[[], TreeNode] | None = None


class Life:
    """One life of one child, from start to end; the task status its `run` is given."""

    __slots__ = ("_changed", "ended", "fault", "passing", "ready_at", "scope")

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when the child is ready and when it has ended."""
        self.scope = trio.CancelScope(shield=True)
        """Shielded: trio cancels in no order, so only the supervisor may cancel a child."""
        self.ready_at: float | None = None
        self.ended = trio.Event()
        self.fault: Exception | None = None
        """Why it ended; None if it was cancelled, or something is passing."""
        self.passing = False
        """An interrupt is on its way through: the nursery is about to cancel the supervisor."""
        self._changed = changed

    def started(self, value: object = None) -> None:
        """Be told by the child that it is ready."""
        if self.ready_at is not None:
            raise RuntimeError("a child is started only once")
        self.ready_at = trio.current_time()
        self._changed()

    async def run(self, child: Child) -> None:
        """Live; raises only what is passing."""
        rest: BaseException | None = None
        try:
            with self.scope:
                await child.run(task_status=self)
            if not self.scope.cancel_called:
                when = " before it was ready" if self.ready_at is None else ""
                self.fault = ChildReturned(f"{child.name} returned{when}")
        except BaseException as error:
            self.fault, rest = split_faults(error)
        self.passing = rest is not None
        self.ended.set()
        self._changed()
        if rest is not None:
            raise rest


class Place:
    """The place of a child among its siblings: its present life, or when the next may begin."""

    __slots__ = ("attempt", "child", "due", "life", "proven", "restarts")

    def __init__(self, child: Child) -> None:
        """Without a life, which may begin at once."""
        self.child = child
        self.life: Life | None = None
        self.due = -math.inf
        self.proven = False
        """It was ready once, so a failing start is a matter of restarts."""
        self.attempt = 0
        """Restarts in a row, without a life as long as the window in between."""
        self.restarts = 0

    @property
    def ready(self) -> bool:
        """Whether the child has said so in its present life."""
        return self.life is not None and self.life.ready_at is not None

    @property
    def state(self) -> str:
        """One word for pictures."""
        if self.life is None:
            return "waiting"
        if self.life.scope.cancel_called:
            return "stopping"
        return "running" if self.ready else "starting"

    def clear(self) -> Life:
        """Take the life that has ended out, and return it."""
        life, self.life = self.life, None
        assert life is not None
        self.proven = self.proven or life.ready_at is not None
        return life

    def tree(self) -> TreeNode:
        """Describe the child and what is below."""
        child = self.child
        node = child.tree() if child.tree is not None else TreeNode(child.name, "task", self.state)
        detail = {**node.detail, "restarts": self.restarts} if self.restarts else node.detail
        return replace(node, name=child.name, state=self.state, detail=detail)
