"""The picture of a run: what the status page, `/status`, `/metrics` and the command line show."""
