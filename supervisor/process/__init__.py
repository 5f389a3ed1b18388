"""Processes: one child, a supervised service, and the duties of an init."""
