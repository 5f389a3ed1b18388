"""Watching a process that is ready: whether it answers, and how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.ending import Trouble
from supervisor.process.memory import resident_mb

# A look that took so much longer than it may tells of us, not of the process: we were stopped, or starved.
_OVERDUE_S: Final = 0.5
_log = get_log("process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a running service is watched for.

    Attributes:
        interval_s: seconds from the end of one look to the next.
        alive: asks whether it answers at all.
        answer_s: seconds after which `alive` takes silence for an answer.
        failures: so many failed looks in a row mean that it hangs; 0 never asks.
        memory_limit_mb: resident memory of it and its descendants above which it is restarted; 0 is no limit.
    """

    interval_s: float
    alive: Callable[[], Awaitable[bool]]
    answer_s: float
    failures: int
    memory_limit_mb: float

    @property
    def idle(self) -> bool:
        """Whether there is nothing to watch."""
        return self.failures == 0 and self.memory_limit_mb == 0


async def watch_process(name: str, pid: int, watch: Watch) -> Trouble:
    """Watch until the process has to be ended.

    Args:
        name: what the log calls it.
        pid: the process; its descendants count with it.
        watch: what to look for.

    Returns:
        Why it has to be.
    """
    failed = 0
    while True:
        await anyio.sleep(watch.interval_s)
        if watch.failures:
            began_s = time.monotonic()
            if await watch.alive():
                failed = 0
            elif time.monotonic() - began_s < watch.answer_s + _OVERDUE_S:
                failed += 1
                limit = watch.failures
                _log.emit(events.PROCESS_SILENT, process=name, pid=pid, failed=failed, limit=limit)
                if failed >= limit:
                    times = "a look at it" if failed == 1 else f"{failed} times in a row"
                    return Trouble("hang", f"hangs: it did not answer {times}")
        if watch.memory_limit_mb:
            memory_mb = resident_mb(pid)
            if memory_mb > watch.memory_limit_mb:
                limit_mb = watch.memory_limit_mb
                return Trouble("memory_limit", f"uses {memory_mb:.0f} MB, more than the limit of {limit_mb:g} MB")
