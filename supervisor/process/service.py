"""Keeping one process running: start it, learn that it is ready, watch it, and start it again as the policy says."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import anyio

from supervisor import errors
from supervisor.concurrency import one_error
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, ExitStatus, running
from supervisor.process.init import Init
from supervisor.process.last_words import last_words
from supervisor.process.memory import resident_mb
from supervisor.process.oom import OomCounter
from supervisor.process.restart import Death, EndService, GiveUp, Restart, RestartPolicy, decide

# The HTTP probe is only the fallback for a process that does not speak on its channel.
_PROBE_EVERY_S: Final = 1.0
_log = get_log("process")


class Observer(Protocol):
    """Who is told of a service's moves; its methods must not raise."""

    def launching(self) -> None:
        """It is being started."""

    def ready(self) -> None:
        """It accepts requests."""

    def down(self, why: str) -> None:
        """It does not accept requests any more; `why` is half a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a running service is watched for.

    Attributes:
        interval_s: seconds between two looks.
        alive: asks whether it answers at all.
        failures: so many failed looks in a row mean that it hangs; 0 never asks.
        memory_limit_mb: resident memory of it and its descendants above which it is restarted; 0 is no limit.
    """

    interval_s: float
    alive: Callable[[], Awaitable[bool]]
    failures: int
    memory_limit_mb: float

    @property
    def idle(self) -> bool:
        """Whether there is nothing to watch."""
        return self.failures == 0 and self.memory_limit_mb == 0


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
        policy: whether and when it is restarted.
        readiness: how it becomes ready; without it, it is by being started.
        watch: what it is watched for once it is ready.
        last_lines: the end of its output, for the account of a failure.
        explain: given these lines, the failure that no restart can mend, for one that was never ready.
    """

    child: ChildSpec
    policy: RestartPolicy
    readiness: Readiness | None = None
    watch: Watch | None = None
    last_lines: Callable[[], tuple[str, ...]]
    explain: Callable[[tuple[str, ...]], SupervisorError | None] = field(default=lambda _: None)


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
                what the spec's `explain` makes of a process that was never ready.
            ServiceEnded: it ended with a status after which it is not to be restarted.
        """
        deaths: list[Death] = []
        while True:
            self._observer.launching()
            ending = await self._live_once()
            if ending is None:
                continue
            now = ending.death.ended_s
            # Older ones decide nothing any more, but the last stable life, which ends a series.
            deaths = [*(past for past in deaths if now - past.ended_s <= self._spec.policy.window_s), ending.death]
            await self._after(ending, deaths)

    async def _after(self, ending: _Ending, deaths: list[Death]) -> None:
        policy = self._spec.policy
        code = ending.status.shell_code if ending.status is not None else None
        if not self._was_ready and ending.status is not None:
            explained = self._spec.explain(self._spec.last_lines())
            if explained is not None:
                raise explained
        match decide(policy, deaths, code, random.random()):  # noqa: S311 - jitter, not a secret
            case GiveUp(count, span_s):
                raise self._crash_loop(count, span_s, ending)
            case EndService() if ending.status is not None:
                raise ServiceEnded(ending.status)
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
                await anyio.sleep(delay_s)

    async def _live_once(self) -> _Ending | None:
        """One life of the process; None when it was ended to be started again at once."""
        said_ready = anyio.Event()

        def on_message(message: object) -> None:
            if message == "ready":
                said_ready.set()

        oom_before = self._oom.read()
        self._reload = anyio.Event()
        readiness = self._spec.readiness
        spec = replace(self._spec.child, on_message=on_message) if readiness is not None else self._spec.child
        async with running(spec, self._init) as self._child:
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
        with anyio.move_on_after(readiness.timeout_s):
            how = await _first(
                _after_event(said_ready, "message"),
                _after_probe(readiness.probe),
                _after_exit(child),
                _after_event(self._reload, _RELOAD),
            )
            if how == _RELOAD:
                return _RELOAD
            if child.running:
                after_s = round(time.monotonic() - child.started_s, 3)
                _log.emit(events.PROCESS_READY, process=self.name, pid=child.pid, after_s=after_s, how=how)
                self._was_ready = True
                self._observer.ready()
            return None
        timeout_s = readiness.timeout_s
        _log.emit(events.PROCESS_NOT_READY, process=self.name, pid=child.pid, timeout_s=timeout_s)
        return f"was not ready within {timeout_s:g} s"

    async def _until_trouble(self, child: Child) -> str | None:
        """Wait until the process ends (None) or has to be ended (why)."""
        waits = [_after_exit(child), _after_event(self._reload, _RELOAD)]
        if self._spec.watch is not None and not self._spec.watch.idle:
            waits.append(partial(self._watch, child, self._spec.watch))
        what = await _first(*waits)
        return None if what == _EXIT else what

    async def _watch(self, child: Child, watch: Watch) -> str:
        failed = 0
        while True:
            await anyio.sleep(watch.interval_s)
            if watch.failures:
                failed = 0 if await watch.alive() else failed + 1
                if failed:
                    _log.emit(
                        events.PROCESS_SILENT, process=self.name, pid=child.pid, failed=failed, limit=watch.failures
                    )
                if failed >= watch.failures:
                    return f"hangs: it did not answer {failed} times in a row"
            if watch.memory_limit_mb:
                memory_mb = resident_mb(child.pid)
                if memory_mb > watch.memory_limit_mb:
                    return f"uses {memory_mb:.0f} MB, more than the limit of {watch.memory_limit_mb:g} MB"

    def _oom_rose(self, before: int | None) -> bool:
        after = self._oom.read()
        return before is not None and after is not None and after > before

    def _crash_loop(self, count: int, span_s: float, ending: _Ending) -> SupervisorError:
        lines = self._spec.last_lines()
        words = last_words(lines)
        last = f"; its last words: {words}" if words else ""
        times = "once" if count == 1 else f"{count} times"
        return SupervisorError(
            errors.CRASH_LOOP,
            f"{self.name} ended {times} within {span_s:.0f} s, at last it {ending.why}{last}",
            deaths=count,
            oom=ending.oom,
            last_lines=list(lines),
            **({"last_status": str(ending.status)} if ending.status is not None else {}),
        )


_EXIT: Final = "exit"
_RELOAD: Final = "is reloaded"
_Wait = Callable[[], Awaitable[str]]


async def _first(*waits: _Wait) -> str:
    """The answer of the first of these to be done; the others are cancelled."""
    answers: list[str] = []
    with one_error():
        async with anyio.create_task_group() as group:

            async def run(wait: _Wait) -> None:
                answers.append(await wait())
                group.cancel_scope.cancel()

            for wait in waits:
                group.start_soon(run, wait)
    return answers[0]


def _after_event(event: anyio.Event, answer: str) -> _Wait:
    async def wait() -> str:
        await event.wait()
        return answer

    return wait


def _after_exit(child: Child) -> _Wait:
    async def wait() -> str:
        await child.wait()
        return _EXIT

    return wait


def _after_probe(probe: Callable[[], Awaitable[bool]]) -> _Wait:
    async def wait() -> str:
        while True:
            await anyio.sleep(_PROBE_EVERY_S)
            if await probe():
                return "probe"

    return wait
