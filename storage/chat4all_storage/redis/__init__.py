"""The ports between nodes, on Redis."""
