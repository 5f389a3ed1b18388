"""The grammar of the commands that talk to a running supervisor; it imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

_LONGEST_S: Final = 86_400.0
_LEVELS: Final = ("debug", "info", "warning", "error")


def add_commands(command: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add them.

    Args:
        command: adds one, by its name, its summary and an example.
    """
    status = command("status", "Print what the running supervisor does, over its control socket.", "status --json")
    status.add_argument("--json", action="store_true", help="as /status gives it")
    command("top", "The same, live, until interrupted.", "docker exec -it CONTAINER directus-supervisor top")
    logs = command("logs", "Print the latest lines of the running supervisor's log.", "logs --follow --level warning")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with what comes")
    logs.add_argument("--lines", "-n", type=_count, default=100, metavar="N", help="at most N (default 100)")
    logs.add_argument("--level", choices=_LEVELS, default="debug", help="the least level")
    logs.add_argument("--process", metavar="NAME", help="lines of one process, such as directus")
    logs.add_argument("--json", action="store_true", help="one record a line, as the supervisor wrote it")
    level = command("log-level", "Say or set from which level on the running supervisor writes.", "log-level debug")
    level.add_argument("level", nargs="?", choices=_LEVELS, help="until the end of the run; say it when left out")
    level.add_argument("--component", metavar="NAME", help="of one component alone, such as postgres")
    reload = command("reload", "Restart Directus in good order; wait until it is ready again.", "reload --timeout 60")
    reload.add_argument("--timeout", type=_seconds, default=120.0, metavar="S", help="0 does not wait (default 120)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError
    return seconds


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number
