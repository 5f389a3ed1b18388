"""What a child writes: split into lines, in bounded memory, read no faster than the log can take it."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from supervisor.logs.redact import Redactor
from supervisor.logs.sink import LineSink

LONGEST_LINE_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 64 * 1024
_LONGEST_UTF8: Final = 4
# So many lines are taken before the event loop gets a turn: some milliseconds.
_LINES_A_TURN: Final = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that were read together, without their newlines: one object for all of them, since there may be many.

    Attributes:
        lines: the bytes of each, as written.
        partial: the last one goes on in the next batch, or its writer died before its newline.
    """

    lines: list[bytes]
    partial: bool = False


class LineSplitter:
    """Cuts a stream of bytes into lines; a line longer than the limit comes in marked parts.

    Args:
        longest_bytes: the limit; a part may be shorter or longer where it would tear a secret.
        redactor: knows the secrets that must be whole to be masked.
    """

    def __init__(self, longest_bytes: int = LONGEST_LINE_BYTES, redactor: Redactor | None = None) -> None:
        self._longest_bytes = longest_bytes
        self._redactor = redactor
        self._rest = b""

    def feed(self, data: bytes) -> list[Batch]:
        """The lines that `data` completes."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        batches: list[Batch] = []
        if lines and (len(lines[0]) > self._longest_bytes or max(map(len, lines)) > self._longest_bytes):
            batches = self._with_parts(lines)
        elif lines:
            batches = [Batch(lines)]
        reach = self._redactor.reach if self._redactor is not None else 0
        if len(self._rest) > self._longest_bytes + reach:
            *parts, self._rest = self._cut(self._rest, reach)
            batches += [Batch([part], partial=True) for part in parts]
        return batches

    def finish(self) -> list[Batch]:
        """What is left when the stream has ended: an unfinished line, or nothing."""
        rest, self._rest = self._rest, b""
        return [Batch([part], partial=True) for part in self._cut(rest)] if rest else []

    def _with_parts(self, lines: list[bytes]) -> list[Batch]:
        batches: list[Batch] = []
        whole: list[bytes] = []
        for line in lines:
            *parts, last = self._cut(line)
            for part in parts:
                batches.append(Batch([*whole, part], partial=True))
                whole = []
            whole.append(last)
        return [*batches, Batch(whole)]

    def _cut(self, line: bytes, reach: int = 0) -> list[bytes]:
        """Parts of a line, and what is left of it; a cut needs to see `reach` bytes more."""
        parts = []
        start = 0
        while len(line) - start > self._longest_bytes + reach:
            end = _end_of_character(line, start, start + self._longest_bytes)
            if self._redactor is not None:
                end = self._redactor.end_of_part(line, start, end)
            parts.append(line[start:end])
            start = end
        return [*parts, line[start:]] if start < len(line) or not parts else parts


def _end_of_character(line: bytes, start: int, end: int) -> int:
    """Where to cut at `end` or shortly before, so that no UTF-8 character (RFC 3629) is torn in two."""
    for place in range(end, max(start, end - _LONGEST_UTF8), -1):
        if line[place] & 0xC0 != 0x80:
            return place
    return end


class OutputReader:
    """Copies the lines of one pipe to a consumer, with backpressure from the log.

    Args:
        descriptor: the reading end; made non-blocking, and closed at the end.
        consume: called with the lines, in order; with so few at a time that the event loop is not held for long.
        sink: while it is full nothing is read, so that the child blocks instead of a line being lost.
        redactor: knows what must not be torn where a long line is cut.
        turn: held from a read until its last line is consumed; shared by the pipes of one child, it keeps the order
            in which they were read.
    """

    def __init__(
        self,
        descriptor: int,
        consume: Callable[[Batch], None],
        sink: LineSink,
        turn: asyncio.Lock | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._consume = consume
        self._sink = sink
        self._turn = turn or asyncio.Lock()
        self._splitter = LineSplitter(redactor=redactor)
        self._read_batches: deque[Batch] = deque()
        self._readable = asyncio.Event()

    async def copy(self) -> None:
        """Copy until every writer has closed the pipe; when cancelled, take what is there already, then go.

        An orphan of the child may hold the pipe open for ever, so the caller bounds this by cancelling it.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                async with self._turn:
                    await self._room()
                    data = self._read(_READ_BYTES)
                    if data:
                        await self._feed(data)
                if data is None:
                    self._readable.clear()
                    loop.add_reader(self._descriptor, self._readable.set)
                    try:
                        await self._readable.wait()
                    finally:
                        loop.remove_reader(self._descriptor)
                elif data:
                    await asyncio.sleep(0)
                else:
                    return
        finally:
            self._drain()
            os.close(self._descriptor)

    async def _room(self) -> None:
        if self._sink.full:
            await self._sink.room()

    async def _feed(self, data: bytes) -> None:
        self._take(self._splitter.feed(data))
        while self._read_batches:
            # One read may hold 65,536 short lines, which are many times as long in the log.
            await self._room()
            self._consume(self._read_batches.popleft())
            if self._read_batches:
                await asyncio.sleep(0)

    def _take(self, batches: list[Batch]) -> None:
        for batch in batches:
            lines = batch.lines
            for start in range(0, len(lines) - _LINES_A_TURN, _LINES_A_TURN):
                self._read_batches.append(Batch(lines[start : start + _LINES_A_TURN]))
            last = (len(lines) - 1) // _LINES_A_TURN * _LINES_A_TURN
            self._read_batches.append(Batch(lines[last:], batch.partial) if last else batch)

    def _read(self, size: int) -> bytes | None:
        try:
            return os.read(self._descriptor, size)
        except BlockingIOError:
            return None

    def _drain(self) -> None:
        """Take what the pipe holds right now, and no more: an orphan that goes on writing must not keep us here."""
        held = array.array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, held)
        left = held[0]
        while left > 0 and (data := self._read(left)):
            self._take(self._splitter.feed(data))
            left -= len(data)
        self._take(self._splitter.finish())
        while self._read_batches:
            self._consume(self._read_batches.popleft())
