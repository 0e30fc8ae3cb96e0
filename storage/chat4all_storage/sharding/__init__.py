"""The way to the database that has a conversation, also while that changes."""
