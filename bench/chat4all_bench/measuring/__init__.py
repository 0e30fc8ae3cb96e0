"""What processes and the kernel use, what this machine is, and a line through points."""
