"""What those are told who have sent something, where it is not passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.log.entries import Refused
from chat4all_storage.ports.events import Outcome, Status

from ..messages import Committed, Post
from ..wire import explain
from .order import stands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chat4all_storage.log.entries import Answer

    from ..fanout import LocalReaders
    from ..messages import ToConversation


def tell(post: Post, answer: Answer) -> None:
    """What was not stored, or was passed before."""
    if isinstance(answer, Refused):
        post.origin.refused(post, explain(post.rid, answer.error))
    elif stands(answer):
        post.origin.stored(post, answer.seq, answer.ts, dup=answer.status is Status.DUPLICATE)
    else:
        post.origin.refused(post, explain(post.rid, answer.status))


def lose(early: Iterable[Post], unhandled: Iterable[ToConversation], local: LocalReaders) -> None:
    """Let those connect again who would wait in vain: for an answer, to be let in or out.

    Each is told once: what is `early`, and stored, may be in an unhandled message, too.
    """
    stored, unknown = dict.fromkeys(early), dict[Post, None]()
    for message in unhandled:
        if isinstance(message, Post):
            unknown[message] = None
        elif isinstance(message, Committed):
            for entry, answer in message.answers:
                (stored if isinstance(answer, Outcome) else unknown)[entry.context] = None
    for post in (*stored, *unknown):
        post.origin.lost(post)
    for post in stored:
        if post.append.subject is not None:
            for reader in local.of(post.append.subject):
                reader.close_internal()
