"""Lines per second through the log stream, and whether each arrives whole and in its place."""

from __future__ import annotations

import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.parts import Parts
from benchmarks.programs import flood
from benchmarks.table import Figure
from benchmarks.watched import Command, Watched, wait_until_quiet

_FLOOD: Final = Path(flood.__file__)
_QUIET_S: Final = 3.0
_NUMBER: Final = re.compile(rb"#(\d+)#")


@dataclass(frozen=True, slots=True)
class _Flow:
    """What came out at the other end.

    Attributes:
        per_s: lines per second, from the arrival of the first to that of the last.
        missing: lines that did not come at all.
        cut: lines that came, but not whole in a line or record of their own.
        ordered: whether what came, came in order.
    """

    per_s: float
    missing: int
    cut: int
    ordered: bool

    @property
    def complaint(self) -> str:
        """What is wrong with it; empty when nothing is."""
        words = [f"{self.missing} lines lost"] if self.missing else []
        words += [f"{self.cut} lines cut or merged"] if self.cut else []
        words += [] if self.ordered else ["out of order"]
        return ", ".join(words)


def measure_lines(parts: Parts, count: int, repeats: int) -> list[Figure]:
    """Flood each side with the same lines, in turns.

    Args:
        parts: where deployments come from.
        count: lines per flood.
        repeats: floods per side and kind; the median counts.
    """
    figures = []
    for kind, mode in (("pino", "--json"), ("pino", "--raw"), ("plain", "--json"), ("plain", "--raw")):
        side = parts.warm().running(sys.executable, str(_FLOOD), kind, str(count))
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(_flow(side.ours("run"), kind, count))
            theirs.append(_flow(side.pm2(mode), kind, count))
        pm2_per_s = statistics.median(flow.per_s for flow in theirs)
        pm2_words = next((flow.complaint for flow in theirs if flow.complaint), "")
        figures.append(
            Figure(
                name=f"{kind} lines per second",
                ours=statistics.median(flow.per_s for flow in ours),
                theirs=pm2_per_s,
                beside=f"pm2-runtime {mode}",
                at_least=pm2_per_s if (kind, mode) == ("pino", "--json") else None,
                complaint=next((flow.complaint for flow in ours if flow.complaint), ""),
                note=f"pm2: {pm2_words}" if pm2_words else "",
            )
        )
    return figures


def _flow(command: Command, kind: str, count: int) -> _Flow:
    with Watched(command) as watched:
        watched.wait_for_output(b"#0#")
        wait_until_quiet(watched, _QUIET_S)
        output = watched.output
        ends = [match.start() for match in _NUMBER.finditer(output)]
        span_s = watched.arrived_s(ends[-1]) - watched.arrived_s(ends[0])
    numbers = [int(number) for number in _NUMBER.findall(_text(output))]
    present = len(set(numbers))
    whole = sum(_is_whole(line, kind) for line in output.splitlines())
    return _Flow(
        per_s=present / span_s if span_s else 0.0,
        missing=count - present,
        cut=max(0, present - whole),
        ordered=numbers == sorted(set(numbers)),
    )


def _text(output: bytes) -> bytes:
    """The output without what pm2 puts between two parts of a line: a newline, or the frame of a JSON record."""
    texts = []
    for line in output.splitlines():
        record = json.loads(line) if line.startswith(b'{"message":') else None
        texts.append(record["message"].encode() if isinstance(record, dict) else line)
    return b"".join(texts)


def _is_whole(line: bytes, kind: str) -> bool:
    """Whether a line of the log is one line of the flood: as it was written, or as a record of our own."""
    match = _NUMBER.search(line)
    if match is None:
        return False
    text = flood.line(kind, int(match[1]))
    if line == text.encode():
        return True
    try:
        record = json.loads(line)
    except ValueError:
        return False
    if not isinstance(record, dict) or record.get("event") != "process.output":
        return False
    if kind == "plain":
        return bool(record["message"] == text)
    written = json.loads(text)
    data = {name: value for name, value in written.items() if name in record.get("data", {})}
    return bool(record["message"] == written["msg"] and record["data"] == data and "req" in data and "res" in data)
