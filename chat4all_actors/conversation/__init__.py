"""Conversations that are alive on this node. Read `actor.py` first."""
