"""What a node hears: of the other nodes, of its databases, and what all of them have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .accounts.tokens import MAX_LIFETIME
from .cluster.elsewhere import Elsewhere
from .cluster.notices import NoticeBoard
from .cluster.sweeper import Sweeper
from .kernel import Child

if TYPE_CHECKING:
    from collections.abc import Callable

    from .accounts.desk import Desk
    from .cluster.backbone import Backbone
    from .cluster.cluster import Cluster
    from .conversation.conversations import Conversations
    from .limits.in_step import InStep
    from .presence.presence import Presences
    from .session.revocations import Revocations


def hearing(
    conversations: Conversations,
    presence: Presences,
    revocations: Revocations,
    *,
    backbone: Backbone,
    cluster: Cluster,
    desk: Desk,
    in_step: InStep,
    clock: Callable[[], float],
) -> list[Child]:
    """The children that hear; from here on the cluster knows whom to tell.

    `clock` tells the seconds since the epoch.
    """
    settings, storage = conversations.settings, conversations.storage
    rooms = Elsewhere(conversations)
    watch = partial(Sweeper, kept=settings.journal_kept)
    sweepers = [watch(store, rooms, lambda: backbone.working) for store in storage.shards.all]
    board = NoticeBoard(
        backbone.name,
        storage.directory,
        arrived=cluster.posted,
        revoked=revocations.learn,
        logins=storage.accounts.logins,
        ended=revocations.end,
        clock=clock,
        remember=MAX_LIFETIME,
    )

    def nudge() -> None:
        for sweeper in sweepers:
            sweeper.nudge()

    cluster.rooms, cluster.presences = rooms, presence
    cluster.nudge, cluster.post = nudge, board.post_nowait
    return [
        *(Child(f"journal {sweeper.store.name}", sweeper.run) for sweeper in sweepers),
        Child("notices", board.run),
        Child("limits", in_step.run),
        Child("signing keys", desk.keyring.run),
        Child("trims", desk.run_trims),
        Child("arrivals", partial(backbone.hear, cluster)),
    ]
