"""Load generators and measurements. See `bench/README.md` for method and results."""
