"""The catalogue of incidents that do not end the supervisor; those that do are in ``supervisor/errors.py``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from supervisor.errors import COMMAND_NOT_STARTED
from supervisor.process.ending import Cause


@dataclass(frozen=True, slots=True)
class Incidence:
    """One entry of the catalogue.

    Attributes:
        code: stable dotted name, also the heading of its section in the runbook.
        meaning: one sentence on what happened in general.
        remedy: one sentence on what to do.
    """

    code: str
    meaning: str
    remedy: str


CATALOGUE: Final[dict[str, Incidence]] = {
    entry.code: entry
    for entry in (
        Incidence(
            "process.exit",
            "A process ended with a status and is started again.",
            "Read its last lines before the end; a restart mends it only when the cause was a passing one.",
        ),
        Incidence(
            "process.signal",
            "A process was ended by a signal that we did not send, and is started again.",
            "Find out who or what sent it that signal; a crash of Node.js (SIGSEGV, SIGABRT) wants an update.",
        ),
        Incidence(
            "process.out_of_memory",
            "The kernel killed a process for want of memory; it is started again.",
            "Raise the container's memory limit, or keep Node.js below it with NODE_OPTIONS=--max-old-space-size.",
        ),
        Incidence(
            "process.hang",
            "A process did not answer any more, was stopped, and is started again.",
            "Look for a blocking extension or flow; SUPERVISOR_WATCH_FAILURES sets how patient the watch is.",
        ),
        Incidence(
            "process.memory_limit",
            "A process used more memory than it may, was stopped in good order, and is started again.",
            "Look for a leak in extensions and flows, or raise SUPERVISOR_MEMORY_LIMIT_MB.",
        ),
        Incidence(
            "process.not_ready",
            "A process was not ready in time, was stopped, and is started again.",
            "See what it waits for in its lines; SUPERVISOR_READY_TIMEOUT_S sets how long it may take.",
        ),
        Incidence(
            "process.given_up",
            "A process beside Directus ended too often and is not started again; everything else goes on.",
            "Read its last lines, fix their cause, and start the container again.",
        ),
    )
}
GIVEN_UP: Final = CATALOGUE["process.given_up"]


def incidence_of(cause: Cause) -> tuple[str, str]:
    """The code and the remedy of a restart.

    Args:
        cause: any but `reload`, which is no incident.
    """
    code = f"process.{cause}"
    if code == COMMAND_NOT_STARTED.code:
        return code, COMMAND_NOT_STARTED.remedy
    return code, CATALOGUE[code].remedy
