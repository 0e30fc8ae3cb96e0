"""What clients say to each kind of server. `base.py` says what a dialect is."""
