"""The ports on PostgreSQL: commits and starts through libpq, all else through asyncpg."""
