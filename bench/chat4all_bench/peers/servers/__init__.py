"""The other servers, each a small program as its library's documentation would write it.

They are run as scripts, not imported, and know nothing of ours. Each listens on a free port of
127.0.0.1 and prints `listening on http://127.0.0.1:PORT` when it accepts connections. Compression
is off and TCP_NODELAY on everywhere.

Those that speak plain WebSockets do two things. At `/echo` a message goes back to whoever sent it.
At `/room` the first message names a room and is sent back when the client is in it; every later one
goes to all clients of the room, its sender included, who thereby knows that it was taken.
"""
