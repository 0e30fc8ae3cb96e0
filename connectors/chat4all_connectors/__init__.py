"""Connectors to other messengers: each translates one provider's API, and speaks HTTP."""
