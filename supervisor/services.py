"""What runs once the phases are done: Directus, and the side processes of the configuration, as services."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.lowlevel

from supervisor import errors
from supervisor.configuration import Configuration
from supervisor.directus.commands import OutputLog
from supervisor.directus.explain import explain
from supervisor.directus.ping import ping
from supervisor.errors import SupervisorError
from supervisor.incidents.reporter import Reporter
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.child import ChildSpec
from supervisor.process.ending import Ending
from supervisor.process.init import Init
from supervisor.process.restart import RestartPolicy
from supervisor.process.service import Readiness, Service, ServiceEnded, ServiceSpec
from supervisor.process.watch import Watch
from supervisor.programs import SideProcess
from supervisor.settings import Settings

DIRECTUS: Final = "directus"
_PROBE_S: Final = 2.0
_ALIVE_S: Final = 5.0
_HTTP_OK: Final = 200
_log = get_log("process")


class DirectusObserver:
    """Moves the lifecycle as Directus comes and goes.

    Args:
        lifecycle: what is moved; left alone once the supervisor is on its way out.
        on_down: called when Directus ends while it is on its way out, as nothing is left to drain then.
        reporter: is told of each end that nobody asked for.
    """

    def __init__(self, lifecycle: Lifecycle, on_down: Callable[[], None], reporter: Reporter) -> None:
        self._lifecycle = lifecycle
        self._on_down = on_down
        self._reporter = reporter

    def launching(self) -> None:
        """Directus is being started."""
        if not self._lifecycle.ending:
            self._lifecycle.advance(State.LAUNCHING, "directus is starting")

    def ready(self) -> None:
        """Directus accepts requests."""
        if not self._lifecycle.ending:
            self._lifecycle.advance(State.READY, "directus is ready")

    def down(self, why: str) -> None:
        """Directus accepts no requests any more."""
        if self._lifecycle.ending:
            self._on_down()
        else:
            self._lifecycle.advance(State.RESTARTING, f"directus {why}")

    def died(self, ending: Ending) -> None:
        """It came to an end that nobody asked for."""
        if not self._lifecycle.ending:
            self._reporter.died(ending)


class SideObserver:
    """Of a side process nothing but its incidents is told.

    Args:
        lifecycle: once it is on its way out, the end of a side process is none.
        reporter: is told of each end that nobody asked for.
    """

    def __init__(self, lifecycle: Lifecycle, reporter: Reporter) -> None:
        self._lifecycle = lifecycle
        self._reporter = reporter

    def launching(self) -> None:
        """It is being started."""

    def ready(self) -> None:
        """It has no readiness."""

    def down(self, why: str) -> None:
        """It ended."""

    def died(self, ending: Ending) -> None:
        """It came to an end that nobody asked for."""
        if not self._lifecycle.ending:
            self._reporter.died(ending)

    def given_up(self, process: str, error: SupervisorError) -> None:
        """It is not started again."""
        if not self._lifecycle.ending:
            self._reporter.given_up(process, error)


def directus_service(configuration: Configuration, init: Init, observer: DirectusObserver) -> Service:
    """Directus, or the command in its place."""
    settings = configuration.settings
    output = OutputLog(DIRECTUS, DIRECTUS)

    async def is_ready() -> bool:
        return await ping(configuration.address, _PROBE_S) == _HTTP_OK

    async def is_alive() -> bool:
        # 429 and 503 come from its limiters: a busy Directus, not a hanging one.
        return await ping(configuration.address, _ALIVE_S) is not None

    spec = ServiceSpec(
        child=ChildSpec(
            name=DIRECTUS,
            argv=settings.command or configuration.installation.command("start"),
            environment=configuration.child_environment,
            cwd=configuration.installation.directory,
            stop_timeout_s=settings.stop_timeout_s,
            consume=output.consume,
        ),
        policy=policy_of(settings),
        readiness=Readiness(timeout_s=settings.ready_timeout_s, probe=is_ready),
        watch=Watch(
            interval_s=settings.watch_interval_s,
            alive=is_alive,
            answer_s=_ALIVE_S,
            # Where the system chose the port, nobody knows where to ask.
            failures=settings.watch_failures if configuration.address.known else 0,
            memory_limit_mb=settings.memory_limit_mb,
        ),
        output=output,
        explain=lambda: explain_early_death(output),
    )
    return Service(spec, init, observer)


def side_service(
    process: SideProcess,
    configuration: Configuration,
    init: Init,
    observer: SideObserver,
    stop_limit_s: Callable[[], float],
) -> Service:
    """One side process; it runs in Directus' folder and environment unless it says otherwise.

    Args:
        process: what to run.
        configuration: the settings, which its own overrides replace.
        init: starts and reaps it.
        observer: is told of its moves.
        stop_limit_s: what the stop has left of its time once it is this one's turn.
    """
    settings = dataclasses.replace(configuration.settings, **process.overrides)  # type: ignore[arg-type]
    output = OutputLog(process.name, "side")
    directory = configuration.installation.directory
    spec = ServiceSpec(
        child=ChildSpec(
            name=process.name,
            argv=process.command,
            environment={**configuration.child_environment, **process.environment},
            cwd=directory / process.directory if process.directory else directory,
            stop_timeout_s=settings.stop_timeout_s,
            stop_limit_s=stop_limit_s,
            consume=output.consume,
        ),
        policy=policy_of(settings),
        output=output,
    )
    return Service(spec, init, observer)


@asynccontextmanager
async def kept_beside(services: Sequence[Service], observer: SideObserver) -> AsyncIterator[None]:
    """Keep side processes running: started in order before what the context runs, and stopped after it has ended."""
    scopes = [anyio.CancelScope(shield=True) for _ in services]
    async with anyio.create_task_group() as group:
        for service, scope in zip(services, scopes, strict=True):
            group.start_soon(_keep_beside, service, observer, scope)
        try:
            # Each task starts its process before it waits for anything.
            await anyio.lowlevel.checkpoint()
            yield
        finally:
            for scope in scopes:
                scope.cancel()


async def _keep_beside(service: Service, observer: SideObserver, scope: anyio.CancelScope) -> None:
    """Keep one running; when it is given up, that is said, and everything else goes on."""
    with scope:
        try:
            await service.keep_running()
        except SupervisorError as error:
            observer.given_up(service.name, error)
            _log.emit(events.PROCESS_GIVEN_UP, process=service.name, message=error.message, remedy=error.remedy)
        except ServiceEnded as ended:
            _log.emit(events.PROCESS_GIVEN_UP, level="info", process=service.name, message=f"{service.name} {ended}")


def policy_of(settings: Settings) -> RestartPolicy:
    """The restart policy that the settings describe."""
    return RestartPolicy(
        backoff_s=settings.restart_backoff_s,
        factor=settings.restart_backoff_factor,
        backoff_max_s=settings.restart_backoff_max_s,
        jitter=settings.restart_jitter,
        stable_s=settings.restart_stable_s,
        limit=settings.restart_limit,
        window_s=settings.restart_window_s,
        never=settings.restart_never_statuses,
        fatal=settings.restart_fatal_statuses,
    )


def explain_early_death(output: OutputLog) -> SupervisorError | None:
    """The failure of a Directus that was never ready, when its last error tells that no restart can mend it."""
    explanation = explain(output.last_errors)
    if explanation is None:
        return None
    return SupervisorError(
        errors.DIRECTUS_MISCONFIGURED,
        f"Directus cannot start: {explanation.cause}",
        remedy=explanation.remedy,
        last_lines=list(output.last_lines),
    )
