"""Conversations that are alive on this node: soft state over the log, and the head rule.

`order.py` first: in which order events are passed. Then `actor.py`. See `README.md`.
"""
