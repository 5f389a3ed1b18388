"""The composition of everything: the boot, the services, the health port and the signals, in one task group."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from supervisor.boot import PhaseReport, run_phases
from supervisor.concurrency import one_error
from supervisor.configuration import Configuration
from supervisor.errors import SupervisorError
from supervisor.incidents.reporter import Reporter
from supervisor.launch import Launch
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot
from supervisor.postgres.sqlfile import load_tree
from supervisor.preflight import refuse_taken_port
from supervisor.process.child import ExitStatus
from supervisor.process.init import Init, end_leftovers
from supervisor.process.service import ServiceEnded
from supervisor.process.signals import SignalInbox
from supervisor.services import DirectusObserver, SideObserver, directus_service, kept_beside, side_service
from supervisor.signal_actions import SignalActions

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
    configuration: Configuration,
    inbox: SignalInbox,
    directus: Launch,
    reporter: Reporter,
    *,
    launch: bool = True,
    once: bool = False,
) -> Report:
    """Boot, then keep Directus running until a signal.

    Args:
        configuration: everything that was configured.
        inbox: where signals arrive; what came before this is heard first.
        directus: how Directus is started; it may have been, ahead of time.
        reporter: is told of every incident.
        launch: False ends after the phases (``migrate``), without a health port.
        once: end as soon as Directus has been ready (``--once``).

    Raises:
        SupervisorError: whatever stopped the boot or ended the service.
    """
    engine = _Engine(configuration, inbox, directus, reporter)
    try:
        await engine.run(launch=launch, once=once)
    except BaseException:
        if not engine.lifecycle.ending:
            engine.lifecycle.advance(State.FAILED, "a failure ended the run")
        raise
    return engine.report


class _Engine:
    """One run, from the first phase to the last process."""

    def __init__(self, configuration: Configuration, inbox: SignalInbox, directus: Launch, reporter: Reporter) -> None:
        self._configuration = configuration
        self._reporter = reporter
        self._inbox = inbox
        self._directus = directus
        self._init = Init()
        self.lifecycle = Lifecycle(time.monotonic)
        self.lifecycle.on_move(_tell_move)
        self._signals = SignalActions(self.lifecycle, self._init, configuration.settings)
        self._stable: asyncio.TimerHandle | None = None
        self.report = Report()

    async def run(self, *, launch: bool, once: bool) -> None:
        await self._directus.adopt(self._init)
        self._init.install()
        self._inbox.listen(asyncio.get_running_loop(), self._signals.take)
        try:
            async with self._directus:
                if launch:
                    await self._with_health(once=once)
                else:
                    await self._until_stopped(launch=False, once=False)
        finally:
            await end_leftovers(self._init, self._signals.grace_left_s)
            self._init.uninstall()
        self._signals.begin_to_stop("the work is done")
        self.report.stopped_by = self._signals.stopped_by
        self.lifecycle.advance(State.STOPPED, self.lifecycle.reason)

    async def _with_health(self, *, once: bool) -> None:
        from supervisor.health.front import answering  # noqa: PLC0415 - the health port is for `run` alone

        async with answering(self._configuration, self.lifecycle, self._reload):
            await self._until_stopped(launch=True, once=once)

    def _reload(self) -> bool:
        if self._signals.directus is None or self.lifecycle.ending:
            return False
        self._signals.directus.reload()
        return True

    async def _until_stopped(self, *, launch: bool, once: bool) -> None:
        with self._signals.work:
            try:
                # A signal from before the loop has to be heard before anything is begun.
                await anyio.lowlevel.checkpoint()
                await self._work(launch=launch, once=once)
            except SupervisorError as error:
                if await self._tell(error):
                    raise
                _log.emit(events.STOP_OUTRAN_FAILURE, code=error.failure.code, message=error.message)

    async def _tell(self, error: SupervisorError) -> bool:
        """Tell of a failure that ends the run, once; says whether it was told."""
        if self._reporter.has_told_of(error):
            return True
        if self._signals.stopped_by is not None:
            # It comes of the stop, as when a platform ends our children too, or the next start meets it again.
            return False
        await self._reporter.failed(error, phase=self.lifecycle.phase)
        return True

    async def _work(self, *, launch: bool, once: bool) -> None:
        configuration = self._configuration
        sql = load_tree(configuration.settings.sql_dir)
        self._reporter.with_sql(sql)
        boot = Boot(configuration, sql, self._init, self._directus.make_room)
        self.lifecycle.advance(State.MIGRATING, "the phases run")
        self.report.phases = await run_phases(boot, self.lifecycle)
        if launch:
            refuse_taken_port(configuration.address)
            self.lifecycle.on_move(self._judge_boot)
            await self._serve(once=once)
        else:
            self._reporter.good()

    def _judge_boot(self, _before: State, state: State, _reason: str) -> None:
        """A boot was good once Directus has been ready for as long as makes it stable, or was until it was to stop."""
        if state is State.READY:
            stable_s = self._configuration.settings.restart_stable_s
            self._stable = asyncio.get_running_loop().call_later(stable_s, self._reporter.good)
        elif self._stable is not None:
            self._stable.cancel()
            self._stable = None
            if state is State.STOPPING:
                self._reporter.good()

    async def _serve(self, *, once: bool) -> None:
        started = time.monotonic()
        configuration = self._configuration
        observer = DirectusObserver(self.lifecycle, self._signals.end_work, self._reporter)
        beside_observer = SideObserver(self.lifecycle, self._reporter)
        directus = directus_service(configuration, self._init, observer, self._directus)
        beside = tuple(
            side_service(process, configuration, self._init, beside_observer, lambda: self._signals.grace_left_s)
            for process in configuration.programs.processes
        )
        self._signals.directus, self._signals.beside = directus, beside

        def on_move(_before: State, state: State, _reason: str) -> None:
            if state is State.READY and self.report.ready_s is None:
                self.report.ready_s = round(time.monotonic() - started, 3)
                if once:
                    # Not from within the move itself, which has other listeners.
                    asyncio.get_running_loop().call_soon(self._stop_after_once)

        self.lifecycle.on_move(on_move)
        try:
            with one_error():
                async with kept_beside(beside, beside_observer):
                    try:
                        await directus.keep_running()
                    except SupervisorError as error:
                        # The end of the side processes may take as long as a stop, and a stop may come meanwhile.
                        await self._tell(error)
                        raise
        except ServiceEnded as ended:
            if self._signals.stopped_by is None:
                self.report.ended_with = ended.status
            self._signals.begin_to_stop(f"directus {ended}")

    def _stop_after_once(self) -> None:
        self._signals.begin_to_stop("it has been ready once")
        self._signals.end_work()


def _tell_move(before: State, state: State, reason: str) -> None:
    _log.emit(events.STATE_CHANGED, before=before.value, state=state.value, reason=reason)
