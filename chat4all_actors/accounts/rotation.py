"""When signing keys follow each other. Imports nothing: help on the command line tells of it."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 1.0
EVERY: Final = 2 * SECONDS
"""Keys are read so often, each time a handful of rows."""
DELAY: Final = 60 * SECONDS
"""A new key signs when all nodes have read it many times, whatever their clocks say."""
KEPT: Final = 24 * 60 * 60 * SECONDS + DELAY
"""Tokens live for a day at most: so long a key that signs no more is kept."""
