"""Logs: one structured stream that never blocks the event loop."""
