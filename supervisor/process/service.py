"""Keeping one process running: start it, learn that it is ready, and start it again as the policy says."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import anyio

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import Child, ChildSpec, running
from supervisor.process.init import Init
from supervisor.process.last_words import last_words
from supervisor.process.restart import Death, GiveUp, RestartPolicy, decide

# The HTTP probe is only the fallback for a process that does not speak on its channel.
_PROBE_EVERY_S: Final = 1.0
_log = get_log("process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that is to run all the time.

    Attributes:
        spec: how it is started; its `on_message` is taken by the service.
        policy: whether and when it is restarted.
        ready_timeout_s: seconds from its start until it must be ready.
        probe: asks it over the network whether it is ready.
        last_lines: the end of its output, for the account of a failure.
    """

    spec: ChildSpec
    policy: RestartPolicy
    ready_timeout_s: float
    probe: Callable[[], Awaitable[bool]]
    last_lines: Callable[[], tuple[str, ...]]


async def keep_running(service: Service, init: Init, lifecycle: Lifecycle) -> None:
    """Run the service until this is cancelled, which ends the process.

    Raises:
        SupervisorError: ``directus.crash_loop`` when the budget of restarts is spent.
    """
    deaths: list[Death] = []
    name = service.spec.name
    while True:
        lifecycle.advance(State.LAUNCHING, f"{name} is starting")
        death, how = await _live_once(service, init, lifecycle)
        deaths = [*deaths, death][-1000:]
        match decide(service.policy, deaths, random.random()):  # noqa: S311 - jitter, not a secret
            case GiveUp(count, span_s):
                raise _crash_loop(service, count, span_s, how)
            case restart:
                count = sum(death.ended_s - past.ended_s <= service.policy.window_s for past in deaths)
                _log.emit(
                    events.PROCESS_RESTARTING,
                    process=name,
                    reason=how,
                    delay_s=round(restart.delay_s, 3),
                    restart=count,
                    limit=service.policy.limit,
                )
                await anyio.sleep(restart.delay_s)


async def _live_once(service: Service, init: Init, lifecycle: Lifecycle) -> tuple[Death, str]:
    """One life of the process, and half a sentence on how it ended."""
    name = service.spec.name
    said_ready = anyio.Event()

    def on_message(message: object) -> None:
        if message == "ready":
            said_ready.set()

    async with running(replace(service.spec, on_message=on_message), init) as child:
        _log.emit(events.PROCESS_STARTED, process=name, pid=child.pid, command=list(service.spec.argv))
        status = None
        how_ready = await _first_ready(service, child, said_ready)
        if how_ready is not None:
            after_s = round(time.monotonic() - child.started_s, 3)
            _log.emit(events.PROCESS_READY, process=name, pid=child.pid, after_s=after_s, how=how_ready)
            lifecycle.advance(State.READY, f"{name} is ready")
        elif child.running:
            _log.emit(events.PROCESS_NOT_READY, process=name, pid=child.pid, timeout_s=service.ready_timeout_s)
        if how_ready is not None or not child.running:
            status = await child.wait()
        ending = f"ended with {status}" if status else f"was not ready within {service.ready_timeout_s:g} s"
        # Not ready from this moment on, also while what is left of its group is being ended.
        lifecycle.advance(State.RESTARTING, f"{name} {ending}")
    return Death(child.started_s, time.monotonic()), ending


async def _first_ready(service: Service, child: Child, said_ready: anyio.Event) -> str | None:
    """Wait until the process is ready and say how that is known; None when it ended or took too long."""
    how: str | None = None
    with anyio.move_on_after(service.ready_timeout_s):
        async with anyio.create_task_group() as group:

            async def by_message() -> None:
                nonlocal how
                await said_ready.wait()
                how = "message"
                group.cancel_scope.cancel()

            async def by_probe() -> None:
                nonlocal how
                while True:
                    await anyio.sleep(_PROBE_EVERY_S)
                    if await service.probe():
                        how = how or "probe"
                        group.cancel_scope.cancel()

            async def by_end() -> None:
                await child.wait()
                group.cancel_scope.cancel()

            group.start_soon(by_message)
            group.start_soon(by_probe)
            group.start_soon(by_end)
    return how if child.running else None


def _crash_loop(service: Service, count: int, span_s: float, how: str) -> SupervisorError:
    lines = service.last_lines()
    words = last_words(lines)
    last = f"; its last words: {words}" if words else ""
    return SupervisorError(
        errors.CRASH_LOOP,
        f"{service.spec.name} ended {count} times within {span_s:.0f} s, at last it {how}{last}",
        deaths=count,
        last_lines=list(lines),
    )
