"""chat4all_client."""
