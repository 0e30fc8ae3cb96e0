"""HTTP/1.1: heads and what they must keep to, the requests of a connection, and their answers."""
