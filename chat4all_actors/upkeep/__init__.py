"""What is done to stored conversations without anybody asking: what is old or erased goes."""
