"""What a node tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .channels.channels import ChannelStatistics
    from .node import Node
    from .webhooks.service import WebhookStatistics


class NodeStatistics(Struct, frozen=True):
    """A snapshot of a node; totals run since it (re)started."""

    connections: int
    sessions: int
    """Connections that have shown whose they are."""
    refused: int
    """Connections that were turned away because there were too many."""
    conversations: int
    """Those that are alive here."""
    peers: int
    """Other nodes that live."""
    stored: int
    """Events committed."""
    commits: int
    webhooks: WebhookStatistics
    channels: ChannelStatistics


def snapshot(node: Node) -> NodeStatistics:
    """Of a node that is up."""
    logs = [log.statistics() for log in node.logs.all]
    return NodeStatistics(
        connections=node.edge.open,
        sessions=len(node.local),
        refused=node.edge.refused + node.resumes.refused,
        conversations=len(node.conversations),
        peers=len(node.backbone.peers.living),
        stored=sum(log.stored for log in logs),
        commits=sum(log.commits for log in logs),
        webhooks=node.webhooks.statistics(),
        channels=node.channels.statistics(),
    )
