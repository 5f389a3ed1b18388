"""directus-supervisor: migrates the database of a Directus container, then supervises Directus as PID 1."""

__version__ = "0.1.0"
