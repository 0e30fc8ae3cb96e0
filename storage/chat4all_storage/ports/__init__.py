"""What the server asks of its stores, and what each store promises. Read `shard.py` first."""
