"""Other servers behind the same scenarios, so that claims compare like with like."""
