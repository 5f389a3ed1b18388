"""The lines of a process on their way into the log: many at a time, past everything that a single event needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import orjson

from supervisor.logs import setup
from supervisor.logs.events import LEVELS
from supervisor.logs.lean import structlog
from supervisor.logs.render import to_json


class OutputLine(Protocol):
    """One line, understood as far as it goes."""

    level: str
    message: str
    data: bytes


class OutputLines:
    """Writes the lines of one process.

    Args:
        component: whose lines they are in the log.
        process: what the log calls the process.
        context: what each line carries besides; None takes what is bound where the line is read.
    """

    def __init__(self, component: str, process: str, context: Mapping[str, object] | None = None) -> None:
        self._component: Final = component
        self._process: Final = process
        self._context: Final = context

    def write(self, stream: str, pid: int, lines: Sequence[OutputLine], *, partial: bool = False) -> None:
        """Write lines in their order, with one timestamp.

        Args:
            stream: of the process.
            pid: of the process.
            lines: as they were understood.
            partial: the last one goes on in the next one.
        """
        threshold = setup.threshold(self._component)
        shown = [line for line in lines if LEVELS[line.level] >= threshold]
        if not shown:
            return
        bodies = [_body(line.message, line.data) for line in shown]
        redactor = setup.redactor
        # Only what the process said: a password that is one of our own words would be found in every line.
        if redactor.may_concern(b"\n".join(bodies)):
            for number, (line, body) in enumerate(zip(shown, bodies, strict=True)):
                if redactor.may_concern(body):
                    data = line.data and to_json(redactor.value(json.loads(line.data)))
                    bodies[number] = _body(redactor.text(line.message), data)
        if partial and shown[-1] is lines[-1]:
            bodies[-1] = bodies[-1][:-1] + b',"partial":true}'
        self._hand_over(stream, pid, [line.level for line in shown], bodies)

    def write_verbatim(self, stream: str, pid: int, level: str, lines: Sequence[bytes]) -> bool:
        """Write lines of plain text that JSON spells as they are, which spares most of the work.

        Args:
            stream: of the process.
            pid: of the process.
            level: of each line.
            lines: the bytes of each.

        Returns:
            Whether it could be done; else nothing was written, and :meth:`write` has to.
        """
        whole = b"\n".join(lines)
        if not _is_verbatim(whole, len(lines)) or setup.redactor.may_concern(whole):
            return False
        if LEVELS[level] >= setup.threshold(self._component):
            self._hand_over(stream, pid, [level] * len(lines), lines, (b'"message":"', b'"}'))
        return True

    def _hand_over(
        self,
        stream: str,
        pid: int,
        levels: Sequence[str],
        bodies: Sequence[bytes],
        around: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        bound = structlog.contextvars.get_contextvars() if self._context is None else self._context
        context = {**bound, "process": self._process, "stream": stream}
        setup.write_lines(self._component, pid, context, levels, bodies, around=around)


def _is_verbatim(whole: bytes, lines: int) -> bool:
    try:
        text = whole.decode()
    except UnicodeDecodeError:
        return False
    # The quotes, and one more character for each newline between two lines: whatever else is escaped makes it longer.
    return len(orjson.dumps(text)) == len(whole) + lines + 1


def _body(message: str, data: bytes) -> bytes:
    try:
        text = orjson.dumps(message)
    except TypeError:
        text = to_json(message)
    return b'"message":%b,"data":%b}' % (text, data) if data else b'"message":%b}' % text
