"""What each signal does to a run; the table is in ``docs/signals.md``."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Final

import anyio

from supervisor.lifecycle import Lifecycle, State
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.process.init import Init
from supervisor.process.service import Service
from supervisor.process.signals import STOP_SIGNALS
from supervisor.settings import Settings
from supervisor.state_report import describe_tasks, own_memory_mb

# However long the stop of Directus took, what it left behind may heed SIGTERM for so long.
_LEAST_GRACE_S: Final = 0.5
_log = get_log("supervisor")


class SignalActions:
    """Takes the signals of one run, and ends it.

    Args:
        lifecycle: tells what a signal means right now, and is moved by a stop.
        init: is hurried by a second stop signal.
        settings: the drain and the stop timeout.

    Attributes:
        work: what a stop cancels.
        stopped_by: the first stop signal that came.
        directus: Directus as a service, once the phases are done.
        beside: the side processes.
    """

    def __init__(self, lifecycle: Lifecycle, init: Init, settings: Settings) -> None:
        self._lifecycle = lifecycle
        self._init = init
        self._settings = settings
        self._end_began_s: float | None = None
        self.work = anyio.CancelScope()
        self.stopped_by: signal.Signals | None = None
        self.directus: Service | None = None
        self.beside: tuple[Service, ...] = ()

    def take(self, number: signal.Signals) -> None:
        """Do what a signal asks for."""
        if number in STOP_SIGNALS:
            self._stop(number)
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR2:
            forwarded = self.directus is not None and self.directus.forward(number)
            _tell(number, "forwarded to directus" if forwarded else "ignored: directus does not run")
        else:
            _tell(number, "the state is logged")
            self._report_state()

    def end_work(self) -> None:
        """End the phases or the services; what remains to be done is to end processes."""
        if self._end_began_s is None:
            self._end_began_s = time.monotonic()
        self.work.cancel()

    def begin_to_stop(self, reason: str) -> None:
        """Not ready from now on."""
        if not self._lifecycle.ending:
            self._lifecycle.advance(State.STOPPING, reason)

    @property
    def grace_left_s(self) -> float:
        """What the stop of the services has left of the stop timeout, so that the whole stays within the platform's."""
        timeout_s = self._settings.stop_timeout_s
        spent_s = time.monotonic() - self._end_began_s if self._end_began_s is not None else 0.0
        return max(timeout_s - spent_s, min(timeout_s, _LEAST_GRACE_S))

    def _stop(self, number: signal.Signals) -> None:
        if self.stopped_by is not None:
            _tell(number, "stop at once")
            self._init.hurry()
            self.end_work()
            return
        drain_s = self._settings.drain_s if self._lifecycle.state is State.READY else 0.0
        _tell(number, "stop")
        if number == signal.SIGQUIT:
            self._report_state()
        self.stopped_by = number
        self.begin_to_stop(f"{number.name} was received")
        if drain_s:
            _log.emit(events.DRAINING, drain_s=drain_s)
            asyncio.get_running_loop().call_later(drain_s, self.end_work)
        else:
            self.end_work()

    def _reload(self) -> None:
        if self.directus is None or self._lifecycle.ending:
            _tell(signal.SIGHUP, f"ignored: {self._lifecycle.state}, there is nothing to reload")
            return
        _tell(signal.SIGHUP, "reload: directus is restarted in good order")
        self.directus.reload()

    def _report_state(self) -> None:
        lifecycle = self._lifecycle
        services = [service for service in (self.directus, *self.beside) if service is not None]
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


def _tell(number: signal.Signals, action: str) -> None:
    _log.emit(events.SIGNAL_RECEIVED, signal=number.name, action=action)
