"""chat4all_storage."""
