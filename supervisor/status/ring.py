"""The latest lines of the log, in bounded memory: a number of lines, none of them longer than a limit."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

KEPT_LINES: Final = 500
LONGEST_BYTES: Final = 4096
_LONGEST_MESSAGE: Final = 2000
# What a line that is too long keeps of its record.
_KEPT: Final = ("timestamp", "level", "event", "component", "boot_id", "phase", "process", "stream")


@dataclass(frozen=True, slots=True)
class KeptLine:
    """One line.

    Attributes:
        number: counts up from 1 over the life of the supervisor.
        level: of the line.
        process: that wrote it; empty for the supervisor's own.
        text: the record as JSON, secrets masked.
    """

    number: int
    level: str
    process: str
    text: str


class LineRing:
    """Keeps the newest lines.

    Args:
        lines: how many.
    """

    def __init__(self, lines: int = KEPT_LINES) -> None:
        self._lines: deque[KeptLine] = deque(maxlen=lines)
        self.last_number = 0

    def append(self, level: str, process: str, text: str) -> None:
        """Keep one line; of a very long one only what fits."""
        self.last_number += 1
        if len(text) > LONGEST_BYTES:
            text = _shortened(text)
        self._lines.append(KeptLine(self.last_number, level, process, text))

    def after(self, number: int) -> Iterator[KeptLine]:
        """The kept lines with a higher number, oldest first."""
        newer = min(self.last_number - number, len(self._lines))
        return islice(self._lines, len(self._lines) - newer, None)


def _shortened(text: str) -> str:
    record: Mapping[str, object] = json.loads(text)
    short: dict[str, object] = {name: str(record[name])[:200] for name in _KEPT if name in record}
    short["message"] = str(record.get("message", ""))[:_LONGEST_MESSAGE]
    short["shortened"] = True
    return json.dumps(short, ensure_ascii=False, separators=(",", ":"))
