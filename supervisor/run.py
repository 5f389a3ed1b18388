"""The composition of everything: the boot, the service, the health port and the signals, in one task group."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import time
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel

from supervisor import errors
from supervisor.boot import PhaseReport, run_phases
from supervisor.concurrency import one_error
from supervisor.configuration import Configuration
from supervisor.directus.commands import OutputLog
from supervisor.directus.ping import Address, ping
from supervisor.errors import SupervisorError
from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot
from supervisor.postgres.sqlfile import load_tree
from supervisor.process.child import ChildSpec
from supervisor.process.init import Init, end_leftovers
from supervisor.process.restart import RestartPolicy
from supervisor.process.service import Service, keep_running
from supervisor.process.signals import STOP_SIGNALS, SignalInbox

_PING_S: Final = 2.0
_HTTP_OK: Final = 200
_LEAST_GRACE_S: Final = 0.5
_log = get_log("supervisor")


@dataclass(slots=True)
class Report:
    """What a run came to.

    Attributes:
        phases: the phases that were completed.
        ready_s: seconds from the start of the launch until Directus was ready; None if it never was.
        stopped_by: the signal that ended the run; None when it ended by itself.
    """

    phases: tuple[PhaseReport, ...] = ()
    ready_s: float | None = None
    stopped_by: signal.Signals | None = None


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
        settings = self._configuration.settings
        with self._stop:
            # A signal from before the loop has to be heard before anything is begun.
            await anyio.lowlevel.checkpoint()
            boot = Boot(self._configuration, load_tree(settings.sql_dir), self._init)
            self.lifecycle.advance(State.MIGRATING, "the phases run")
            self.report.phases = await run_phases(boot, self.lifecycle)
            if launch:
                refuse_taken_port(self._configuration.address)
                await self._serve(once=once)

    async def _serve(self, *, once: bool) -> None:
        started = time.monotonic()
        service = make_service(self._configuration)
        with one_error():
            async with anyio.create_task_group() as group:

                def on_move(_before: State, state: State, _reason: str) -> None:
                    if state is State.READY and self.report.ready_s is None:
                        self.report.ready_s = round(time.monotonic() - started, 3)
                        if once:
                            self._begin_to_stop("it has been ready once")
                            group.cancel_scope.cancel()

                # The listener must not move the lifecycle while it is moving.
                loop = asyncio.get_running_loop()

                def on_move_soon(*move: *tuple[State, State, str]) -> None:
                    loop.call_soon(on_move, *move)

                self.lifecycle.on_move(on_move_soon)
                group.start_soon(keep_running, service, self._init, self.lifecycle)

    def _left_of_the_stop_s(self) -> float:
        """What the stop of the service has left of the stop timeout, so that the whole stays within the platform's."""
        stop_timeout_s = self._configuration.settings.stop_timeout_s
        if self.lifecycle.state is not State.STOPPING:
            return stop_timeout_s
        spent_s = time.monotonic() - self.lifecycle.since_s
        return max(stop_timeout_s - spent_s, min(stop_timeout_s, _LEAST_GRACE_S))

    def _begin_to_stop(self, reason: str) -> None:
        if not self.lifecycle.ending:
            self.lifecycle.advance(State.STOPPING, reason)

    def _on_signal(self, number: signal.Signals) -> None:
        if number in STOP_SIGNALS and self.report.stopped_by is None:
            _log.emit(events.SIGNAL_RECEIVED, signal=number.name, action="stop")
            self.report.stopped_by = number
            self._begin_to_stop(f"{number.name} was received")
            self._stop.cancel()
        elif number in STOP_SIGNALS:
            _log.emit(events.SIGNAL_RECEIVED, signal=number.name, action="stop at once")
            self._at_once = True
            self._init.kill_started()
            self._init.reap()
        else:
            _log.emit(
                events.SIGNAL_RECEIVED,
                signal=number.name,
                action="log the state",
                state=self.lifecycle.state.value,
                reason=self.lifecycle.reason,
                phase=self.lifecycle.phase,
            )


def _tell_move(before: State, state: State, reason: str) -> None:
    _log.emit(events.STATE_CHANGED, before=before.value, state=state.value, reason=reason)


def make_service(configuration: Configuration) -> Service:
    """Directus (or the command in its place) as a service."""
    settings = configuration.settings
    output = OutputLog("directus", get_log("directus"))
    spec = ChildSpec(
        name="directus",
        argv=settings.command or configuration.installation.command("start"),
        environment=configuration.child_environment,
        cwd=configuration.installation.directory,
        stop_timeout_s=settings.stop_timeout_s,
        consume=output.consume,
    )
    policy = RestartPolicy(
        backoff_s=settings.restart_backoff_s,
        factor=settings.restart_backoff_factor,
        backoff_max_s=settings.restart_backoff_max_s,
        jitter=settings.restart_jitter,
        stable_s=settings.restart_stable_s,
        limit=settings.restart_limit,
        window_s=settings.restart_window_s,
    )

    async def probe() -> bool:
        return await ping(configuration.address, _PING_S) == _HTTP_OK

    return Service(
        spec=spec,
        policy=policy,
        ready_timeout_s=settings.ready_timeout_s,
        probe=probe,
        last_lines=lambda: tuple(output.last_lines),
    )


def refuse_taken_port(address: Address) -> None:
    """Look whether Directus will be able to listen, since its own failure would be repeated by every restart.

    Raises:
        SupervisorError: ``directus.port_taken``.
    """
    if address.socket is not None or address.port == 0:
        return
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SupervisorError(
                errors.PORT_TAKEN, f"Directus is to listen on {address} (HOST, PORT), which is in use"
            ) from None
        # Any other trouble with the address Directus itself explains best.
