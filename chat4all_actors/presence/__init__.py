"""Who is connected where, for routing and for others to see.

`presence.py` first; what nodes tell each other is in `carrier.py`. See `README.md`.
"""
