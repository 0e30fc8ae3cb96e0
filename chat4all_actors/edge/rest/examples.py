"""An example of every model that the API takes or answers, shown in its document.

They tell one story: ana registers, writes to bob, and looks after her account.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from ..http.errors import ErrorBody, ErrorDetails
from . import (
    auth,
    conversations,
    event_data,
    events,
    files,
    linking,
    members,
    messages,
    models,
    presence,
    reactions,
    rights,
    statuses,
    users,
    webhooks,
)

if TYPE_CHECKING:
    from msgspec import Struct

PAIR: Final = "97c183f9-f075-5021-8519-6dc5d7cc932f"
MESSAGE: Final = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
ANSWERED: Final = "516bca77-e90a-4a67-8a05-a1c2641401cd"
FILE: Final = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
SESSION: Final = "7914f826-4771-4ac3-8d12-06555200c024"
WEBHOOK: Final = "9b2d5c1e-4f0a-4c53-8a57-2f0d7c5be6a4"
ANA: Final = "8693f217-9e62-404b-a353-d734562ade84"
THEN: Final = datetime(2026, 11, 27, 8, 36, 35, tzinfo=UTC)
LATER: Final = datetime(2026, 11, 27, 8, 40, 2, tzinfo=UTC)
PASSWORD: Final = "correct horse battery"

PARTS: Final = {
    "conversation_id": PAIR,
    "message_id": MESSAGE,
    "file_id": FILE,
    "session_id": SESSION,
    "webhook_id": WEBHOOK,
    "username": "bob",
    "channel": "telegram",
    "account": "support",
}
"""Of paths."""

_MESSAGE: Final = models.Message(
    message_id=MESSAGE,
    conversation_id=PAIR,
    sequence_number=2,
    from_="ana",
    payload=models.TextPayload("Hi Bob, how are you?"),
    reply_to=ANSWERED,
    status="READ",
    edited_at=None,
    deleted_at=None,
    created_at=THEN,
    metadata={"mood": "sunny"},
)
_CONVERSATION: Final = models.Conversation(
    conversation_id=PAIR,
    type="private",
    title=None,
    members=["ana", "bob"],
    roles={"ana": "member", "bob": "member"},
    member_count=2,
    last_seq=2,
    created_at=THEN,
    created_by="ana",
)

_CHECKSUM: Final = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_PART: Final = files.UploadPart(
    1, "PUT", "https://store.example.org/5fQ8…?partNumber=1&…", {"content-length": "70512"}
)
_FILE: Final = files.StoredFile(
    file_id=FILE,
    filename="plan.png",
    size=70_512,
    mime_type="image/png",
    status="ready",
    checksum=_CHECKSUM,
    conversation_id=None,
    uploaded_by="ana",
    created_at=THEN,
    width=800,
    height=600,
    thumbnail=True,
    reason=None,
)

_WEBHOOK: Final = webhooks.Webhook(
    webhook_id=WEBHOOK,
    url="https://hooks.example.org/chat",
    events=["message.*"],
    state="active",
    reason=None,
    created_at=THEN,
    changed_at=THEN,
    username="ana",
    delivered=0,
    failed=0,
    given_up=0,
    backlog=0,
    replaying=False,
    last_success_at=None,
    last_failure_at=None,
    last_failure=None,
    failing_since=None,
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
)
_NOTIFICATION: Final = event_data.Notification(
    "evt_3f0c9b1e6d0a5b6d9d2f4a1f0c7be6a4", "message.created", THEN, msgspec.to_builtins(_MESSAGE)
)

_LINK: Final = linking.ChannelLink("telegram", "telegram:12345", verified=True, verified_at=LATER)

_ALL: Final[tuple[Struct, ...]] = (
    # accounts
    auth.NewAccount("ana", PASSWORD, "ana@example.org"),
    auth.Account(ANA, "ana"),
    auth.TokenRequest(username="ana", password=PASSWORD, device="Ana's phone"),
    auth.TokenPair("eyJhbGciOiJIUzI1NiJ9.…", 3600, refresh_token="c4r_EeRT4JkdxSsONEgZVYg…"),
    auth.PasswordChange(PASSWORD, "a better horse battery"),
    auth.LoginSessions(
        [
            auth.LoginSession(
                session_id=SESSION,
                device="Ana's phone",
                user_agent="chat4all/0.1",
                address="203.0.113.7",
                created_at=THEN,
                last_used_at=LATER,
                expires_at=datetime(2026, 12, 27, 8, 40, 2, tzinfo=UTC),
                current=True,
            )
        ]
    ),
    auth.KeySet([{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "x": "11qYAYKx…"}]),
    users.Profile(ANA, "ana", "Ana María", "ana@example.org", THEN, None, totp=False),
    users.ProfileChange(display_name="Ana María"),
    users.PasswordOnly(PASSWORD),
    users.Confirmation("492039"),
    users.PasswordAndCode(PASSWORD, "492039"),
    users.Enrolment("JBSWY3DPEHPK3PXP", "otpauth://totp/chat4all:ana?secret=JBSWY3DPEHPK3PXP"),
    users.RecoveryCodes(["7kqd-m2wt-9vxe", "c4hn-p8rz-2yuf"]),
    rights.Farewell(PASSWORD),
    rights.Erasing("erasing"),
    linking.ChannelLinkRequest("telegram:12345"),
    _LINK,
    linking.ChannelLinks([_LINK]),
    # conversations
    conversations.NewConversation("private", ["bob"]),
    conversations.ConversationChange(title="The whole team"),
    _CONVERSATION,
    conversations.ConversationList([_CONVERSATION], None),
    conversations.History([_MESSAGE], 2, has_more=True),
    members.NewMember("carla"),
    members.RoleChange("admin"),
    # messages
    messages.NewMessage(
        payload=models.TextPayload("Hi Bob, how are you?"), recipient_id="bob", message_id=MESSAGE
    ),
    messages.Accepted(MESSAGE, PAIR, 2, "accepted", THEN),
    messages.NewPayload(models.TextPayload("Hi Bob, how have you been?")),
    _MESSAGE,
    statuses.StatusReport(
        MESSAGE,
        "DELIVERED",
        [
            statuses.StatusStep("SENT", THEN, "ana"),
            statuses.StatusStep("SENT", THEN, "whatsapp:+5511999998888", "whatsapp"),
            statuses.StatusStep("DELIVERED", LATER, "whatsapp:+5511999998888", "whatsapp"),
            statuses.StatusStep("DELIVERED", LATER, "bob", "internal"),
            statuses.StatusStep("READ", LATER, "bob", "internal"),
        ],
        {
            "internal": statuses.Delivery("READ"),
            "whatsapp": statuses.Delivery("DELIVERED", statuses.Recipients(0, 0, 1, 0, 0, 0)),
        },
    ),
    messages.RevisionList([messages.Revision(models.TextPayload("Hi Bob"), LATER)]),
    reactions.NewReaction("👍"),
    reactions.ReactionList([reactions.Reactions("👍", ["bob"])]),
    # files
    files.NewUpload("plan.png", 70_512, "image/png"),
    files.Upload(FILE, 8_388_608, 1, [_PART], LATER),
    files.UploadProgress("uploading", [], [1], 0.0, 8_388_608, [_PART], LATER),
    files.UploadEnd(FILE, _CHECKSUM),
    _FILE,
    files.FileList([_FILE], None),
    presence.PresenceList([presence.UserPresence("bob", "offline", LATER, 0)]),
    # programs
    webhooks.NewWebhook("https://hooks.example.org/chat", ["message.*"]),
    _WEBHOOK,
    webhooks.WebhookList([_WEBHOOK]),
    webhooks.Replay(THEN),
    _NOTIFICATION,
    events.EventPage([_NOTIFICATION], "gqFwgdkkMDE5…", has_more=False),
    ErrorBody(
        ErrorDetails(
            "INVALID_PAYLOAD",
            "payload is required",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            {"field": "payload"},
        )
    ),
)

EXAMPLES: Final[dict[type, Struct]] = {type(example): example for example in _ALL}
"""By their models."""
