"""Writes its output in a bad way: usage `bad_writer.py HABIT [ARGUMENT …]`."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path


def write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def half_a_line() -> None:
    write(1, b"a whole line\n")
    write(2, b"and half a li")
    os._exit(0)


def no_text() -> None:
    write(1, b"caf\xe9 \xff\xfe\n")
    write(1, b"before\x00after\n")
    write(1, b'{"level":30,"msg":"caf\xe9\\u0000"}\n')
    write(1, b"\x1b[31mred\x1b[0m\r\n")


def long_lines(path: str) -> None:
    """Write the lines that the file holds, one long one on each stream, and one more."""
    one, five, last = Path(path).read_bytes().split(b"\n")
    write(1, one + b"\n")
    write(2, five + b"\n")
    write(1, last + b"\n")


def both_streams(count: str) -> None:
    """Write to both streams in turn, each time only when all that was written before has been read."""
    for number in range(int(count)):
        descriptor = 1 + number % 2
        write(descriptor, b"line %d\n" % number)
        held = array.array("i", [1])
        while held[0]:
            fcntl.ioctl(descriptor, termios.FIONREAD, held)
            time.sleep(0.0002)


def flood(count: str) -> None:
    for start in range(0, int(count), 1000):
        write(1, b"".join(b"%d\n" % number for number in range(start, start + 1000)))


def count_up(count: str, path: str) -> None:
    """Write numbered lines, and into a file how many are written."""
    with Path(path).open("wb", buffering=0) as file:
        for number in range(int(count)):
            write(1, b"%d %s\n" % (number, b"x" * 190))
            os.pwrite(file.fileno(), b"%d" % (number + 1), 0)


def burst_and_die(count: str) -> None:
    """Fill the pipe with one write, and be gone."""
    write(1, b"".join(b"%09d\n" % number for number in range(int(count))))
    os._exit(0)


def leave_an_orphan(path: str) -> None:
    """Leave a process of another session behind that holds both pipes open for ever."""
    code = "import os, signal; os.setsid(); os.write(1, b'here'); signal.pause()"
    reading, writing = os.pipe()
    orphan = subprocess.Popen([sys.executable, "-c", code.replace("write(1", f"write({writing}")], pass_fds=(writing,))
    os.read(reading, 4)
    Path(path).write_text(str(orphan.pid), encoding="ascii")
    write(1, b"last words\n")
    write(2, b"and half a li")
    os._exit(0)


HABITS: dict[str, Callable[..., None]] = {
    habit.__name__.replace("_", "-"): habit
    for habit in (half_a_line, no_text, long_lines, both_streams, flood, count_up, burst_and_die, leave_an_orphan)
}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    HABITS[sys.argv[1]](*sys.argv[2:])
