"""What a report of the state says of the supervisor's own process."""

from __future__ import annotations

import asyncio
import os

from supervisor.process.memory import resident_bytes

_MEGABYTE = 1024 * 1024


def own_memory_mb() -> float:
    """Resident memory of this process, MB."""
    return round(resident_bytes(os.getpid()) / _MEGABYTE, 1)


def describe_tasks() -> list[str]:
    """Each task of the event loop: its name and where it waits."""
    return sorted(_describe(task) for task in asyncio.all_tasks() if not task.done())


def _describe(task: asyncio.Task[object]) -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return task.get_name()
    code = frames[-1].f_code
    return f"{task.get_name()} in {code.co_qualname}, line {frames[-1].f_lineno}"
