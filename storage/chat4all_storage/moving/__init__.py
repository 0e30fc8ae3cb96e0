"""What operators do with logical shards: see where they are, and move them."""
