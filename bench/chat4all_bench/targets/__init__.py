"""What is put under load: where it is, which processes it is, and who its users are."""
