"""Everything the kernel raises on purpose.

::

    KernelError
    ├── MailboxFull             no room, and the sender would not wait
    ├── ActorStopped            the actor is gone and will not handle the message
    │   └── ActorFailed         ... because it crashed; __cause__ is the fault
    ├── AskTimeout              no answer in time; the message may still be handled
    ├── PoolClosed              the pool does not run
    ├── ChildReturned           a supervised child ended, which none may
    └── RestartBudgetExceeded   too many restarts; __cause__ is the last fault

Misuse (a second answer to one ask, a supervisor run twice at once) is ``RuntimeError`` or
``ValueError``: those are bugs, not conditions to handle.
"""

from __future__ import annotations


class KernelError(Exception):
    """Base of all errors of the kernel."""


class MailboxFull(KernelError):
    """The mailbox holds as many messages as it may; nothing was put."""


class ActorStopped(KernelError):
    """The actor (or the mailbox) is closed and handles nothing more."""


class ActorFailed(ActorStopped):
    """The actor crashed before it answered; ``__cause__`` is the fault.

    Whether the message had an effect is unknown.
    """


class AskTimeout(KernelError):
    """No answer in time; whether the message has or will have an effect is unknown."""


class PoolClosed(KernelError):
    """The pool is not running yet, is stopping, or has stopped; nothing was started."""


class ChildReturned(KernelError):
    """A child of a supervisor returned; they run until they are cancelled."""


class RestartBudgetExceeded(KernelError):
    """A supervisor gave up: more restarts within its window than allowed."""
