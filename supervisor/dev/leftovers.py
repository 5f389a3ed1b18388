"""Processes that outlived the run that started them, known by the folder that they work in."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def kill_working_within(folder: Path, *, named: str | None = None, timeout_s: float = 5.0) -> None:
    """Kill the processes whose working directory lies within a folder, and wait for them to be gone.

    Without ``/proc`` this does nothing.

    Args:
        folder: the folder.
        named: kill only those whose command line begins with a program or a title of this name.
        timeout_s: how long to wait, in seconds.
    """
    deadline = time.monotonic() + timeout_s
    while (pids := _working_within(folder, named)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.05)


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty for a zombie, and where there is no such process or no ``/proc``."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return os.fsdecode(raw).rstrip("\0").split("\0") if raw else []


def group_is_alive(group: int) -> bool:
    """Whether a process group has a member that still runs.

    A zombie does not count: it waits for its parent, which may be a PID 1 that takes its time.

    Args:
        group: the group's id.
    """
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not Path("/proc/self/stat").exists():
        return True
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name in parentheses may hold spaces; state, parent and group follow it: proc(5).
            state, _, member_of = entry.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(member_of) == group and state != "Z":
            return True
    return False


def _working_within(folder: Path, named: str | None) -> list[int]:
    inside = str(folder.resolve())
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            place = str(entry.readlink()).removesuffix(" (deleted)")
        except OSError:
            continue
        pid = int(entry.parent.name)
        if (place == inside or place.startswith(inside + os.sep)) and _is_named(pid, named):
            found.append(pid)
    return found


def _is_named(pid: int, named: str | None) -> bool:
    arguments = command_line(pid)
    if not arguments:
        return False
    # A PostgreSQL backend replaces its command line by a title such as "postgres: checkpointer".
    return named is None or Path(arguments[0].split(":", 1)[0]).name == named
