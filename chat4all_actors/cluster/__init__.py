"""Nodes beside each other: what one commits, all deliver."""
