"""The duties of an init: reap every child that ends, ours or an orphan's, and end what is left at the stop.

As PID 1 the kernel hands us every orphan; elsewhere ``PR_SET_CHILD_SUBREAPER`` (``prctl(2)``) makes it so. Everything
is reaped here, woken by SIGCHLD, and one look a death. That takes statuses from nobody, since every process is started
by ``child.py``, which waits here, and none by asyncio or another library.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from supervisor.logs import events
from supervisor.logs.setup import get_log

_PR_SET_CHILD_SUBREAPER: Final = 36
_POLL_S: Final = 0.05
_KILL_S: Final = 5.0
_log = get_log("init")


class Init:
    """Reaps children; there is one per process, installed for as long as the event loop runs."""

    def __init__(self) -> None:
        self._waiters: dict[int, asyncio.Future[int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reaped: set[asyncio.Event] = set()
        self.adopts = False

    def install(self) -> None:
        """Begin to reap: on SIGCHLD, and once now for what ended before. Must be called inside the loop."""
        self._loop = asyncio.get_running_loop()
        self.adopts = os.getpid() == 1 or _become_subreaper()
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)
        self.reap()

    def uninstall(self) -> None:
        """Stop reaping."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCHLD)
            self._loop = None

    def watch(self, pid: int) -> asyncio.Future[int]:
        """A future for the wait status of a child that was just started.

        It has to be called in the same turn of the loop as the start: until then nobody reaps.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiters[pid] = future
        return future

    def reap(self) -> None:
        """Reap whatever has ended."""
        while (pid := _ended_child()) is not None:
            _, status = os.waitpid(pid, 0)
            future = self._waiters.pop(pid, None)
            if future is None:
                _log.emit(events.ORPHAN_REAPED, pid=pid)
            elif not future.done():
                future.set_result(status)
        for event in self._reaped:
            event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again after each reaping.

        Where orphans are not ours to reap, nobody tells of their end: then it is asked at short intervals.
        """
        while not condition():
            event = asyncio.Event()
            self._reaped.add(event)
            try:
                with anyio.move_on_after(None if self.adopts else _POLL_S):
                    await event.wait()
            finally:
                self._reaped.discard(event)

    def kill_started(self) -> None:
        """Send SIGKILL to the group of every process that was started here and still runs."""
        for pid in list(self._waiters):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def leftovers(self) -> list[int]:
        """Pids of living processes that are ours to end: all children but those that somebody waits for."""
        if not self.adopts:
            return []
        return [pid for pid in children() if pid not in self._waiters and not _is_zombie(pid)]


async def end_leftovers(init: Init, timeout_s: float, at_once: Callable[[], bool] = lambda: False) -> None:
    """End every process that is still ours: orphans that left their group and outlived their parent.

    They get SIGTERM, and after `timeout_s` seconds SIGKILL, generation after generation, until none is left.

    Args:
        init: knows them.
        timeout_s: seconds from SIGTERM to SIGKILL.
        at_once: whether somebody has lost patience; asked again at each :meth:`Init.reap`.
    """
    if not init.leftovers():
        return
    with anyio.CancelScope(shield=True):
        _signal_all(init.leftovers(), signal.SIGTERM)
        with anyio.move_on_after(timeout_s):
            await init.until(lambda: at_once() or not init.leftovers())
        while pids := init.leftovers():
            _log.emit(events.PROCESS_KILLED, process="orphan", pids=pids, reason="left behind at the stop")
            _signal_all(pids, signal.SIGKILL)
            with anyio.move_on_after(_KILL_S) as limit:
                await init.until(lambda: not set(pids) & set(init.leftovers()))
            if limit.cancelled_caught:
                break
        # The last ones may be dead without their SIGCHLD having been heard.
        init.reap()


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def children() -> list[int]:
    """Pids of this process' children, zombies included."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return [int(pid) for pid in _pids() if _parent(pid) == os.getpid()]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _parent(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def _is_zombie(pid: int) -> bool:
    fields = _stat_fields(pid)
    return not fields or fields[0] in {"Z", "X"}


def _stat_fields(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the command name, which may itself hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _ended_child() -> int | None:
    """The pid of a child that has ended and was not reaped yet."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return ended.si_pid if ended is not None else None


def _become_subreaper() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
