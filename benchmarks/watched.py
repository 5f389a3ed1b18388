"""One program under measurement: started in a session of its own, its output drained at once and kept."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import proc

_READ_BYTES = 1024 * 1024
_LIMIT_S = 120.0
_POLL_S = 0.01
_END_S = 15.0


class MeasurementError(Exception):
    """What was to be measured did not happen."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path


class Watched:
    """A running program; as a context manager, it and all that it started are ended at the end of the block.

    Args:
        command: what to start.

    Attributes:
        started_s: monotonic seconds right before it was started.
    """

    def __init__(self, command: Command) -> None:
        self._output = bytearray()
        self._chunks: list[tuple[int, float]] = []
        self._changed = threading.Condition()
        self._closed = False
        self.started_s = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - the programs under measurement
            command.argv,
            env=dict(command.environ),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        descriptor = self._process.stdout.fileno()
        while data := os.read(descriptor, _READ_BYTES):
            now = time.monotonic()
            with self._changed:
                self._chunks.append((len(self._output), now))
                self._output += data
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def output(self) -> bytes:
        """Everything that it has written so far."""
        with self._changed:
            return bytes(self._output)

    @property
    def size(self) -> int:
        """How many bytes it has written so far."""
        with self._changed:
            return len(self._output)

    def arrived_s(self, offset: int) -> float:
        """Monotonic seconds at which the byte at this offset of the output was read."""
        with self._changed:
            return self._chunks[bisect_right(self._chunks, (offset, float("inf"))) - 1][1]

    def wait_for_output(self, pattern: bytes, timeout_s: float = _LIMIT_S) -> float:
        """Wait until the output holds `pattern`, and return when it came, monotonic seconds.

        Raises:
            MeasurementError: when it does not come in time, or the program ends before.
        """
        deadline = time.monotonic() + timeout_s
        start = 0
        with self._changed:
            while (offset := self._output.find(pattern, start)) < 0:
                start = max(0, len(self._output) - len(pattern) + 1)
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    raise MeasurementError(f"no {pattern!r} in the output:\n{self.tail()}")
                self._changed.wait(left)
        return self.arrived_s(offset)

    def tail(self) -> str:
        """The end of the output."""
        return self._output[-4000:].decode("utf-8", "replace")

    def stop(self) -> float:
        """Send SIGTERM and wait for the end; how long that took, seconds.

        Raises:
            MeasurementError: when it does not end in time.
        """
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"still running {_LIMIT_S:g} s after SIGTERM:\n{self.tail()}") from None
        return time.monotonic() - began

    def end(self) -> None:
        """End it and all that it started, whatever state they are in."""
        family = [self.pid, *proc.descendants(self.pid)]
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        if self._process.poll() is None:
            family += proc.descendants(self.pid)
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(_END_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()


def wait_until_quiet(watched: Watched, quiet_s: float) -> None:
    """Wait until nothing has been written for `quiet_s` seconds."""
    size, since = watched.size, time.monotonic()
    while time.monotonic() - since < quiet_s:
        time.sleep(_POLL_S)
        if watched.size != size:
            size, since = watched.size, time.monotonic()
