"""How much of what each user, address and client may do, decided in the node's memory."""
