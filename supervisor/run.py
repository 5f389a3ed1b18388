"""The composition of everything: the boot, the services, the health port and the signals, in one task group."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel

from supervisor.boot import PhaseReport, run_phases
from supervisor.concurrency import one_error
from supervisor.configuration import Configuration
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot
from supervisor.postgres.sqlfile import load_tree
from supervisor.preflight import refuse_taken_port
from supervisor.process.child import ExitStatus
from supervisor.process.init import Init, end_leftovers
from supervisor.process.service import Service, ServiceEnded
from supervisor.process.signals import STOP_SIGNALS, SignalInbox
from supervisor.services import DirectusObserver, directus_service, keep_beside, side_service
from supervisor.state_report import describe_tasks, own_memory_mb

_LEAST_GRACE_S: Final = 0.5
_log = get_log("supervisor")


@dataclass(slots=True)
class Report:
    """What a run came to.

    Attributes:
        phases: the phases that were completed.
        ready_s: seconds from the start of the launch until Directus was ready; None if it never was.
        stopped_by: the signal that ended the run; None when it ended by itself.
        ended_with: the status of a Directus that ended as it may, see ``SUPERVISOR_RESTART_NEVER_STATUSES``.
    """

    phases: tuple[PhaseReport, ...] = ()
    ready_s: float | None = None
    stopped_by: signal.Signals | None = None
    ended_with: ExitStatus | None = None


async def run_supervisor(
    configuration: Configuration, inbox: SignalInbox, *, launch: bool = True, once: bool = False
) -> Report:
    """Boot, then keep Directus running until a signal.

    Args:
        configuration: everything that was configured.
        inbox: where signals arrive; what came before this is heard first.
        launch: False ends after the phases (``migrate``), without a health port.
        once: end as soon as Directus has been ready (``--once``).

    Raises:
        SupervisorError: whatever stopped the boot or ended the service.
    """
    engine = _Engine(configuration, inbox)
    try:
        await engine.run(launch=launch, once=once)
    except BaseException:
        if not engine.lifecycle.ending:
            engine.lifecycle.advance(State.FAILED, "a failure ended the run")
        raise
    return engine.report


class _Engine:
    """One run, from the first phase to the last process."""

    def __init__(self, configuration: Configuration, inbox: SignalInbox) -> None:
        self._configuration = configuration
        self._inbox = inbox
        self._init = Init()
        self._stop = anyio.CancelScope()
        self._at_once = False
        self._directus: Service | None = None
        self._beside: list[Service] = []
        self.lifecycle = Lifecycle(time.monotonic)
        self.lifecycle.on_move(_tell_move)
        self.report = Report()

    async def run(self, *, launch: bool, once: bool) -> None:
        self._init.install()
        self._inbox.listen(asyncio.get_running_loop(), self._on_signal)
        try:
            if launch:
                await self._with_health(once=once)
            else:
                await self._until_stopped(launch=False, once=False)
        finally:
            await end_leftovers(self._init, self._left_of_the_stop_s(), lambda: self._at_once)
            self._init.uninstall()
        self._begin_to_stop("the work is done")
        self.lifecycle.advance(State.STOPPED, self.lifecycle.reason)

    async def _with_health(self, *, once: bool) -> None:
        from supervisor.health.app import make_app  # noqa: PLC0415 - the web server is for `run` alone
        from supervisor.health.server import bind, serving  # noqa: PLC0415

        settings = self._configuration.settings
        with bind(settings.health_host, settings.health_port) as listener:
            async with serving(make_app(self.lifecycle), listener):
                await self._until_stopped(launch=True, once=once)

    async def _until_stopped(self, *, launch: bool, once: bool) -> None:
        configuration = self._configuration
        with self._stop:
            # A signal from before the loop has to be heard before anything is begun.
            await anyio.lowlevel.checkpoint()
            boot = Boot(configuration, load_tree(configuration.settings.sql_dir), self._init)
            self.lifecycle.advance(State.MIGRATING, "the phases run")
            self.report.phases = await run_phases(boot, self.lifecycle)
            if launch:
                refuse_taken_port(configuration.address)
                await self._serve(once=once)

    async def _serve(self, *, once: bool) -> None:
        started = time.monotonic()
        configuration = self._configuration
        observer = DirectusObserver(self.lifecycle, self._stop.cancel)
        self._directus = directus_service(configuration, self._init, observer)
        self._beside = [
            side_service(process, configuration, self._init) for process in configuration.programs.processes
        ]

        def on_move(_before: State, state: State, _reason: str) -> None:
            if state is State.READY and self.report.ready_s is None:
                self.report.ready_s = round(time.monotonic() - started, 3)
                if once:
                    # Not from within the move itself, which has other listeners.
                    asyncio.get_running_loop().call_soon(self._stop_after_once)

        self.lifecycle.on_move(on_move)
        try:
            with one_error():
                async with anyio.create_task_group() as group:
                    for service in self._beside:
                        group.start_soon(keep_beside, service)
                    await self._directus.keep_running()
        except ServiceEnded as ended:
            self.report.ended_with = ended.status
            self._begin_to_stop(f"directus {ended}")

    def _stop_after_once(self) -> None:
        self._begin_to_stop("it has been ready once")
        self._stop.cancel()

    def _left_of_the_stop_s(self) -> float:
        """What the stop of the service has left of the stop timeout, so that the whole stays within the platform's."""
        if self._at_once:
            return 0.0
        settings = self._configuration.settings
        if self.lifecycle.state is not State.STOPPING:
            return settings.stop_timeout_s
        spent_s = time.monotonic() - self.lifecycle.since_s - settings.drain_s
        return max(settings.stop_timeout_s - max(spent_s, 0.0), min(settings.stop_timeout_s, _LEAST_GRACE_S))

    def _begin_to_stop(self, reason: str) -> None:
        if not self.lifecycle.ending:
            self.lifecycle.advance(State.STOPPING, reason)

    def _on_signal(self, number: signal.Signals) -> None:
        if number in STOP_SIGNALS:
            self._on_stop_signal(number)
        elif number == signal.SIGHUP:
            self._on_reload()
        elif number == signal.SIGUSR2:
            forwarded = self._directus is not None and self._directus.forward(number)
            self._tell_signal(number, "forwarded to directus" if forwarded else "ignored: directus does not run")
        else:
            self._tell_signal(number, "the state is logged")
            self._report_state()

    def _on_stop_signal(self, number: signal.Signals) -> None:
        if self.report.stopped_by is not None:
            self._tell_signal(number, "stop at once")
            self._at_once = True
            self._stop.cancel()
            self._init.kill_started()
            self._init.reap()
            return
        drain_s = self._configuration.settings.drain_s if self.lifecycle.state is State.READY else 0.0
        self._tell_signal(number, "stop")
        if number == signal.SIGQUIT:
            self._report_state()
        self.report.stopped_by = number
        self._begin_to_stop(f"{number.name} was received")
        if drain_s:
            _log.emit(events.DRAINING, drain_s=drain_s)
            asyncio.get_running_loop().call_later(drain_s, self._stop.cancel)
        else:
            self._stop.cancel()

    def _on_reload(self) -> None:
        if self._directus is None or self.lifecycle.ending:
            self._tell_signal(signal.SIGHUP, f"ignored: {self.lifecycle.state}, there is nothing to reload")
            return
        self._tell_signal(signal.SIGHUP, "reload: directus is restarted in good order")
        self._directus.reload()

    def _report_state(self) -> None:
        lifecycle = self.lifecycle
        services = [service for service in (self._directus, *self._beside) if service is not None]
        _log.emit(
            events.STATE_REPORT,
            state=lifecycle.state.value,
            reason=lifecycle.reason,
            phase=lifecycle.phase,
            since_s=round(time.monotonic() - lifecycle.since_s, 1),
            processes=[service.facts for service in services],
            memory_mb=own_memory_mb(),
            tasks=describe_tasks(),
        )

    def _tell_signal(self, number: signal.Signals, action: str) -> None:
        _log.emit(events.SIGNAL_RECEIVED, signal=number.name, action=action)


def _tell_move(before: State, state: State, reason: str) -> None:
    _log.emit(events.STATE_CHANGED, before=before.value, state=state.value, reason=reason)
