"""How much each user, address and client may do, and who may come in: decided in memory."""
