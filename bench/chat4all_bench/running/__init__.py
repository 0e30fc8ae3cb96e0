"""A run: the verbs of a round, the processes that carry them out, and what is made of it.

Read `round.py` first, then `runner.py`.
"""
