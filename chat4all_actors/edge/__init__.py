"""What comes from outside: sockets, the first request of a connection, and what it leads to."""
