"""Messages of a professional account on Instagram as a channel."""

from .connector import Instagram
from .settings import InstagramSettings

__all__ = ["Instagram", "InstagramSettings"]
