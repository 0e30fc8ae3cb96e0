"""Which database holds what, also while that changes."""
