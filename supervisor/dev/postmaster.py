"""The server process of a PostgreSQL data folder: whether it runs, and its end by signals."""

from __future__ import annotations

import os
import signal
from enum import Enum
from pathlib import Path

import anyio
import anyio.to_thread

from supervisor.dev.leftovers import command_line, kill_working_within

_POLL_S = 0.02


class Shutdown(Enum):
    """The server's shutdown modes, as in the chapter "Shutting Down the Server" of its manual."""

    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT
    KILL = signal.SIGKILL


def running_pid(data: Path) -> int | None:
    """The process id of the server of a data folder.

    A ``postmaster.pid`` may be left over from a crash, and its number belong to another process by now: the
    process counts only when its command line names this data folder.

    Args:
        data: the data folder, by the path that the server was started with.

    Returns:
        The id, or None when no server of this folder runs.
    """
    try:
        first = (data / "postmaster.pid").read_text().split("\n", 1)[0]
        pid = int(first)
    except (OSError, ValueError):
        return None
    if pid <= 0 or pid == os.getpid():
        return None
    if Path("/proc/self/cmdline").exists():
        return pid if str(data) in command_line(pid) else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return pid


def forget_dead_server(data: Path) -> None:
    """Remove what a killed server left behind: its backends, which hold the shared memory, and its pid file.

    Args:
        data: a data folder that no server runs on.

    Raises:
        OSError: the file cannot be removed.
    """
    kill_working_within(data, named="postgres")
    (data / "postmaster.pid").unlink(missing_ok=True)


async def end_server(data: Path, steps: tuple[tuple[Shutdown, float], ...]) -> None:
    """End the server of a data folder, ever more firmly; nothing happens when none runs.

    Args:
        data: the data folder.
        steps: the modes to try one after the other, with the seconds to wait for each.
    """
    for mode, seconds in steps:
        pid = running_pid(data)
        if pid is None:
            break
        try:
            os.kill(pid, mode.value)
        except ProcessLookupError:
            break
        if await _gone(data, pid, seconds):
            break
    if running_pid(data) is None:
        await anyio.to_thread.run_sync(forget_dead_server, data)


async def _gone(data: Path, pid: int, seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        # The server is not our child: nothing tells its end.
        while running_pid(data) == pid or str(data) in command_line(pid):  # noqa: ASYNC110
            await anyio.sleep(_POLL_S)
        return True
    return False
