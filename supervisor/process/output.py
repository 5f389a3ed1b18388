"""What a child writes: split into lines, in bounded memory, read no faster than the log can take it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from supervisor.logs.sink import LineSink

LONGEST_LINE_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output, without its newline.

    Attributes:
        data: the bytes as written.
        partial: the line goes on in the next one, or the writer died before its newline.
    """

    data: bytes
    partial: bool = False


class LineSplitter:
    """Cuts a stream of bytes into lines; a line longer than the limit comes in marked parts.

    Args:
        longest_bytes: the limit.
    """

    def __init__(self, longest_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._longest_bytes = longest_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """The lines that `data` completes."""
        *complete, rest = (self._rest + data).split(b"\n")
        lines: list[Line] = []
        for line in complete:
            *parts, last = self._cut(line)
            lines += [Line(part, partial=True) for part in parts]
            lines.append(Line(last))
        *parts, self._rest = self._cut(rest)
        lines += [Line(part, partial=True) for part in parts]
        return lines

    def finish(self) -> list[Line]:
        """What is left when the stream has ended: an unfinished line, or nothing."""
        rest, self._rest = self._rest, b""
        return [Line(rest, partial=True)] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        limit = self._longest_bytes
        return [line[start : start + limit] for start in range(0, len(line), limit)] or [b""]


class OutputReader:
    """Copies the lines of one pipe to a consumer, with backpressure from the log.

    Args:
        descriptor: the reading end; made non-blocking, and closed at the end.
        consume: called with each line, in order.
        sink: while it is full nothing is read, so that the child blocks instead of a line being lost.
    """

    def __init__(self, descriptor: int, consume: Callable[[Line], None], sink: LineSink) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._consume = consume
        self._sink = sink
        self._splitter = LineSplitter()
        self._readable = asyncio.Event()

    async def copy(self) -> None:
        """Copy until every writer has closed the pipe; when cancelled, take what is there already, then go.

        An orphan of the child may hold the pipe open for ever, so the caller bounds this by cancelling it.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._sink.full:
                    await self._sink.room()
                data = self._read()
                if data is None:
                    self._readable.clear()
                    loop.add_reader(self._descriptor, self._readable.set)
                    try:
                        await self._readable.wait()
                    finally:
                        loop.remove_reader(self._descriptor)
                elif data:
                    self._feed(data)
                    await asyncio.sleep(0)
                else:
                    return
        finally:
            self._drain()
            os.close(self._descriptor)

    def _read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return None

    def _feed(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._consume(line)

    def _drain(self) -> None:
        """Take what the pipe holds right now; a pipe holds 64 KiB, so a living writer cannot keep us here."""
        for _ in range(4):
            data = self._read()
            if not data:
                break
            self._feed(data)
        for line in self._splitter.finish():
            self._consume(line)
