"""Telegram, by its Bot API: one bot, with webhooks or long polling."""
