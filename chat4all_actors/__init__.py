"""The chat4all server: sessions, conversations and connectors as supervised actors.

Read `node.py` first: the supervision tree, in the order in which it starts. The command line is
`python -m chat4all_actors`.
"""

__version__ = "0.1.0"
