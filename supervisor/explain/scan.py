"""The reading loop: most lines of a log are what Directus wrote, and are passed over without being parsed.

Their head is looked at all the same: the number of a line tells whether lines are missing before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from supervisor.explain.framing import Framed, repaired, unframe
from supervisor.explain.lines import LONGEST_LINE, Progress, Read, line_batches
from supervisor.explain.numbering import Numbering
from supervisor.explain.parse import fields_of
from supervisor.explain.record import Record, number, proper, seconds_of
from supervisor.logs import events

# The head of our lines as JSON, and within a JSON string as Docker's json-file driver writes it.
_HEAD: Final = re.compile(
    rb'level\\?":\\?"([a-z]+)\\?",\\?"event\\?":\\?"([a-z_.]+)\\?",\\?"component\\?":\\?"[^"\\]{0,80}\\?",'
    rb'\\?"boot_id\\?":\\?"([0-9A-Za-z_-]{1,64})\\?"(?:,\\?"seq\\?":(\d{1,15}))?'
)
_LOGFMT: Final = re.compile(
    rb"level=([a-z]+) event=(process\.output) component=\S{0,80} boot_id=([0-9A-Za-z_-]{1,64})(?: seq=(\d{1,15}))?"
)
_CONSOLE: Final = re.compile(
    rb"(debug|info|warning|error|critical) *(?:\x1b[^m]{0,9}m)*\] *(?:\x1b[^m]{0,9}m)*([a-z]+\.[a-z_]+|incident)"
)
_OUTPUT: Final = events.PROCESS_OUTPUT.name.encode()
_BEGINNING: Final = 240
_KNOWN: Final = frozenset(events.CATALOGUE)

# Before these it is of interest what the process concerned wrote last.
_ENDINGS: Final = frozenset({"process.exited", "process.not_ready", "phase.failed"})
_LOOKED_AT: Final = 3000
_LOOKED_AT_BYTES: Final = 4 * 1024 * 1024
_LAST_WORDS: Final = 40
_LONGEST_WORDS: Final = 500
# After so many further lines the rest of a line in parts is not coming any more.
_PATIENCE: Final = 1000
_MOST_PARTS: Final = 64


@dataclass(slots=True)
class Tally:
    """What was read.

    Attributes:
        lines: of any kind.
        events: lines that are one of our events.
        output: lines that processes wrote.
        foreign: lines of others.
        damaged: lines of ours of which only a part could be read.
        unreadable: lines of ours that could not be read at all.
        unknown: events of another version than this one.
    """

    lines: int = 0
    events: int = 0
    output: int = 0
    foreign: int = 0
    damaged: int = 0
    unreadable: int = 0
    unknown: int = 0


@dataclass(slots=True)
class _Parts:
    """A line in parts of which the last one has not come."""

    first: Framed
    texts: list[str]
    since: int
    size: int


class Scanner:
    """Reads one log after the other, and finds our events in it.

    Args:
        numbering: is told the number of each of our lines.
    """

    def __init__(self, numbering: Numbering) -> None:
        self.tally = Tally()
        self._numbering = numbering
        self._parts: dict[tuple[str, str], _Parts] = {}

    def records(self, read: Read, progress: Progress, name: str = "") -> Iterator[Record]:
        """Our events in one log.

        Args:
            read: gives up to so many bytes, none at the end.
            progress: is kept current.
            name: of the log, where the lines do not say whose they are.
        """
        earlier: Sequence[bytes] = ()
        for lines in line_batches(read, progress):
            yield from self._of_batch(lines, earlier, name)
            earlier = _kept_for_a_look_back(earlier, lines)
        for parts in self._parts.values():
            record = self._record("".join(parts.texts), parts.first, name)
            if record is not None:
                yield record
        self._parts.clear()

    def _of_batch(self, lines: Sequence[bytes], earlier: Sequence[bytes], name: str) -> Iterator[Record]:
        tally, head_of, saw = self.tally, _HEAD.search, self._numbering.saw
        began, output = tally.lines, 0
        tally.lines += len(lines)
        for index, line in enumerate(lines):
            head = head_of(line)
            if head is not None and head[2] == _OUTPUT:
                output += 1
                saw(head[3], head[4], line)
                continue
            if head is None and not self._parts and not self._may_be_an_event(line):
                continue
            record = self._of_line(line, name, began + index)
            if record is not None:
                if record.event in _ENDINGS:
                    record = _with_last_words(record, lines, index, earlier)
                yield record
        tally.output += output

    def _may_be_an_event(self, line: bytes) -> bool:
        """Whether a line without the usual head is to be parsed; what it is otherwise is counted."""
        if b"boot_id" in line:
            head = _LOGFMT.search(line)
            if head is None:
                return True
            self._numbering.saw(head[3], head[4], line)
            self.tally.output += 1
            return False
        if b"] " in line[:_BEGINNING] or b"\x1b[" in line[:_BEGINNING]:
            head = _CONSOLE.search(line[:_BEGINNING])
            if head is not None and head[2].decode() in _KNOWN:
                self.tally.output += head[2] == _OUTPUT
                return head[2] != _OUTPUT
        self.tally.foreign += 1
        return False

    def _of_line(self, line: bytes, name: str, number_of_line: int) -> Record | None:
        framed = unframe(line)
        if framed.partial or self._parts:
            whole = self._joined(framed, number_of_line)
            if whole is None:
                return None
            framed = whole
        return self._record(framed.text, framed, name)

    def _joined(self, framed: Framed, number_of_line: int) -> Framed | None:
        """The whole line when this is its last part, or a whole one by itself; None while parts are missing."""
        key = (framed.source, framed.stream)
        begun = self._parts.get(key)
        if begun is not None and number_of_line - begun.since > _PATIENCE:
            del self._parts[key]
            begun = None
        if begun is None:
            if not framed.partial or len(self._parts) >= _MOST_PARTS:
                return framed
            self._parts[key] = _Parts(framed, [framed.text], number_of_line, len(framed.text))
            return None
        if begun.size < LONGEST_LINE:
            begun.texts.append(framed.text)
            begun.size += len(framed.text)
        if framed.partial:
            return None
        del self._parts[key]
        return Framed("".join(begun.texts), begun.first.source, begun.first.time, begun.first.stream)

    def _record(self, text: str, framed: Framed, name: str) -> Record | None:
        text = repaired(text)
        found = fields_of(text)
        if found is None:
            # Parts of a line of others come here, too.
            ours = '"boot_id"' in text and '"event"' in text
            self.tally.unreadable += ours
            self.tally.foreign += not ours
            return None
        fields, whole = found
        event = str(fields["event"])
        if event == events.PROCESS_OUTPUT.name:
            self.tally.output += 1
            return None
        record = _to_record(event, fields, framed, name, damaged=not whole)
        if record.boot_id is not None and record.seq is not None:
            digits, boot_id = str(record.seq).encode(), record.boot_id.encode("utf-8", "replace")
            if not self._numbering.saw(boot_id, digits, text[:_BEGINNING].encode("utf-8", "replace")):
                return None
        self.tally.damaged += record.damaged
        self.tally.unknown += event not in _KNOWN
        self.tally.events += 1
        return record


def _to_record(event: str, fields: Mapping[str, Any], framed: Framed, name: str, *, damaged: bool) -> Record:
    stamp = str(fields.get("timestamp", ""))
    at_s, dated = seconds_of(stamp), True
    if at_s is None and framed.time is not None:
        at_s = seconds_of(framed.time)
    if at_s is None:
        at_s, dated = _of_the_day(stamp), False
    boot_id, seq = fields.get("boot_id"), number(fields.get("seq"))
    return Record(
        event=event,
        fields=proper(fields),
        boot_id=str(boot_id)[:64] if boot_id is not None else None,
        source=framed.source or name,
        at_s=at_s,
        dated=dated,
        seq=None if seq is None else int(seq),
        damaged=damaged,
    )


def _of_the_day(stamp: str) -> float | None:
    hours, _, rest = stamp.partition(":")
    minutes, _, seconds = rest.partition(":")
    found = [number(part) for part in (hours, minutes, seconds)]
    return (
        None if None in found else sum((value or 0.0) * unit for value, unit in zip(found, (3600, 60, 1), strict=True))
    )


def _with_last_words(record: Record, lines: Sequence[bytes], index: int, earlier: Sequence[bytes]) -> Record:
    """The record with what its process wrote last in this life."""
    process = record.fields.get("process")
    wanted = (record.boot_id or "").encode()
    words: list[str] = []
    for line in _backwards(lines, index, earlier):
        if wanted not in line or _OUTPUT not in line:
            if wanted in line and _begins_life(line, process):
                break
            continue
        found = fields_of(repaired(unframe(line).text))
        if found is None or found[0].get("event") != events.PROCESS_OUTPUT.name:
            continue
        if process is None or found[0].get("process") == process:
            words.append(str(found[0].get("message", ""))[:_LONGEST_WORDS])
        if len(words) == _LAST_WORDS:
            break
    return replace(record, before=tuple(reversed(words))) if words else record


def _begins_life(line: bytes, process: object) -> bool:
    """Whether what comes before this line has nothing to do with what ended."""
    if process is None:
        return b"phase.finished" in line
    return b"process.started" in line and str(process).encode() in line


def _kept_for_a_look_back(earlier: Sequence[bytes], lines: Sequence[bytes]) -> Sequence[bytes]:
    if len(lines) >= _LOOKED_AT:
        return lines
    both = [*earlier[len(lines) - _LOOKED_AT :], *lines]
    return both if sum(map(len, both)) <= _LOOKED_AT_BYTES else lines


def _backwards(lines: Sequence[bytes], index: int, earlier: Sequence[bytes]) -> Iterator[bytes]:
    stop = max(0, index - _LOOKED_AT)
    for at in range(index - 1, stop - 1, -1):
        yield lines[at]
    for at in range(len(earlier) - 1, max(-1, len(earlier) - 1 - (_LOOKED_AT - index)), -1):
        yield earlier[at]
