"""What clients say to each of the other servers: see `chat4all_bench.dialects.base`."""
