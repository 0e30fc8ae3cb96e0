"""The ports without a database: the specification that runs."""
