"""The process table, read from ``/proc``.

``/proc/PID/task/TID/children`` would be shorter, but it is optional in the kernel, and leaves children out while
others of them are ending (``proc(5)``).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def processes() -> Iterator[tuple[int, int, int]]:
    """Pid, parent's pid and process group of every process that can be seen, zombies included."""
    for pid, fields in stat_fields():
        yield pid, int(fields[1]), int(fields[2])


def stat_fields() -> Iterator[tuple[int, list[bytes]]]:
    """Pid of every process that can be seen, and the fields of its ``stat`` from the state on (``proc(5)``)."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib costs more than all of this
    except OSError:
        return
    for name in names:
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The name of the program stands before, and may itself hold spaces and parentheses.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        yield int(name), fields
