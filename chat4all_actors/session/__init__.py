"""One user connection, from its `hello` to its end. Read `session.py` first."""
