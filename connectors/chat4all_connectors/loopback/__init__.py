"""A channel in memory, on which a second person can be played: for demos and tests."""
