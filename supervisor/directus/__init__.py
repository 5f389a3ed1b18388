"""Directus: where it is installed, what it is configured with, and its command line."""
