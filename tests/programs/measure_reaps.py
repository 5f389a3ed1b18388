"""Makes one orphan after the other, and says how long each was a zombie: how late its init is. Never ends by itself."""

# ruff: noqa: T201

from __future__ import annotations

import os
import time
from pathlib import Path

PAUSE_S = 0.05


def make_orphan() -> tuple[int, float]:
    """Pid of an orphan, and when it is about to end (monotonic seconds, the same clock for all processes)."""
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(0.001)
            os.write(writing, f"{os.getpid()} {time.monotonic()}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(middle, 0)
    pid, ended_s = os.read(reading, 100).split()
    os.close(reading)
    return int(pid), float(ended_s)


def main() -> None:
    """Measure for ever."""
    while True:
        pid, ended_s = make_orphan()
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.0005)
        print(f"reaped after {time.monotonic() - ended_s:.6f}", flush=True)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
