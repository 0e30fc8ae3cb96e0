"""The REST API under load: how fast it answers, what that costs, and that nothing is lost."""
