"""Memory and processor time of processes with their descendants, from one look at the process table (``proc(5)``)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from supervisor.process.memory import resident_bytes
from supervisor.process.process_table import stat_fields

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
    times = os.times()
    return Usage(resident_bytes(os.getpid()), times.user + times.system)


def _with_descendants(pid: int, table: Mapping[int, Usage], below: Mapping[int, list[int]]) -> Usage:
    memory, cpu_s, pending = 0, 0.0, [pid]
    while pending:
        current = pending.pop()
        memory += table[current].memory_bytes
        cpu_s += table[current].cpu_s
        pending += below.get(current, [])
    return Usage(memory, cpu_s)


def _processes() -> Iterable[tuple[int, int, Usage]]:
    for pid, fields in stat_fields():
        cpu_s = sum(map(int, fields[11:15])) / _TICKS
        yield pid, int(fields[1]), Usage(int(fields[21]) * _PAGE_BYTES, cpu_s)
