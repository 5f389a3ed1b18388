"""One child process: started in a group of its own, its output copied, ended in bounded time whatever happens."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import anyio

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log, redactor, sink
from supervisor.process.execute import NOT_FOUND, explain
from supervisor.process.init import Init, is_zombie
from supervisor.process.ipc import NodeChannel
from supervisor.process.output import Batch, OutputReader
from supervisor.process.process_table import processes

Stream = Literal["stdout", "stderr"]

# How long the pipe of a dead child is read on while some orphan of it holds the other end.
_DRAIN_S: Final = 0.5
_KILL_S: Final = 5.0
# What is lacking says nothing of the program, and may be there again in a moment: fork(2), pipe(2), execve(2).
_EXHAUSTED: Final = {
    errno.EAGAIN: "the limit of processes: pids of the container, or ulimit -u",
    errno.ENOMEM: "the memory of the container",
    errno.EMFILE: "the supervisor's own file descriptors, ulimit -n",
    errno.ENFILE: "the machine's file descriptors",
}
_log = get_log("process")


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: with an exit code, or by a signal."""

    code: int | None
    signal: int | None

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """Read what ``waitpid(2)`` returned."""
        if os.WIFSIGNALED(status):
            return cls(None, os.WTERMSIG(status))
        return cls(os.waitstatus_to_exitcode(status), None)

    @property
    def shell_code(self) -> int:
        """The status as a shell gives it: the code, or 128 and the signal's number."""
        return 128 + self.signal if self.signal is not None else int(self.code or 0)

    @property
    def facts(self) -> dict[str, Any]:
        """The fields for a log line about the process."""
        return {"signal": _name_of(self.signal)} if self.signal is not None else {"exit_code": self.code}

    @property
    def as_childs(self) -> dict[str, Any]:
        """The same for a line that also has an `exit_code` of our own."""
        return {"signal": _name_of(self.signal)} if self.signal is not None else {"exit_status": self.code}

    def __str__(self) -> str:
        return f"signal {_name_of(self.signal)}" if self.signal is not None else f"status {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run.

    Attributes:
        name: what the log calls it.
        argv: program and arguments; nothing is interpreted by a shell.
        environment: the whole environment of the child.
        cwd: its working directory.
        stop_timeout_s: seconds from SIGTERM to SIGKILL.
        stop_limit_s: what the whole stop has left of its time when this one is asked to stop.
        consume: called with the lines that it writes, its stream and its pid.
        on_message: called with each message on its Node channel; without it the child gets no channel.
        ends: whether it is a step that is to end by itself, with success.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    stop_timeout_s: float
    consume: Callable[[Stream, int, Batch], None]
    on_message: Callable[[object], None] | None = None
    ends: bool = False
    stop_limit_s: Callable[[], float] = lambda: math.inf


class Child:
    """A running child; made by :func:`running`."""

    def __init__(self, spec: ChildSpec, init: Init) -> None:
        self._spec = spec
        self._init = init
        self._channel = _channel_of(spec)
        self._copies: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self.started_s = time.monotonic()
        self.asked_to_stop = False
        self._ended = False
        self._spawn()

    def _spawn(self) -> None:
        spec, channel = self._spec, self._channel
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is the operator's own
                spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=spec.cwd,
                env={**spec.environment, **(channel.environment if channel else {})},
                pass_fds=(channel.child_descriptor,) if channel else (),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            if channel is not None:
                channel.close()
            raise _cannot_start(spec, error) from None
        finally:
            if channel is not None:
                channel.close_child_end()
        self.pid = process.pid
        self._exited = self._init.watch(process.pid)
        # The init reaps it; this keeps Popen from trying, and from warning, when it is collected.
        process.returncode = 0
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None  # noqa: S101 - both were asked for
            self._copy(name, os.dup(pipe.fileno()))  # type: ignore[arg-type]
            pipe.close()
        if channel is not None and spec.on_message is not None:
            self._copies.append(asyncio.ensure_future(channel.receive(spec.on_message)))

    def _copy(self, stream: Stream, descriptor: int) -> None:
        reader = OutputReader(descriptor, partial(self._spec.consume, stream, self.pid), sink, self._turn, redactor)
        self._copies.append(asyncio.ensure_future(reader.copy()))

    def send(self, message: object) -> None:
        """Send one message on the Node channel."""
        if self._channel is not None:
            self._channel.send(message)

    @property
    def running(self) -> bool:
        """Whether the process itself (not its descendants) still runs."""
        return not self._exited.done()

    async def wait(self) -> ExitStatus:
        """Wait for the process itself to end."""
        return ExitStatus.from_wait(await asyncio.shield(self._exited))

    def signal_group(self, number: signal.Signals) -> bool:
        """Send a signal to the whole process group; says whether anybody was there to get it."""
        if self._ended:
            # The id of a group that is gone may have passed to another one.
            return False
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            # Some member changed its user; the others got the signal.
            return True
        return True

    async def stop(self) -> ExitStatus | None:
        """End the whole process group: SIGTERM, and SIGKILL once the stop timeout is over or the init is hurried.

        Returns:
            How the process itself ended; None when not even SIGKILL could end it, as in uninterruptible sleep.
        """
        name = self._spec.name
        timeout_s = min(self._spec.stop_timeout_s, self._spec.stop_limit_s())
        if self.running:
            self.asked_to_stop = True
            if not self._init.hurried:
                _log.emit(events.PROCESS_STOPPING, process=name, pid=self.pid, timeout_s=timeout_s)
        if not self._group_gone() and not self._init.hurried:
            self.signal_group(signal.SIGTERM)
            # What is stopped hears nothing but SIGKILL until it is continued.
            self.signal_group(signal.SIGCONT)
            with anyio.move_on_after(timeout_s):
                await self._init.until(lambda: self._init.hurried or self._group_gone())
        if not self._group_gone():
            pids = self._members()
            self.signal_group(signal.SIGKILL)
            reason = "the stop was hurried" if self._init.hurried else f"still there {timeout_s:g} s after SIGTERM"
            _log.emit(events.PROCESS_KILLED, process=name, pids=pids, reason=reason)
            with anyio.move_on_after(_KILL_S):
                await self._init.until(self._group_gone)
        if stuck := [] if self._group_gone() else self._members():
            self._init.give_up(stuck)
            _log.emit(events.PROCESS_STUCK, process=name, pids=stuck)
        if self.running and self.pid in stuck:
            return None
        status = await self.wait()
        self._ended = True
        return status

    def _group_gone(self) -> bool:
        if self.running:
            return False
        if not self._group_exists():
            return True
        seen = [(pid, parent) for pid, parent, group in processes() if group == self.pid]
        # A zombie of ours may be all that is seen of a process that forks and ends all the time; one that its own
        # parent does not reap keeps the group for ever, and nothing can be done about it.
        return bool(seen) and all(is_zombie(pid) and parent != os.getpid() for pid, parent in seen)

    def _members(self) -> list[int]:
        """Pids of the living members of the group, as far as they are seen, and of the process until it is reaped."""
        living = {pid for pid, _, group in processes() if group == self.pid and not is_zombie(pid)}
        return sorted(living | ({self.pid} if self.running else set()))

    def _group_exists(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    async def finish_output(self) -> None:
        """Copy what the dead child has written; bounded, since an orphan may hold its pipes open for ever."""
        if not self._copies:
            return
        _, pending = await asyncio.wait(self._copies, timeout=_DRAIN_S)
        for copy in pending:
            copy.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)
        self._copies.clear()


@asynccontextmanager
async def running(spec: ChildSpec, init: Init) -> AsyncIterator[Child]:
    """Run a child for the duration of the context; however it is left, the group is ended and its output complete.

    Raises:
        SupervisorError: ``process.not_found``, ``process.not_executable`` or ``process.not_started`` when it cannot be
            started.
    """
    child = Child(spec, init)
    try:
        yield child
    finally:
        with anyio.CancelScope(shield=True):
            status = await child.stop()
            ended_s = time.monotonic()
            await child.finish_output()
            if status is not None:
                _log.emit(
                    events.PROCESS_EXITED,
                    process=spec.name,
                    pid=child.pid,
                    **status.facts,
                    uptime_s=round(ended_s - child.started_s, 3),
                    expected=child.asked_to_stop or (spec.ends and status.shell_code == 0),
                )


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Of the real-time signals only the first and the last one have a name.
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _channel_of(spec: ChildSpec) -> NodeChannel | None:
    if spec.on_message is None:
        return None
    try:
        return NodeChannel()
    except OSError as error:
        raise _cannot_start(spec, error) from None


def _cannot_start(spec: ChildSpec, error: OSError) -> SupervisorError:
    program, name = spec.argv[0], spec.name
    if error.errno in _EXHAUSTED:
        reason = f"{os.strerror(error.errno)} ({_EXHAUSTED[error.errno]})"
        message = f"{name}: {program} cannot be started: {reason}"
        return SupervisorError(errors.COMMAND_NOT_STARTED, message, process=name, reason=reason)
    if not spec.cwd.is_dir():
        reason = f"{name}: the working directory {spec.cwd} does not exist"
        return SupervisorError(errors.COMMAND_NOT_FOUND, reason, process=name)
    searched = spec.environment.get("PATH", os.defpath)
    path = str(spec.cwd / program) if "/" in program else shutil.which(program, os.F_OK, searched)
    if path is None:
        reason = f"{name}: {program} is not in any folder of PATH ({searched})"
        return SupervisorError(errors.COMMAND_NOT_FOUND, reason, process=name)
    if error.errno in {errno.ENOENT, errno.ENOTDIR} and not os.path.lexists(path):
        return SupervisorError(errors.COMMAND_NOT_FOUND, f"{name}: {program} does not exist", process=name)
    status, reason = explain(path, error.errno or errno.EINVAL)
    failure = errors.COMMAND_NOT_FOUND if status == NOT_FOUND else errors.COMMAND_NOT_EXECUTABLE
    return SupervisorError(failure, f"{name}: {reason}", process=name)
