"""Memory and processor time of processes with their descendants, from one look at the process table (``proc(5)``)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants use.

    Attributes:
        memory_bytes: resident; pages that they share count for each.
        cpu_s: user and system time so far, that of descendants which were waited for included.
    """

    memory_bytes: int
    cpu_s: float


def usage_of(pids: Iterable[int]) -> Mapping[int, Usage]:
    """What each of these processes uses; one that has ended is left out."""
    table: dict[int, Usage] = {}
    below: dict[int, list[int]] = defaultdict(list)
    for pid, parent, usage in _processes():
        table[pid] = usage
        below[parent].append(pid)
    return {pid: _with_descendants(pid, table, below) for pid in pids if pid in table}


def own_usage() -> Usage:
    """What this process alone uses."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - as in the loop below
        resident = int(file.read().split()[1]) * _PAGE_BYTES
    times = os.times()
    return Usage(resident, times.user + times.system)


def _with_descendants(pid: int, table: Mapping[int, Usage], below: Mapping[int, list[int]]) -> Usage:
    memory, cpu_s, pending = 0, 0.0, [pid]
    while pending:
        current = pending.pop()
        memory += table[current].memory_bytes
        cpu_s += table[current].cpu_s
        pending += below.get(current, [])
    return Usage(memory, cpu_s)


def _processes() -> Iterable[tuple[int, int, Usage]]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs more than all of this
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The name of the program stands before, and may itself hold spaces and parentheses.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        cpu_s = sum(map(int, fields[11:15])) / _TICKS
        yield int(name), int(fields[1]), Usage(int(fields[21]) * _PAGE_BYTES, cpu_s)
