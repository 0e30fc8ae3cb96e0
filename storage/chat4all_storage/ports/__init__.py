"""What the server asks of its stores, and what each store promises. Read `stores.py` first."""
