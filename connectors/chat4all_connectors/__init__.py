"""Connectors to external messaging providers."""
