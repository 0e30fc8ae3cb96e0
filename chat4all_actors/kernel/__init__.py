"""The actor kernel: mailboxes, actors on demand, pools, supervisors and timers.

Knows nothing of chat and imports only trio and the standard library.
"""

from chat4all_actors.kernel.actor import Actor, ActorState, ActorStatistics
from chat4all_actors.kernel.child import Child
from chat4all_actors.kernel.errors import (
    ActorFailed,
    ActorStopped,
    AskTimeout,
    ChildReturned,
    KernelError,
    MailboxFull,
    PoolClosed,
    RestartBudgetExceeded,
)
from chat4all_actors.kernel.faults import FaultHandler, report_fault, split_faults
from chat4all_actors.kernel.low_priority import LowPriority
from chat4all_actors.kernel.mailbox import Mailbox, MailboxStatistics
from chat4all_actors.kernel.pool import Member, Pool, PoolStatistics
from chat4all_actors.kernel.reply import Reply
from chat4all_actors.kernel.supervisor import (
    Strategy,
    Supervisor,
    SupervisorStatistics,
)
from chat4all_actors.kernel.timers import Timers, TimersStatistics
from chat4all_actors.kernel.tree import TreeNode, render

__all__ = [
    "Actor",
    "ActorFailed",
    "ActorState",
    "ActorStatistics",
    "ActorStopped",
    "AskTimeout",
    "Child",
    "ChildReturned",
    "FaultHandler",
    "KernelError",
    "LowPriority",
    "Mailbox",
    "MailboxFull",
    "MailboxStatistics",
    "Member",
    "Pool",
    "PoolClosed",
    "PoolStatistics",
    "Reply",
    "RestartBudgetExceeded",
    "Strategy",
    "Supervisor",
    "SupervisorStatistics",
    "Timers",
    "TimersStatistics",
    "TreeNode",
    "render",
    "report_fault",
    "split_faults",
]
