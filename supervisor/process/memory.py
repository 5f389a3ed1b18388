"""How much memory a process and its descendants have resident."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from supervisor.process.process_table import processes

_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
_MEGABYTE: Final = 1024 * 1024
# Of control groups v2 and v1, as a container sees its own.
_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def resident_mb(pid: int) -> float:
    """Resident memory of a process and all its descendants, MB; pages that they share count for each.

    A process that ends meanwhile counts as nothing.
    """
    children = _children_by_parent()
    total, pending = 0, [pid]
    while pending:
        current = pending.pop()
        total += resident_bytes(current)
        pending += children[current]
    return total / _MEGABYTE


def limit_mb(files: Sequence[Path] = _LIMITS) -> float | None:
    """The memory that this container may use, MB; None where the kernel names no limit.

    Args:
        files: where the limit stands, the first that can be read counts.
    """
    for file in files:
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        return int(text) / _MEGABYTE if text.isdecimal() else None
    return None


def resident_bytes(pid: int) -> int:
    """Resident memory of one process, bytes: the second number of ``/proc/PID/statm``, see ``proc(5)``."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _children_by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent, _ in processes():
        children[parent].append(pid)
    return children
