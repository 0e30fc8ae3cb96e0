"""The only way an event is written: one writer for each database, one statement for each flush."""
