"""Pictures of runs, as the status schema allows them."""

from __future__ import annotations

from typing import Any

from supervisor.status.model import SCHEMA_VERSION

AT = "2026-01-02T03:04:05.678Z"


def picture(**replaced: object) -> dict[str, Any]:
    """A run in which everything is there that can be."""
    whole: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "at": AT,
        "supervisor": {
            "version": "0.1.0",
            "boot_id": "b",
            "pid": 1,
            "python": "3.11.2",
            "started_at": AT,
            "uptime_s": 7300.0,
            "memory_bytes": 42 * 1024 * 1024,
            "cpu_s": 1.0,
            "loop_lag_s": 0.001,
        },
        "state": {"name": "ready", "reason": "accepts requests", "since": AT, "ready": True, "started": True},
        "directus_version": "11.17.4",
        "boot": {
            "result": "finished",
            "database": "app@db:5432/rally",
            "started_at": AT,
            "duration_s": 4.0,
            "lock_wait_s": 0.0,
            "ready_after_s": 9.0,
            "phases": [
                {
                    "name": "pre_schema",
                    "state": "finished",
                    "outcome": "changed",
                    "summary": "1 applied",
                    "started_at": AT,
                    "offset_s": 0.0,
                    "duration_s": 1.25,
                    "details": ["001_a.sql"],
                }
            ],
        },
        "migrations": {
            "applied_total": 1,
            "applied": [],
            "pending": [{"file": "003_t.sql", "extension": "timescaledb"}],
        },
        "processes": [
            {
                "name": "directus",
                "state": "ready",
                "pid": 42,
                "started_at": AT,
                "uptime_s": 12.0,
                "ready_after_s": 4.0,
                "restarts": {"signal": 2},
                "exits": {"SIGKILL": 2},
                "memory_bytes": 300 * 1024 * 1024,
                "cpu_s": 5.0,
                "history": [{"at": AT, "memory_bytes": 1, "cpu_ratio": 0.125}],
            }
        ],
        "log": {"level": "info", "streams": [], "dropped_lines": 0, "stalled": False, "closed": False},
        "last_incident": {
            "at": AT,
            "code": "process.signal",
            "message": "directus ended with signal SIGKILL.",
            "remedy": "Look who sent it.",
            "process": "directus",
        },
        "incidents": {"process.signal": 2},
    }
    return whole | replaced
