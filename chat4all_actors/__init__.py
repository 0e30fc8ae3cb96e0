"""The chat4all server: sessions, conversations and connectors as supervised actors."""

__version__ = "0.1.0"
