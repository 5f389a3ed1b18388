"""Postgres: the connection Directus uses, the lock, and the SQL migrations."""
