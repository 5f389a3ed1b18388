"""Health: the probes that an orchestrator asks."""
