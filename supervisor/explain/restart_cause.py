"""Why a process was started again, also where the log is from before the event said it in one word. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from supervisor.incidents.causes import CATALOGUE

RELOAD: Final = "reload"
# How services begin the half sentence that says why a process has to be started again.
_BEGINNINGS: Final = {
    "ended with signal": "signal",
    "ended with": "exit",
    "hangs": "hang",
    "uses": "memory_limit",
    "was not ready": "not_ready",
    "could not be started": "not_started",
    "is reloaded": RELOAD,
}


def cause_of(fields: Mapping[str, Any]) -> str:
    """The cause of a restart in one word.

    Args:
        fields: of the event ``process.restarting``.
    """
    if cause := fields.get("cause"):
        return str(cause)
    if fields.get("oom") is True:
        return "out_of_memory"
    why = str(fields.get("reason", ""))
    return next((cause for beginning, cause in _BEGINNINGS.items() if why.startswith(beginning)), "exit")


def remedy_of(cause: str) -> str:
    """What to do about a cause."""
    if cause == RELOAD:
        return "Nothing: it was asked for."
    entry = CATALOGUE.get(f"process.{cause}", CATALOGUE["process.exit"])
    return entry.remedy
