"""Witness of the log: what the run has done, its latest lines, and how much was written by whom.

It hears every event as it is logged, which costs nothing while nothing happens, and makes the picture when it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from supervisor.logs.setup import Written
from supervisor.status.facts import Facts
from supervisor.status.ring import LineRing
from supervisor.status.waiting import Changes

OWN: Final = "supervisor"
_OTHERS: Final = "others"
# Programs beside Directus and steps come from the configuration: few. The bound is for what nobody thought of.
_MOST_STREAMS: Final = 64


@dataclass(slots=True)
class StreamCount:
    """What was written to the log in the name of one stream."""

    lines: int = 0
    bytes: int = 0


class Recorder:
    """Hears the log.

    Args:
        clock: Unix seconds.

    Attributes:
        facts: what the run has done.
        lines: its latest lines.
        streams: what was written, by process and stream; the supervisor's own lines have the stream ``log``.
        changes: wakes who waits for something new.
        misunderstood: events that could not be taken in: a bug of ours, which must not stop what was logged.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.facts = Facts(clock())
        self.lines = LineRing()
        self.streams: dict[tuple[str, str], StreamCount] = {}
        self.changes = Changes()
        self.misunderstood = 0

    def happened(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event, whether its level lets it into the log or not."""
        try:
            changed = self.facts.take(event, self._clock(), fields)
        except Exception:  # noqa: BLE001 - whoever logs must not be stopped by who listens
            self.misunderstood += 1
            return
        if changed:
            self.changes.tell()

    def written(self, lines: Written) -> None:
        """Lines that go to the log."""
        key = (OWN, "log") if lines.stream is None else (lines.process, lines.stream)
        count = self.streams.get(key)
        if count is None:
            if len(self.streams) >= _MOST_STREAMS:
                key = (_OTHERS, key[1])
            count = self.streams.setdefault(key, StreamCount())
        count.lines += len(lines.texts)
        count.bytes += lines.size_bytes
        self.lines.extend(lines.levels, lines.process, lines.texts)
        self.changes.tell()
