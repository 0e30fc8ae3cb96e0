from __future__ import annotations

from chat4all_actors.cli.chat_progress import Progress

MB = 1_000_000


def test_a_transfer_that_has_not_begun_says_so() -> None:
    assert Progress("↑", "plan.pdf", 0.0).line(0.5) == "↑ plan.pdf  asking the server…"


def test_it_tells_share_and_size_at_first_and_speed_and_time_later() -> None:
    progress = Progress("↑", "plan.pdf", 0.0)
    progress.told(0, 10 * MB, 10.0)
    progress.told(5 * MB, 10 * MB, 10.5)
    assert progress.line(10.5) == "↑ plan.pdf  ▕██████████··········▏  50 % of 10.0 MB"
    progress.told(6 * MB, 10 * MB, 12.0)
    assert progress.line(12.0).endswith("60 % of 10.0 MB, 3.0 MB/s, 1 s left")


def test_what_was_there_before_does_not_count_as_speed() -> None:
    progress = Progress("↓", "plan.pdf", 0.0)
    progress.told(8 * MB, 10 * MB, 0.0)
    progress.told(9 * MB, 10 * MB, 10.0)
    assert progress.line(10.0).endswith("90 % of 10.0 MB, 100.0 kB/s, 10 s left")


def test_long_times_are_told_in_minutes_and_hours() -> None:
    for size, left in ((601 * MB, "10 min"), (7201 * MB, "2 h")):
        progress = Progress("↓", "film.mp4", 0.0)
        progress.told(0, size, 0.0)
        progress.told(1 * MB, size, 1.0)
        assert progress.line(1.0).endswith(f"{left} left")


def test_when_nothing_comes_it_waits() -> None:
    progress = Progress("↑", "plan.pdf", 0.0)
    progress.told(0, 10 * MB, 0.0)
    progress.told(5 * MB, 10 * MB, 2.0)
    assert progress.line(8.0).endswith("50 % of 10.0 MB, waiting for the server…")


def test_when_all_is_there_it_is_checked() -> None:
    progress = Progress("↑", "plan.pdf", 0.0)
    progress.told(10, 10, 0.0)
    assert progress.line(9.0) == "↑ plan.pdf  ▕████████████████████▏  all there, being checked…"


def test_a_name_is_made_safe_and_cut() -> None:
    progress = Progress("↓", "a\x1b\u202e" + "x" * 50, 0.0)
    assert progress.line(0.0).startswith("↓ a␛" + "x" * 29 + "…  ")
