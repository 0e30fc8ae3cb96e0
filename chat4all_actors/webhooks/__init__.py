"""Programs are told what happens: webhooks, and a feed that they pull."""
