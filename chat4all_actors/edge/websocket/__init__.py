"""WebSockets: whether a request becomes one, and the frames between its socket and its session."""
