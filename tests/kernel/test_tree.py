from __future__ import annotations

import pytest

from chat4all_actors.kernel import TreeNode, render

TREE = TreeNode(
    "node",
    "supervisor",
    "running",
    {"restarts": 1},
    (
        TreeNode("sessions", "pool", "running", {}, (TreeNode("s1", "member", "running"),), 7),
        TreeNode("edge", "task", "starting"),
    ),
)


def test_a_tree_is_drawn_a_line_for_each_node() -> None:
    assert render(TREE) == "\n".join(
        [
            "node [supervisor] running restarts=1",
            "├── sessions [pool] running",
            "│   └── s1 [member] running",
            "└── edge [task] starting",
            "… 7 more left out",
        ]
    )


def test_a_drawing_is_bounded_and_says_how_many_were_left_out() -> None:
    assert render(TREE, max_nodes=2).splitlines()[1:] == [
        "├── sessions [pool] running",
        "… 9 more left out",
    ]


def test_a_complete_drawing_says_nothing_about_the_rest() -> None:
    assert render(TreeNode("edge", "task", "running")) == "edge [task] running"


def test_there_must_be_room_for_a_node() -> None:
    with pytest.raises(ValueError, match="at least one"):
        render(TREE, max_nodes=0)


def test_one_line_is_room_enough_and_all_below_is_counted() -> None:
    assert render(TREE, max_nodes=1).splitlines()[1:] == ["… 10 more left out"]
