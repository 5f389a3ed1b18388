"""Makes orphans that end at once, and then says `reaped` when none of them is left, or how many zombies stay.

Usage: make_orphans.py COUNT reaped|zombies
"""

# ruff: noqa: T201

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

BATCH = 500


def children_of(parent: int) -> dict[str, str]:
    """The children of a process with their states, without this one."""
    states = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            try:
                fields = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                states[path.name] = fields[0]
    return states


def make(count: int) -> None:
    """Make orphans: a process in the middle ends without waiting for them."""
    middle = os.fork()
    if middle == 0:
        for _ in range(count):
            if os.fork() == 0:
                os._exit(0)
        os._exit(0)
    os.waitpid(middle, 0)


def main() -> None:
    """Make them, and look at what becomes of them."""
    count, wanted = int(sys.argv[1]), sys.argv[2]
    init = os.getpid() if wanted == "zombies" else os.getppid()
    before = children_of(init).keys()
    for made in range(0, count, BATCH):
        make(min(BATCH, count - made))
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline:
        states = [state for pid, state in children_of(init).items() if pid not in before]
        if wanted == "reaped" and not states:
            print("reaped", flush=True)
            return
        if wanted == "zombies" and states.count("Z") == count:
            print(count, "zombies", flush=True)
            return
        time.sleep(0.02)
    sys.exit(f"{len(children_of(init))} children of {init} are there")


main()
