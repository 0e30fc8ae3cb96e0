"""Who a user is, and what shows it: passwords, logins, second factors, tokens, service clients."""
