"""Writing lines to a stream that may stall, without ever blocking the event loop.

The stdout of PID 1 is a pipe to a log driver. When the driver stalls, so does ``write(2)``; a thread of its own
takes that, while the buffer in front of it is bounded: whoever copies a child's output waits in
:meth:`LineSink.room`, which stops the reading of the child's pipe, so that in the end the child blocks and no line
is lost.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

HIGH_WATER_BYTES: Final = 256 * 1024
# Above what the two full pipes (64 KiB each) of a dead child become as lines, unless they hold nothing but newlines.
HARD_LIMIT_BYTES: Final = 16 * 1024 * 1024
_BATCH_BYTES: Final = 64 * 1024
_WRITE_BYTES: Final = 64 * 1024
# While somebody waits for the end: small enough that a slow reader is seen to take something.
_LAST_WRITE_BYTES: Final = 16 * 1024
_RETRY_S: Final = 0.5


class LineSink:
    """A bounded buffer of lines and the thread that writes them, in order, to a file descriptor.

    Args:
        descriptor: where to write; it may be blocking or not, and may be closed by the other side at any time.
        high_water_bytes: from this fill on, :meth:`room` makes its caller wait.
        hard_limit_bytes: from this fill on, further lines (only the supervisor's own, and the last ones of dead
            children, can get that far) are counted in `dropped_lines` instead of kept, so that a stream stalled for
            hours cannot eat the memory.

    Attributes:
        closed: whether nobody reads any more.
        dropped_lines: how many lines were not taken.
        on_room: called, by the thread that writes, when there is room again after lines were not taken.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        high_water_bytes: int = HIGH_WATER_BYTES,
        hard_limit_bytes: int = HARD_LIMIT_BYTES,
    ) -> None:
        self._descriptor = descriptor
        self._high_water_bytes = high_water_bytes
        self._hard_limit_bytes = hard_limit_bytes
        self._lines: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._written_bytes = 0
        self._changed = threading.Condition()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._thread: threading.Thread | None = None
        self._flushing = False
        self.closed = False
        self.dropped_lines = 0
        self._missed = False
        self.on_room: Callable[[], object] = lambda: None

    def write(self, data: bytes, lines: int = 1) -> bool:
        """Queue whole lines, their newlines included. Never blocks and never fails.

        Args:
            data: the lines; they are taken together or not at all.
            lines: how many.

        Returns:
            Whether they were taken; else they are counted in `dropped_lines`.
        """
        with self._changed:
            if self.closed or self._buffered_bytes + len(data) > self._hard_limit_bytes:
                self.dropped_lines += lines
                self._missed = True
                return False
            self._lines.append(data)
            self._buffered_bytes += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    @property
    def full(self) -> bool:
        """Whether a copier must wait in :meth:`room` before it queues more."""
        return self._buffered_bytes >= self._high_water_bytes

    async def room(self) -> None:
        """Return once the buffer is below its high-water mark."""
        while True:
            event = asyncio.Event()
            with self._changed:
                if not self.full:
                    return
                self._waiters.append((asyncio.get_running_loop(), event))
            await event.wait()

    def flush(self, stalled_s: float, longest_s: float | None = None) -> bool:
        """Wait until everything queued is written, as long as the reader takes something; says whether it is.

        Args:
            stalled_s: gives up when nothing was taken for so many seconds.
            longest_s: gives up after so many seconds in any case; the same as `stalled_s` unless given.
        """
        began = moved = time.monotonic()
        longest_s = stalled_s if longest_s is None else longest_s
        with self._changed:
            self._flushing = True
            written = self._written_bytes
            while self._buffered_bytes and not self.closed:
                now = time.monotonic()
                if self._written_bytes != written:
                    written, moved = self._written_bytes, now
                left_s = min(began + longest_s, moved + stalled_s) - now
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            self._flushing = False
            return not self._buffered_bytes or self.closed

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                batch = self._take_batch()
            self._write_all(b"".join(batch))
            with self._changed:
                self._buffered_bytes -= sum(map(len, batch))
                self._changed.notify_all()
                missed = self._missed and not self.full and not self.closed
                if missed:
                    self._missed = False
                if not self.full:
                    self._wake_waiters()
            if missed:
                self.on_room()

    def _take_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._lines and size < _BATCH_BYTES:
            line = self._lines.popleft()
            batch.append(line)
            size += len(line)
        return batch

    def _wake_waiters(self) -> None:
        for loop, event in self._waiters:
            # The loop may close at any moment, and nobody waits in a closed one.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)
        self._waiters.clear()

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.closed:
            try:
                view = view[self._write_some(view) :]
            except OSError as error:
                # A full disk behind a redirected stdout can be mended: keep the lines and try again.
                if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EINTR}:
                    time.sleep(_RETRY_S)
                    continue
                # Nobody reads any more (EPIPE, EBADF, EIO): going on without a log beats ending Directus.
                self.closed = True

    def _write_some(self, view: memoryview) -> int:
        try:
            written = os.write(self._descriptor, view[: _LAST_WRITE_BYTES if self._flushing else _WRITE_BYTES])
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(self._descriptor, select.POLLOUT)
            waiting.poll()
            return 0
        self._written_bytes += written
        return written
