"""How one life of a process that is kept running came to its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from supervisor.process.child import ExitStatus

# `reload` is asked for; every other cause is an incident.
Cause = Literal["exit", "signal", "out_of_memory", "hang", "memory_limit", "not_ready", "not_started", "reload"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a process has to be ended, or started again.

    Attributes:
        cause: one of few words, so that it can be counted.
        why: half a sentence whose subject is the process.
    """

    cause: Cause
    why: str


RELOAD: Final = Trouble("reload", "is reloaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One end that nobody asked for.

    Attributes:
        process: what the log calls it.
        trouble: why it came.
        status: how it ended; None when we ended it, or it could not be started.
        uptime_s: how long it lived, seconds.
        restarts: how often it had been restarted before.
        last_lines: what it wrote last in this life.
    """

    process: str
    trouble: Trouble
    status: ExitStatus | None
    uptime_s: float
    restarts: int
    last_lines: tuple[str, ...]

    @property
    def oom(self) -> bool:
        """Whether the kernel killed it for want of memory."""
        return self.trouble.cause == "out_of_memory"

    @property
    def facts(self) -> dict[str, Any]:
        """What the record of an incident says of it."""
        return {
            "process": self.process,
            **(self.status.as_childs if self.status is not None else {}),
            "oom": self.oom,
            "uptime_s": round(self.uptime_s, 3),
            "restarts": self.restarts,
            "last_lines": list(self.last_lines),
        }


def trouble_of(status: ExitStatus, *, oom: bool) -> Trouble:
    """The trouble that an end by itself is.

    Args:
        status: how it ended.
        oom: whether the kernel killed it for want of memory.
    """
    if oom:
        return Trouble("out_of_memory", f"ended with {status}, killed by the kernel for want of memory")
    return Trouble("exit" if status.signal is None else "signal", f"ended with {status}")
