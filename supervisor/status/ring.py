"""The latest lines of the log, in bounded memory: a number of lines, none of them longer than a limit."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from supervisor.logs.render import to_json

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
    """Keeps the newest lines; as they are, until somebody looks.

    Args:
        lines: how many.
    """

    def __init__(self, lines: int = KEPT_LINES) -> None:
        self._lines: deque[tuple[str, str, bytes]] = deque(maxlen=lines)
        self.last_number = 0

    def extend(self, levels: Sequence[str], process: str, texts: Sequence[bytes]) -> None:
        """Keep lines of one process; of a very long one only what fits."""
        self.last_number += len(texts)
        if max(map(len, texts)) > LONGEST_BYTES:
            texts = [text if len(text) <= LONGEST_BYTES else _shortened(text) for text in texts]
        self._lines.extend(zip(levels, repeat(process), texts))

    def after(self, number: int) -> Iterator[KeptLine]:
        """The kept lines with a higher number, oldest first."""
        kept = len(self._lines)
        newer = max(min(self.last_number - number, kept), 0)
        first = self.last_number - newer + 1
        return (
            KeptLine(place, level, process, text.decode("utf-8", "backslashreplace"))
            for place, (level, process, text) in enumerate(list(self._lines)[kept - newer :], first)
        )


def _shortened(text: bytes) -> bytes:
    record: Mapping[str, object] = json.loads(text)
    short: dict[str, object] = {name: str(record[name])[:200] for name in _KEPT if name in record}
    short["message"] = str(record.get("message", ""))[:_LONGEST_MESSAGE]
    short["shortened"] = True
    return to_json(short)
