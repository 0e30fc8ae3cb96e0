"""Codes of the call by which Messenger and Instagram send.

Those with subcodes are from error bodies that others have published, as Meta documents few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .faults import Rule

if TYPE_CHECKING:
    from .faults import Rules

RULES: Final[Rules] = {
    # --- the window: Messenger's, and Instagram's
    (10, 2018278): Rule("window_closed", "this person has not written for too long"),
    (10, 2534022): Rule("window_closed", "this person has not written for too long"),
    # --- the person
    (10, 2018108): Rule("unreachable", "this person receives no messages now"),
    (100, 2018001): Rule("unreachable", "there is no such person"),
    (200, 1545041): Rule("unreachable", "this person is not available"),
    (551, 1545041): Rule("unreachable", "this person is not available"),
    (100, 2018218): Rule("refused", "this person has no profile"),
    2018218: Rule("refused", "this person has no profile"),
    # --- the account
    (10, 1893063): Rule("misconfigured", "the page is restricted for a time"),
    (10, 2018065): Rule("misconfigured", "the page lacks the permission for news"),
    230: Rule("misconfigured", "the app lacks a permission"),
    2022: Rule("misconfigured", "the page's messages about commerce are switched off"),
    10904: Rule("misconfigured", "the page's messages are switched off"),
    # --- the message
    (10, 2018300): Rule("refused", "another app has this conversation"),
    (100, 33): Rule("refused", "it names something that does not exist"),
    (100, 2018047): Rule("refused", "the file is not of the type that was said"),
    10900: Rule("refused", "a private answer was given already"),
    10903: Rule("refused", "a private answer can't be given"),
    # --- Meta's own trouble
    1200: Rule("transient", "it can't be sent at the moment"),
}
