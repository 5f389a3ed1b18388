"""What Linux tells about a process: memory, processor time, descendants (``proc(5)``)."""

from __future__ import annotations

import os
import re
from pathlib import Path


def rss_mb(pid: int) -> float:
    """Resident memory of one process, MB of 1024 KiB (``VmRSS``)."""
    return _kilobytes(pid, "status", "VmRSS") / 1024


def pss_mb(pid: int) -> float:
    """Memory of one process with shared pages divided among those who share them, MB (``Pss``)."""
    return _kilobytes(pid, "smaps_rollup", "Pss") / 1024


def cpu_ms(pid: int) -> float:
    """Processor time of one process so far, ms, over its living threads (``schedstat`` counts nanoseconds)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def switches(pid: int) -> int:
    """How often the threads of one process gave up the processor by themselves: its wake-ups, once it idles."""
    texts = ((task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    pattern = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
    return sum(int(count) for text in texts for count in pattern.findall(text))


def command_line(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Pids of a process' children; none when it is gone."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return []
    return found


def descendants(pid: int) -> list[int]:
    """Pids of all processes below one."""
    below = children(pid)
    return below + [further for child in below for further in descendants(child)]


def load() -> str:
    """The load averages over 1, 5 and 15 minutes, and the number of processors."""
    averages = " ".join(f"{average:.2f}" for average in os.getloadavg())
    return f"{averages} on {os.cpu_count()} processors"


def _kilobytes(pid: int, file: str, field: str) -> int:
    text = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii", errors="replace")
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise LookupError(f"/proc/{pid}/{file} has no {field}")
    return int(match[1])
