"""Who a user is: passwords and access tokens."""
