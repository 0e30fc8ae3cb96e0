"""Names of a message's fields by which it is known what kind of message it is."""

from __future__ import annotations

from typing import Final

# fmt: off
NO_CONTENT: Final = frozenset({
    "new_chat_members", "left_chat_member", "chat_owner_left", "chat_owner_changed",
    "new_chat_title", "new_chat_photo", "delete_chat_photo", "group_chat_created",
    "supergroup_chat_created", "channel_chat_created", "message_auto_delete_timer_changed",
    "migrate_to_chat_id", "migrate_from_chat_id", "pinned_message", "successful_payment",
    "refunded_payment", "users_shared", "chat_shared", "gift", "unique_gift",
    "gift_upgrade_sent", "connected_website", "write_access_allowed", "passport_data",
    "proximity_alert_triggered", "boost_added", "chat_background_set",
    "checklist_tasks_done", "checklist_tasks_added", "direct_message_price_changed",
    "forum_topic_created", "forum_topic_edited", "forum_topic_closed",
    "forum_topic_reopened", "general_forum_topic_hidden", "general_forum_topic_unhidden",
    "giveaway_created", "giveaway_completed", "paid_message_price_changed",
    "suggested_post_approved", "suggested_post_approval_failed", "suggested_post_declined",
    "suggested_post_paid", "suggested_post_refunded", "video_chat_scheduled",
    "video_chat_started", "video_chat_ended", "video_chat_participants_invited",
    "web_app_data",
})
"""They say what happened to the chat: nobody wrote such a message."""

ABOUT: Final = frozenset({
    "sender_boost_count", "sender_business_bot", "sender_tag", "business_connection_id",
    "direct_messages_topic", "is_automatic_forward", "external_reply", "quote",
    "reply_to_story", "reply_to_checklist_task_id", "via_bot", "has_protected_content",
    "is_from_offline", "is_paid_post", "media_group_id", "author_signature",
    "paid_star_count", "link_preview_options", "suggested_post_info", "effect_id",
    "show_caption_above_media", "has_media_spoiler", "reply_markup",
})
"""They say something about a message, but not what it is; as do those that `types.Message` has."""
