"""Keeping one process running: start it, learn that it is ready, watch it, and start it again as the policy says."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import anyio
import anyio.lowlevel

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, ExitStatus, running
from supervisor.process.first import EXIT, MESSAGE, PROBE, after_event, after_exit, after_probe, first
from supervisor.process.init import Init
from supervisor.process.last_words import last_words
from supervisor.process.memory import resident_mb
from supervisor.process.oom import OomCounter
from supervisor.process.restart import Death, EndService, GiveUp, Restart, RestartPolicy, decide, relevant
from supervisor.process.watch import Watch, watch_process

_RELOAD: Final = "is reloaded"
_log = get_log("process")


class Observer(Protocol):
    """Who is told of a service's moves; its methods must not raise."""

    def launching(self) -> None:
        """It is being started."""

    def ready(self) -> None:
        """It accepts requests."""

    def down(self, why: str) -> None:
        """It does not accept requests any more; `why` is half a sentence."""


class Output(Protocol):
    """What a service has written."""

    @property
    def last_lines(self) -> Sequence[str]:
        """The last lines, in order."""

    def forget(self) -> None:
        """A new life begins, which has written nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How it is known that a service is ready.

    Attributes:
        timeout_s: seconds from its start until it must be.
        probe: asks it over the network.
    """

    timeout_s: float
    probe: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A process that is to run all the time.

    Attributes:
        child: how it is started; its `on_message` is taken by the service.
        start: starts it, and ends it with the context.
        policy: whether and when it is restarted.
        readiness: how it becomes ready; without it, it is by being started.
        watch: what it is watched for once it is ready.
        output: the end of what it has written in this life, for the account of a failure.
        explain: the failure that no restart can mend, as its output tells it, for one that was never ready.
    """

    child: ChildSpec
    start: Callable[[ChildSpec, Init], AbstractAsyncContextManager[Child]] = running
    policy: RestartPolicy
    readiness: Readiness | None = None
    watch: Watch | None = None
    output: Output
    explain: Callable[[], SupervisorError | None] = field(default=lambda: None)


class ServiceEnded(Exception):  # noqa: N818 - an end that the policy asks for, not an error
    """The service ended with a status after which it is not to be restarted.

    Args:
        status: how it ended.
    """

    def __init__(self, status: ExitStatus) -> None:
        super().__init__(f"ended with {status}, which is not restarted")
        self.status = status


@dataclass(frozen=True, slots=True)
class _Ending:
    """How one life ended: by itself with a status, or by us for a reason."""

    death: Death
    why: str
    status: ExitStatus | None
    oom: bool = False


class Service:
    """Keeps one process running until it is cancelled.

    Args:
        spec: what to keep running.
        init: starts and reaps it.
        observer: is told of its moves.
    """

    def __init__(self, spec: ServiceSpec, init: Init, observer: Observer) -> None:
        self._spec = spec
        self._init = init
        self._observer = observer
        self._oom = OomCounter()
        self._reload = anyio.Event()
        self._child: Child | None = None
        self._was_ready = False
        self.restarts = 0

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self._spec.child.name

    def reload(self) -> None:
        """Stop the process in good order and start it again, at once and outside the policy."""
        self._reload.set()

    def forward(self, number: signal.Signals) -> bool:
        """Send a signal to its process group; says whether there was one."""
        return self._child is not None and self._child.signal_group(number)

    @property
    def facts(self) -> dict[str, object]:
        """What a dump of the state says of it."""
        child = self._child
        facts: dict[str, object] = {"process": self.name, "restarts": self.restarts}
        if child is not None and child.running:
            facts |= {
                "pid": child.pid,
                "uptime_s": round(time.monotonic() - child.started_s, 1),
                "memory_mb": round(resident_mb(child.pid), 1),
            }
        return facts

    async def keep_running(self) -> None:
        """Run the process until this is cancelled, which ends it.

        Raises:
            SupervisorError: ``directus.crash_loop`` when the budget of restarts is spent or the status is fatal, or
                what the spec's `explain` makes of a process that failed and was never ready.
            ServiceEnded: it ended with a status after which it is not to be restarted.
        """
        deaths: list[Death] = []
        while True:
            self._observer.launching()
            ending = await self._live_once()
            # A stop that was asked for meanwhile goes before all that this end would bring.
            await anyio.lowlevel.checkpoint()
            if ending is None:
                continue
            deaths = relevant(self._spec.policy, [*deaths, ending.death])
            await self._after(ending, deaths)

    async def _after(self, ending: _Ending, deaths: list[Death]) -> None:
        policy = self._spec.policy
        code = ending.status.shell_code if ending.status is not None else None
        decision = decide(policy, deaths, code, random.random())  # noqa: S311 - jitter, not a secret
        if isinstance(decision, EndService) and ending.status is not None:
            raise ServiceEnded(ending.status)
        # One that was ready before had all that it needs; one killed by a signal did not end for what it wrote.
        if not self._was_ready and ending.status is not None and ending.status.code:
            explained = self._spec.explain()
            if explained is not None:
                raise explained
        match decision:
            case GiveUp(count, span_s):
                raise self._crash_loop(count, span_s, ending, fatal=code in policy.fatal)
            case Restart(delay_s):
                self.restarts += 1
                now = ending.death.ended_s
                _log.emit(
                    events.PROCESS_RESTARTING,
                    process=self.name,
                    reason=ending.why,
                    oom=ending.oom,
                    delay_s=round(delay_s, 3),
                    restart=sum(now - past.ended_s <= policy.window_s for past in deaths),
                    limit=policy.limit,
                )
                self._reload = anyio.Event()
                with anyio.move_on_after(delay_s):
                    await self._reload.wait()

    async def _live_once(self) -> _Ending | None:
        """One life of the process; None when it was ended to be started again at once."""
        said_ready = anyio.Event()

        def on_message(message: object) -> None:
            if message == "ready":
                said_ready.set()

        oom_before = self._oom.read()
        self._spec.output.forget()
        self._reload = anyio.Event()
        readiness = self._spec.readiness
        spec = replace(self._spec.child, on_message=on_message) if readiness is not None else self._spec.child
        async with self._spec.start(spec, self._init) as self._child:
            child = self._child
            _log.emit(events.PROCESS_STARTED, process=self.name, pid=child.pid, command=list(spec.argv))
            why = await self._until_ready(child, readiness, said_ready) if readiness is not None else None
            if why is None and child.running:
                why = await self._until_trouble(child)
            status = None if why is not None else await child.wait()
            oom = status is not None and status.signal == signal.SIGKILL and self._oom_rose(oom_before)
            if status is not None:
                why = f"ended with {status}" + (", killed by the kernel for want of memory" if oom else "")
            # Not ready from this moment on, also while what is left of its group is being ended.
            self._observer.down(str(why))
        if why == _RELOAD:
            return None
        return _Ending(Death(child.started_s, time.monotonic()), str(why), status, oom)

    async def _until_ready(self, child: Child, readiness: Readiness, said_ready: anyio.Event) -> str | None:
        """Wait until the process is ready; why it has to be ended, or None when it is ready or has ended."""
        how = None
        with anyio.move_on_after(readiness.timeout_s):
            how = await first(
                after_event(said_ready, MESSAGE),
                after_probe(readiness.probe),
                after_exit(child),
                after_event(self._reload, _RELOAD),
            )
        # While we ourselves were stopped time went by, and what it said was not heard.
        if how is None and await readiness.probe():
            how = PROBE
        if how == _RELOAD:
            return _RELOAD
        if not child.running:
            return None
        if how is None:
            timeout_s = readiness.timeout_s
            _log.emit(events.PROCESS_NOT_READY, process=self.name, pid=child.pid, timeout_s=timeout_s)
            return f"was not ready within {timeout_s:g} s"
        after_s = round(time.monotonic() - child.started_s, 3)
        _log.emit(events.PROCESS_READY, process=self.name, pid=child.pid, after_s=after_s, how=how)
        self._was_ready = True
        self._observer.ready()
        return None

    async def _until_trouble(self, child: Child) -> str | None:
        """Wait until the process ends (None) or has to be ended (why)."""
        waits = [after_exit(child), after_event(self._reload, _RELOAD)]
        if self._spec.watch is not None and not self._spec.watch.idle:
            waits.append(partial(watch_process, self.name, child.pid, self._spec.watch))
        what = await first(*waits)
        return None if what == EXIT else what

    def _oom_rose(self, before: int | None) -> bool:
        after = self._oom.read()
        return before is not None and after is not None and after > before

    def _crash_loop(self, count: int, span_s: float, ending: _Ending, *, fatal: bool) -> SupervisorError:
        lines = self._spec.output.last_lines
        words = last_words(lines)
        last = f"; its last words: {words}" if words else ""
        verdict = ", which SUPERVISOR_RESTART_FATAL_STATUSES names" if fatal else ""
        times = "once" if count == 1 else f"{count} times"
        return SupervisorError(
            errors.CRASH_LOOP,
            f"{self.name} ended {times} within {span_s:.0f} s, at last it {ending.why}{verdict}{last}",
            deaths=count,
            oom=ending.oom,
            last_lines=list(lines),
            **({"last_status": str(ending.status)} if ending.status is not None else {}),
        )
