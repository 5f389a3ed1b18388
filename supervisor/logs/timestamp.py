"""The timestamps of logs, records and answers: RFC 3339 in UTC, with milliseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(at: datetime) -> str:
    """A moment as ``2026-01-02T03:04:05.678Z``.

    Args:
        at: an aware moment, in any zone.
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_of(at_s: float) -> str:
    """The same of Unix seconds.

    Raises:
        ValueError, OverflowError, OSError: no date of the calendar.
    """
    return timestamp(datetime.fromtimestamp(at_s, UTC))
