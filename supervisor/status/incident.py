"""What went wrong, and what to do about it: restarts and failures as one kind of thing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RestartReason = Literal["exit", "signal", "out_of_memory", "hang", "memory_limit", "not_ready", "reload"]


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went wrong.

    Attributes:
        at_s: when, Unix seconds.
        code: stable name: of the catalogue of failures, or ``process.`` and the reason of a restart.
        message: one sentence.
        remedy: one sentence on what to do.
        process: the process concerned; None for a failure of the supervisor's own.
    """

    at_s: float
    code: str
    message: str
    remedy: str
    process: str | None = None


# How the services begin the half sentence that says why a process has to be started again.
_BEGINNINGS: Final[dict[str, RestartReason]] = {
    "ended with signal": "signal",
    "ended with": "exit",
    "hangs": "hang",
    "uses": "memory_limit",
    "was not ready": "not_ready",
    "is reloaded": "reload",
}
_REMEDIES: Final[dict[RestartReason, str]] = {
    "exit": "Read its last lines before the end; a restart mends it only when the cause was a passing one.",
    "signal": "Somebody or something sent it that signal; a crash of Node.js (SIGSEGV, SIGABRT) wants an update.",
    "out_of_memory": "Raise the container's memory limit, or keep Node.js below it with "
    "NODE_OPTIONS=--max-old-space-size.",
    "hang": "Look for a blocking extension or flow; SUPERVISOR_WATCH_FAILURES sets how patient the watch is.",
    "memory_limit": "Look for a leak in extensions and flows, or raise SUPERVISOR_MEMORY_LIMIT_MB.",
    "not_ready": "See what it waits for in its lines; SUPERVISOR_READY_TIMEOUT_S sets how long it may take.",
    "reload": "Nothing: it was asked for.",
}


def restart_reason(why: str, *, oom: bool = False) -> RestartReason:
    """The reason of a restart as one of few words, so that it can be counted.

    Args:
        why: half a sentence, as the log gives it.
        oom: whether the kernel killed it for want of memory.
    """
    if oom:
        return "out_of_memory"
    for beginning, reason in _BEGINNINGS.items():
        if why.startswith(beginning):
            return reason
    return "exit"


def of_restart(at_s: float, process: str, why: str, reason: RestartReason) -> Incident:
    """The incident that a restart is."""
    return Incident(at_s, f"process.{reason}", f"{process} {why}.", _REMEDIES[reason], process)
