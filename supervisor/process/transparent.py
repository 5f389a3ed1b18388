"""A transparent init for any command: ``exec -- CMD``.

Forwards signals, reaps orphans, ends with the status of the command, and leaves nothing behind. All signals are blocked
and taken one at a time by ``sigwaitinfo(2)``: none is lost, handlers do not race, and an idle init is never woken.
Nothing heavy is imported, not even :mod:`supervisor.errors`; the statuses are compared with the catalogue by a test.
"""

from __future__ import annotations

import os
import signal
import time

from supervisor.process.execute import NOT_EXECUTABLE, execute
from supervisor.process.inherited import EVERY_SIGNAL, InheritedSignals, restore_environment
from supervisor.process.process_table import processes
from supervisor.process.terminal import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, NoReturn

STOP_TIMEOUT: Final = "SUPERVISOR_STOP_TIMEOUT_S"
DEFAULT_STOP_TIMEOUT_S: Final = 8.0
CONFIG: Final = 78
BUG: Final = 70

_PR_SET_CHILD_SUBREAPER: Final = 36
_LONGEST_WAIT_S: Final = 86_400.0
# How long a process that got SIGKILL may take to go; uninterruptible sleep can last for ever.
_KILL_S: Final = 5.0
_JOB_CONTROL: Final = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_ENDED: Final = os.WEXITED | os.WNOHANG
_STOPPED: Final = os.WSTOPPED | os.WNOHANG
_HALTED: Final = frozenset({os.CLD_STOPPED, os.CLD_TRAPPED})


def run_transparently(argv: list[str], inherited: InheritedSignals) -> int:
    """Run a command as its init, to its end and the end of everything that it leaves behind.

    Args:
        argv: the program and its arguments; not empty.
        inherited: the signals as they were before all of them were blocked.

    Returns:
        The status to exit with: the command's, 128+n when signal n ended it, 126 or 127 when it cannot be run,
        78 when SUPERVISOR_STOP_TIMEOUT_S is not a number of seconds.
    """
    try:
        stop_timeout_s = read_stop_timeout(os.environ)
    except ValueError as error:
        _complain(str(error))
        return CONFIG
    if os.getpid() != 1:
        _become_subreaper()
    group = os.getpgrp()
    try:
        child = os.fork()
    except OSError as error:
        _complain(f"{argv[0]} cannot be started: {error.strerror}")
        return NOT_EXECUTABLE
    if child == 0:
        _run_child(argv, inherited, group)
    # The child does the same: whoever is first, a signal to the group finds it.
    _lead_a_group(child)
    return TransparentInit(child, stop_timeout_s).wait()


def read_stop_timeout(environ: Mapping[str, str]) -> float:
    """Seconds from SIGTERM to SIGKILL, by the same rule as the setting of this name.

    Raises:
        ValueError: it is not a finite number, 0 or more.
    """
    text = environ.get(STOP_TIMEOUT)
    if not text:
        return DEFAULT_STOP_TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{STOP_TIMEOUT} is {text!r}, but must be a number of seconds, 0 or more")
    return seconds


class TransparentInit:
    """Waits for one command and everything that comes of it. All signals must be blocked.

    Args:
        child: pid of the command, the leader of a process group of its own.
        stop_timeout_s: seconds from SIGTERM, or from the command's end, to SIGKILL for all that is left.
    """

    def __init__(self, child: int, stop_timeout_s: float) -> None:
        self._child = child
        self._stop_timeout_s = stop_timeout_s
        self._status: int | None = None
        self._childless = False
        self._deadline: float | None = None
        self._stop_was_forwarded = False
        # SIGTERM from the command's end on, SIGKILL from the deadline on; and who has had the SIGTERM.
        self._ending: signal.Signals | None = None
        self._told: set[int] = set()

    def wait(self) -> int:
        """Forward and reap until no child is left.

        Returns:
            The status to exit with.
        """
        self._reap()
        while not self._childless:
            number = self._next_signal()
            if number is None:
                if self._ending is signal.SIGKILL:
                    break
                self._ending = signal.SIGKILL
                self._deadline = time.monotonic() + _KILL_S
                self._kill_all()
            elif number != signal.SIGCHLD:
                self._forward(number)
            self._reap()
        return 128 + signal.SIGKILL if self._status is None else self._status

    def _next_signal(self) -> int | None:
        """The next signal; None when the deadline has come."""
        if self._deadline is None:
            return signal.sigwaitinfo(EVERY_SIGNAL).si_signo
        while (left := self._deadline - time.monotonic()) > 0:
            info = signal.sigtimedwait(EVERY_SIGNAL, min(left, _LONGEST_WAIT_S))
            if info is not None:
                return info.si_signo
        return None

    def _forward(self, number: int) -> None:
        if self._status is not None:
            for pid in self._adopted():
                _send(pid, number)
            return
        if number == signal.SIGTERM:
            self._end_by_deadline()
        elif number == signal.SIGCONT:
            hand_over(os.getpgrp(), self._child)
        if number in _JOB_CONTROL or number == signal.SIGCONT:
            self._stop_was_forwarded = number != signal.SIGCONT
        _send(-self._child, number)
        if _group(self._child) != self._child:
            _send(self._child, number)

    def _end_by_deadline(self) -> None:
        # The first reason counts: neither a second TERM nor a late end of the command moves it.
        if self._deadline is None:
            self._deadline = time.monotonic() + self._stop_timeout_s

    def _reap(self) -> None:
        """Reap all that has ended, see to what has stopped, and end what the command has left behind."""
        try:
            # WNOWAIT: while the command is a zombie, the id of its group cannot pass to another group.
            while (found := os.waitid(os.P_ALL, 0, _ENDED | _STOPPED | os.WNOWAIT)) is not None:
                if found.si_code in _HALTED:
                    os.waitid(os.P_PID, found.si_pid, _STOPPED)
                    if found.si_pid == self._child:
                        self._stop_with_child(found.si_status)
                    continue
                if found.si_pid == self._child:
                    self._status = found.si_status + (0 if found.si_code == os.CLD_EXITED else 128)
                    self._end_group()
                os.waitid(os.P_PID, found.si_pid, _ENDED)
                self._told.discard(found.si_pid)
        except ChildProcessError:
            self._childless = True
            return
        if self._ending is signal.SIGKILL:
            self._kill_all()
        elif self._ending is not None:
            self._end_adopted()

    def _end_group(self) -> None:
        """The command has ended: take the terminal back, and ask the rest of its group to end, too."""
        hand_over(self._child, os.getpgrp())
        self._end_by_deadline()
        if self._ending is None:
            self._ending = signal.SIGTERM
            self._told.update(pid for pid, _, group in processes() if group == self._child)
            _end(-self._child)

    def _end_adopted(self) -> None:
        """End our children, and by the next turns theirs, which become ours when they are orphaned."""
        for pid in self._adopted():
            if pid not in self._told:
                self._told.add(pid)
                _end(pid)

    def _kill_all(self) -> None:
        """Kill everything below us, by groups first: a process that forks away without end cannot outrun that."""
        own, table = os.getpid(), list(processes())
        ours, grew = {own}, True
        while grew:
            found = {pid for pid, parent, _ in table if parent in ours} - ours
            ours |= found
            grew = bool(found)
        ours.discard(own)
        strangers = {group for pid, _, group in table if pid not in ours}
        for group in {group for pid, _, group in table if pid in ours} - strangers:
            if group > 1:
                _send(-group, signal.SIGKILL)
        for pid in ours:
            _send(pid, signal.SIGKILL)

    def _adopted(self) -> list[int]:
        own = os.getpid()
        return [pid for pid, parent, _ in processes() if parent == own and pid != self._child]

    def _stop_with_child(self, number: int) -> None:
        """The command was stopped from the terminal or by a forwarded signal: stop, too, so that a shell notices."""
        if number not in _JOB_CONTROL or self._deadline is not None or _suspend(self._child):
            return
        if self._stop_was_forwarded:
            # Whoever stopped us by name continues us by name; PID 1 itself cannot be stopped.
            _send(os.getpid(), signal.SIGSTOP)
        elif number == signal.SIGTSTP:
            # No shell is there that could bring it back: alone, it would not have been stopped either.
            _send(-self._child, signal.SIGCONT)


def _suspend(child: int) -> bool:
    """Stop as Ctrl-Z would have stopped us; False when the kernel sees no shell that could continue us.

    The default effect of SIGTSTP is left out for PID 1 and in an orphaned process group (``setpgid(2)``). When we were
    stopped, a SIGCONT is there afterwards, and is forwarded.
    """
    if signal.SIGCONT in signal.sigpending():
        return True
    in_foreground = hand_over(child, os.getpgrp())
    # Ctrl-Z is for the whole job: the others of a pipeline are in our group.
    _send(0 if in_foreground and os.getpid() != 1 else os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    if signal.SIGCONT in signal.sigpending():
        return True
    if in_foreground:
        hand_over(os.getpgrp(), child)
    return False


def _run_child(argv: list[str], inherited: InheritedSignals, parent_group: int) -> NoReturn:
    """After the fork: become the command, in a group of its own, with what we were given."""
    status = BUG
    try:
        os.setpgid(0, 0)
        hand_over(parent_group, os.getpid())
        restore_environment()
        inherited.restore()
        status, message = execute(argv)
        # With SIGPIPE blocked, a closed stderr does not change the status.
        signal.pthread_sigmask(signal.SIG_BLOCK, EVERY_SIGNAL)
        _complain(message)
    finally:
        os._exit(status)


def _complain(message: str) -> None:
    line = "directus-supervisor: " + " ".join(message.splitlines()) + "\n"
    try:
        os.write(2, line.encode("utf-8", "surrogateescape"))
    except OSError:
        return  # stderr is closed


def _end(pid: int) -> None:
    _send(pid, signal.SIGTERM)
    # What is stopped hears nothing but SIGKILL until it is continued.
    _send(pid, signal.SIGCONT)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # it has gone, or belongs to another user


def _lead_a_group(pid: int) -> None:
    try:
        os.setpgid(pid, pid)
    except OSError:
        return  # it has done so itself, and runs its program by now


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return pid


def _become_subreaper() -> None:
    """Have orphans below us handed to us (``PR_SET_CHILD_SUBREAPER``, ``prctl(2)``), as the kernel does for PID 1."""
    import ctypes  # noqa: PLC0415 - PID 1 does without

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
