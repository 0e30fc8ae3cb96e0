"""Other messengers: what is sent there, by what rules, and who is meant by an address."""
