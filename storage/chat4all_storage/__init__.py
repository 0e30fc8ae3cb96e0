"""Where the truth is kept: the ports, their implementations, and what finds the right database.

Read `ports/` first; `storage.py` opens everything for a node.
"""
