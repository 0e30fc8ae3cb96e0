"""Messages of a Facebook page as a channel."""

from .connector import Messenger
from .settings import MessengerSettings

__all__ = ["Messenger", "MessengerSettings"]
