"""People on another messenger under load: how fast the outbox is, and what one that hangs costs."""
