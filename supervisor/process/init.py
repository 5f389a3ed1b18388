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
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.process_table import processes

_PR_SET_CHILD_SUBREAPER: Final = 36
_POLL_S: Final = 0.05
_KILL_S: Final = 5.0
# So many are reaped in one turn of the loop: probes and signals are heard between two turns, however many end.
_AT_A_TIME: Final = 256
_log = get_log("init")


class Init:
    """Reaps children; there is one per process, installed for as long as the event loop runs.

    Attributes:
        adopts: whether orphans below us are handed to us.
        hurried: whether nothing is given time to end by itself any more.
    """

    def __init__(self) -> None:
        self._waiters: dict[int, asyncio.Future[int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reaped: set[asyncio.Event] = set()
        self._given_up: set[int] = set()
        self.adopts = False
        self.hurried = False

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
        """Reap what has ended; when it is a crowd, the rest in the next turns of the loop."""
        for _ in range(_AT_A_TIME):
            pid = _ended_child()
            if pid is None:
                break
            _, status = os.waitpid(pid, 0)
            self._given_up.discard(pid)
            future = self._waiters.pop(pid, None)
            if future is None:
                _log.emit(events.ORPHAN_REAPED, pid=pid)
            elif not future.done():
                future.set_result(status)
        else:
            if self._loop is not None:
                self._loop.call_soon(self.reap)
        self._ask_again()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again after each reaping, and at short intervals.

        The intervals are for the processes that are not ours to reap, of whose end nobody tells.
        """
        while not condition():
            event = asyncio.Event()
            self._reaped.add(event)
            try:
                with anyio.move_on_after(_POLL_S):
                    await event.wait()
            finally:
                self._reaped.discard(event)

    def hurry(self) -> None:
        """From now on give nothing time to end by itself."""
        self.hurried = True
        self._ask_again()

    def give_up(self, pids: Iterable[int]) -> None:
        """Wait no more for these, which not even SIGKILL has ended."""
        self._given_up.update(pids)

    def leftovers(self) -> set[int]:
        """Pids of what is ours to end: all children, zombies included, but those that somebody waits for."""
        if not self.adopts:
            return set()
        spared = self._waiters.keys() | self._given_up
        if not spared and _is_childless():
            return set()
        return {pid for pid in children() if pid not in spared}

    def _ask_again(self) -> None:
        for event in self._reaped:
            event.set()


async def end_leftovers(init: Init, timeout_s: float) -> None:
    """End every process that is still ours: orphans that left their group and outlived their parent.

    They get SIGTERM, generation after generation as they become ours, and after `timeout_s` seconds SIGKILL. What
    survives that, as in uninterruptible sleep, is left behind after a bounded time.

    Args:
        init: knows them.
        timeout_s: seconds from SIGTERM to SIGKILL.
    """
    asked: set[int] = set()
    killed: set[int] = set()

    def have_heeded_term() -> bool:
        left = init.leftovers()
        for pid in left - asked:
            asked.add(pid)
            send(pid, signal.SIGTERM)
            # What is stopped hears nothing but SIGKILL until it is continued.
            send(pid, signal.SIGCONT)
        return init.hurried or not left

    def are_killed() -> bool:
        left = init.leftovers()
        if left and (new := sorted(_kill_everything_below(left) - killed)):
            killed.update(new)
            _log.emit(events.PROCESS_KILLED, process="orphan", pids=new, reason="left behind at the stop")
        return not left

    with anyio.CancelScope(shield=True):
        init.reap()
        with anyio.move_on_after(timeout_s):
            await init.until(have_heeded_term)
        with anyio.move_on_after(_KILL_S):
            await init.until(are_killed)
        if stuck := init.leftovers():
            init.give_up(stuck)
            _log.emit(events.PROCESS_STUCK, process="orphan", pids=sorted(stuck))
        # The last ones may be dead without their SIGCHLD having been heard.
        init.reap()


def _kill_everything_below(roots: set[int]) -> set[int]:
    """Kill these and their descendants, and say whom.

    By groups first: a process that forks and ends all the time cannot outrun that. It may well be that only zombies of
    it are seen, which is why they count here.
    """
    table = list(processes())
    ours, newest = set[int](), roots
    while newest:
        ours |= newest
        newest = {pid for pid, parent, _ in table if parent in newest} - ours
    living = {pid for pid in ours if not is_zombie(pid)}
    strangers = {group for pid, _, group in table if pid not in ours}
    for group in {group for pid, _, group in table if pid in ours} - strangers:
        if group > 1:
            send(-group, signal.SIGKILL)
    for pid in living:
        send(pid, signal.SIGKILL)
    return living


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, or to a group by its negative id, that may have gone or belong to another user."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def children() -> list[int]:
    """Pids of this process' children, zombies included."""
    own = os.getpid()
    return [pid for pid, parent, _ in processes() if parent == own]


def is_zombie(pid: int) -> bool:
    """Whether a process has ended, and be it that nobody has reaped it yet."""
    try:
        # The name of the program stands before, and may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return True
    return fields[0] in {"Z", "X"}


def _is_childless() -> bool:
    """Whether there is no child, not even a zombie: the kernel's word, where a look at ``/proc`` may miss one."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


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
