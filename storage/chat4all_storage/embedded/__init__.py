"""PostgreSQL and Redis from wheels, without any configuration."""
