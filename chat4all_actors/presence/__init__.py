"""Who is connected where, for routing and for others to see. Read `presence.py` first."""
