"""A process that puts load on a server: `python -m chat4all_bench.generator`, told by its stdin.

It has no event loop of a library and no task or timer for each client: one epoll, one object with
slots for each connection, and one clock that says what is due. Read `plan.py` first: what it is
told, and what it tells.
"""
