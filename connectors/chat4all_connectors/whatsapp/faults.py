"""WhatsApp's error codes, from Meta's table of December 2025 and what it has added since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..meta.faults import Rule

if TYPE_CHECKING:
    from ..meta.faults import Rules
    from .settings import WhatsAppSettings


def rules(settings: WhatsAppSettings) -> Rules:
    """By code; they come as answers, and most of those about a person only as a status later."""
    return {
        # --- the account: nothing goes until somebody mends it
        131005: Rule("misconfigured", "the app lacks a permission"),
        131031: Rule("misconfigured", "the account is locked"),
        131037: Rule("misconfigured", "the number has no approved display name"),
        131042: Rule("misconfigured", "the account's payment is not in order"),
        131045: Rule("misconfigured", "the number is not registered"),
        # --- too much
        130429: Rule("throttled", "the number sends too many messages a second"),
        131048: Rule(
            "throttled", "too much was reported as spam", wait=settings.spam_pause_seconds
        ),
        131064: Rule(
            "throttled",
            "the number is limited for breaking the rules of templates",
            wait=settings.spam_pause_seconds,
        ),
        133016: Rule("throttled", "the number was registered too often"),
        131056: Rule(
            "throttled",
            "too many messages went to this person",
            scope="chat",
            wait=1 / settings.chat_rate.per_second,
        ),
        131208: Rule("throttled", "too many messages went to this group", scope="chat"),
        131049: Rule(
            "throttled",
            "it is held back, as this person gets too many of its kind",
            scope="chat",
            wait=settings.ecosystem_pause_seconds,
        ),
        # --- Meta's own trouble
        131000: Rule("transient", "something went wrong at Meta"),
        131016: Rule("transient", "the service is overloaded"),
        131057: Rule("transient", "the account is being maintained"),
        133004: Rule("transient", "the server is not available"),
        # --- the person or group
        130497: Rule("unreachable", "the account may not write to people in this country"),
        131020: Rule("unreachable", "there is no such group"),
        131026: Rule("unreachable", "it can't be delivered to this person"),
        131030: Rule("unreachable", "this person is not on the list of a test number"),
        131041: Rule("unreachable", "there is no such group"),
        131050: Rule("unreachable", "this person wants no marketing"),
        131207: Rule("unreachable", "the group is suspended"),
        131047: Rule("window_closed", "this person has not written for too long"),
        # --- the message
        131008: Rule("refused", "a parameter is missing"),
        131009: Rule("refused", "a parameter's value is wrong"),
        131021: Rule("refused", "the recipient is the sender"),
        131051: Rule("refused", "the kind of message is not supported"),
        131052: Rule("refused", "its file can't be fetched"),
        131053: Rule("refused", "its file can't be taken, by its type or size"),
        131062: Rule("refused", "it can be sent to a phone number only"),
        132000: Rule("refused", "the template has another number of parameters"),
        132001: Rule("refused", "there is no such template in this language"),
        132005: Rule("refused", "the template's text gets too long"),
        132007: Rule("refused", "the template is against the rules"),
        132012: Rule("refused", "the template's parameters are of another form"),
        132015: Rule("refused", "the template is paused"),
        132016: Rule("refused", "the template is disabled"),
        132068: Rule("refused", "the template's flow is blocked"),
        132069: Rule("refused", "the template's flow is throttled"),
        135000: Rule("refused", "something about its parameters is wrong"),
    }
