"""The command line: `chat4all COMMAND`, one module a command, imported only when it runs.

Read `main.py` first: it finds the command, and says how every command ends. `arguments.py` has all
that can be said to them. `serve.py` is where a server begins.
"""
