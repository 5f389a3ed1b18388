"""The mark on a database that a dry run has made: a comment that says whose it is. Pure.

A database is only ever dropped by its mark, never by its name: a name can be anybody's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MADE_BY: Final = "directus-supervisor dry-run"
# A mark is younger than this while its run may not yet hold its lock.
_SETTLING: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Mark:
    """Who made a database.

    Attributes:
        token: different for each run.
        host: what the machine or container called itself.
        pid: the process there.
        started: when that process began, in clock ticks after the machine's own start (``proc(5)``); 0 when unknown.
        made_at: when the database was made, RFC 3339 in UTC.
        kept: whether it is to stay (``--keep``).
    """

    token: str
    host: str
    pid: int
    started: int
    made_at: str
    kept: bool = False

    @property
    def comment(self) -> str:
        """As it stands on the database."""
        return json.dumps({"made_by": MADE_BY, **asdict(self)})

    @property
    def lock_key(self) -> int:
        """Of the advisory lock that its run holds for as long as it lives; a signed 64-bit number."""
        return int.from_bytes(bytes.fromhex(self.token)[:8], "big", signed=True)


def read_mark(comment: str | None) -> Mark | None:
    """The mark in a comment; None when it is none of ours, whatever else it may be."""
    try:
        document: Any = json.loads(comment or "")
        if document.pop("made_by") != MADE_BY:
            return None
        mark = Mark(**document)
        if len(bytes.fromhex(mark.token)) < 8 or datetime.fromisoformat(mark.made_at).tzinfo is None:
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    types = (str, str, int, int, str, bool)
    return mark if tuple(map(type, asdict(mark).values())) == types else None


def is_leftover(mark: Mark, *, locked: bool, alive: bool, now: datetime) -> bool:
    """Whether the run that made a database is gone, and left it behind.

    Args:
        mark: that of the database.
        locked: whether some session holds its run's lock.
        alive: whether its process is known to live on this machine.
        now: with a time zone.
    """
    young = now - datetime.fromisoformat(mark.made_at).astimezone(UTC) < _SETTLING
    return not (mark.kept or locked or alive or young)
