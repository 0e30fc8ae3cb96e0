"""A picture of what lives under a supervisor, for inspectors and logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One supervisor, pool, actor or task, at one moment."""

    name: str
    kind: str
    state: str
    detail: Mapping[str, int | float | str] = field(default_factory=dict)
    children: tuple[TreeNode, ...] = ()
    omitted: int = 0
    """Children that exist beside those listed, as with a pool of thousands."""


def render(tree: TreeNode, max_nodes: int = 200) -> str:
    """Draw the tree, a line for each node; lines end without a final newline.

    Draws `max_nodes` nodes at most, those nearest to the beginning, and says in a last line how
    many were left out. Raises `ValueError` unless there is room for one.
    """
    if max_nodes < 1:
        raise ValueError("draw at least one node")
    lines: list[str] = []
    left_out = _draw(tree, "", "", lines, max_nodes)
    if left_out:
        lines.append(f"… {left_out} more left out")
    return "\n".join(lines)


def _draw(node: TreeNode, head: str, tail: str, lines: list[str], max_nodes: int) -> int:
    """Append the lines of a node and of what is below; return how many nodes found no room.

    `head` precedes the node's own line, `tail` the lines of its children.
    """
    if len(lines) >= max_nodes:
        return _count(node)
    detail = "".join(f" {key}={value}" for key, value in node.detail.items())
    lines.append(f"{head}{node.name} [{node.kind}] {node.state}{detail}")
    left_out = node.omitted
    for position, child in enumerate(node.children, start=1):
        last = position == len(node.children)
        branch, below = ("└── ", "    ") if last else ("├── ", "│   ")
        left_out += _draw(child, tail + branch, tail + below, lines, max_nodes)
    return left_out


def _count(node: TreeNode) -> int:
    return 1 + node.omitted + sum(_count(child) for child in node.children)
