"""Keeping one process running: start it, learn that it is ready, watch it, and start it again as the policy says."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import anyio
import anyio.lowlevel

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, ExitStatus, running
from supervisor.process.ending import RELOAD, Ending, Trouble, trouble_of
from supervisor.process.first import MESSAGE, PROBE, Wait, after_event, after_exit, after_probe, first
from supervisor.process.init import Init
from supervisor.process.last_words import last_words
from supervisor.process.memory import resident_mb
from supervisor.process.oom import OomCounter
from supervisor.process.restart import Death, EndService, GiveUp, Restart, RestartPolicy, decide, relevant
from supervisor.process.watch import Watch, watch_process

_log = get_log("process")


class Observer(Protocol):
    """Who is told of a service's moves; its methods must not raise."""

    def launching(self) -> None:
        """It is being started."""

    def ready(self) -> None:
        """It accepts requests."""

    def down(self, why: str) -> None:
        """It does not accept requests any more; `why` is half a sentence."""

    def died(self, ending: Ending) -> None:
        """It came to an end that nobody asked for, and is going to be started again."""


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
class _Life:
    """One life of a process that came to an end nobody asked for."""

    death: Death
    trouble: Trouble
    status: ExitStatus | None


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
            life = await self._live_once()
            # A stop that was asked for meanwhile goes before all that this end would bring.
            await anyio.lowlevel.checkpoint()
            if life is None:
                fields = {"process": self.name, "reason": RELOAD.why, "cause": RELOAD.cause, "oom": False}
                _log.emit(events.PROCESS_RESTARTING, level="info", **fields, delay_s=0.0)
                continue
            deaths = relevant(self._spec.policy, [*deaths, life.death])
            await self._after(life, deaths)

    async def _after(self, life: _Life, deaths: list[Death]) -> None:
        policy, status, trouble = self._spec.policy, life.status, life.trouble
        code = status.shell_code if status is not None else None
        ending = Ending(
            process=self.name,
            trouble=trouble,
            status=status,
            uptime_s=life.death.uptime_s,
            restarts=self.restarts,
            last_lines=tuple(self._spec.output.last_lines),
        )
        decision = decide(policy, deaths, code, random.random())  # noqa: S311 - jitter, not a secret
        if isinstance(decision, EndService) and status is not None:
            raise ServiceEnded(status)
        # One that was ready before had all that it needs; one killed by a signal did not end for what it wrote.
        if not self._was_ready and status is not None and status.code:
            explained = self._spec.explain()
            if explained is not None:
                explained.facts = {**ending.facts, **explained.facts}
                raise explained
        match decision:
            case GiveUp(count, span_s):
                raise _crash_loop(ending, count, span_s, fatal=code in policy.fatal)
            case Restart(delay_s):
                self._observer.died(ending)
                self.restarts += 1
                now = life.death.ended_s
                _log.emit(
                    events.PROCESS_RESTARTING,
                    process=self.name,
                    reason=trouble.why,
                    cause=trouble.cause,
                    oom=ending.oom,
                    delay_s=round(delay_s, 3),
                    restart=sum(now - past.ended_s <= policy.window_s for past in deaths),
                    limit=policy.limit,
                )
                # A reload that came since the death counts: the event is that of the life which is over.
                with anyio.move_on_after(delay_s):
                    await self._reload.wait()

    async def _live_once(self) -> _Life | None:
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
        began_s = time.monotonic()
        status = None
        try:
            async with self._spec.start(spec, self._init) as self._child:
                child = self._child
                _log.emit(events.PROCESS_STARTED, process=self.name, pid=child.pid, command=list(spec.argv))
                trouble = await self._until_ready(child, readiness, said_ready) if readiness is not None else None
                if trouble is None and child.running:
                    trouble = await self._until_trouble(child)
                if trouble is None:
                    status = await child.wait()
                    oom = status.signal == signal.SIGKILL and self._oom_rose(oom_before)
                    trouble = trouble_of(status, oom=oom)
                # Not ready from this moment on, also while what is left of its group is being ended.
                self._observer.down(trouble.why)
        except SupervisorError as error:
            if error.failure is not errors.COMMAND_NOT_STARTED:
                raise
            trouble = Trouble("not_started", f"could not be started: {error.facts['reason']}")
            self._observer.down(trouble.why)
        # One that died right after its word may have been seen dead first.
        self._was_ready |= said_ready.is_set()
        if trouble is RELOAD:
            return None
        return _Life(Death(began_s, time.monotonic()), trouble, status)

    async def _until_ready(self, child: Child, readiness: Readiness, said_ready: anyio.Event) -> Trouble | None:
        """Wait until the process is ready; why it has to be ended, or None when it is ready or has ended."""
        how: Trouble | str | None = None
        with anyio.move_on_after(readiness.timeout_s):
            waits: list[Wait[Trouble | str]] = [
                after_event(said_ready, MESSAGE),
                after_probe(readiness.probe),
                after_exit(child),
                after_event(self._reload, RELOAD),
            ]
            how = await first(*waits)
        # While we ourselves were stopped time went by, and what it said was not heard.
        if how is None and await readiness.probe():
            how = PROBE
        if isinstance(how, Trouble):
            return how
        if not child.running:
            return None
        if how is None:
            timeout_s = readiness.timeout_s
            _log.emit(events.PROCESS_NOT_READY, process=self.name, pid=child.pid, timeout_s=timeout_s)
            return Trouble("not_ready", f"was not ready within {timeout_s:g} s")
        after_s = round(time.monotonic() - child.started_s, 3)
        _log.emit(events.PROCESS_READY, process=self.name, pid=child.pid, after_s=after_s, how=how)
        self._was_ready = True
        self._observer.ready()
        return None

    async def _until_trouble(self, child: Child) -> Trouble | None:
        """Wait until the process ends (None) or has to be ended (why)."""
        waits: list[Wait[Trouble | str]] = [after_exit(child), after_event(self._reload, RELOAD)]
        if self._spec.watch is not None and not self._spec.watch.idle:
            waits.append(partial(watch_process, self.name, child.pid, self._spec.watch))
        what = await first(*waits)
        return what if isinstance(what, Trouble) else None

    def _oom_rose(self, before: int | None) -> bool:
        after = self._oom.read()
        return before is not None and after is not None and after > before


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _crash_loop(ending: Ending, count: int, span_s: float, *, fatal: bool) -> SupervisorError:
    words = last_words(ending.last_lines)
    last = f"; its last words: {words}" if words else ""
    verdict = ", which SUPERVISOR_RESTART_FATAL_STATUSES names" if fatal else ""
    times = "once" if count == 1 else f"{count} times"
    return SupervisorError(
        errors.CRASH_LOOP,
        f"{ending.process} ended {times} within {_seconds(span_s)}, at last it {ending.trouble.why}{verdict}{last}",
        **ending.facts,
        deaths=count,
        cause=ending.trouble.cause,
        **({"last_status": str(ending.status)} if ending.status is not None else {}),
    )
