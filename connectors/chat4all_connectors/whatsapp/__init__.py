"""The WhatsApp Business Cloud API as a channel."""

from .connector import WhatsApp
from .settings import WhatsAppSettings

__all__ = ["WhatsApp", "WhatsAppSettings"]
