"""Runs the phases in order, under the lock, and times them. The only place of the engine that knows the phases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
import structlog

from phases import PHASES
from supervisor.errors import SupervisorError
from supervisor.lifecycle import Lifecycle
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Phase
from supervisor.postgres.connect import connection_lost, lost
from supervisor.postgres.lock import migration_lock
from supervisor.steps import with_steps

_CLOSE_S = 2.0
_log = get_log("boot")


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What one phase did and how long it took, in seconds."""

    name: str
    outcome: Outcome
    duration_s: float


async def run_phases(boot: Boot, lifecycle: Lifecycle, phases: Sequence[Phase] = PHASES) -> tuple[PhaseReport, ...]:
    """Run the phases in order; those that are to be locked share one hold of the migration lock.

    A cancellation rolls back the running transaction, ends the running child, and frees the lock.

    Args:
        boot: what the phases share.
        lifecycle: is told which phase runs.
        phases: the phases; the real ones unless a test hands in its own.

    Raises:
        SupervisorError: as the failed phase raised it.
    """
    started = time.monotonic()
    settings = boot.configuration.settings
    _log.emit(events.BOOT_STARTED, database=boot.configuration.target.label)
    reports: list[PhaseReport] = []
    try:
        async with AsyncExitStack() as stack:
            locked = False
            for phase in with_steps(phases, boot.configuration.programs.steps):
                if phase.locked and not locked:
                    lifecycle.phase, lifecycle.reason = "migration_lock", "waiting for the migration lock"
                    boot.lock = await stack.enter_async_context(
                        migration_lock(boot.connection, settings.lock_timeout_s)
                    )
                    locked = True
                reports.append(await _run_phase(phase, boot, lifecycle))
    finally:
        await _close(boot)
    _log.emit(events.BOOT_FINISHED, duration_s=_since(started))
    return tuple(reports)


async def _run_phase(phase: Phase, boot: Boot, lifecycle: Lifecycle) -> PhaseReport:
    lifecycle.phase, lifecycle.reason = phase.name, "running"
    started = time.monotonic()
    with structlog.contextvars.bound_contextvars(phase=phase.name):
        _log.emit(events.PHASE_STARTED)
        try:
            outcome = await phase.run(boot)
        except Exception as error:
            _log.emit(events.PHASE_FAILED, duration_s=_since(started))
            if not isinstance(error, SupervisorError) and lost(error):
                raise connection_lost(f"phase {phase.name}", error) from error
            raise
        _log.emit(events.PHASE_FINISHED, outcome=outcome.result, summary=outcome.summary, duration_s=_since(started))
    return PhaseReport(phase.name, outcome, _since(started))


async def _close(boot: Boot) -> None:
    """End the session politely, or by force when the server does not answer: the server rolls back either way."""
    if not boot.connected:
        return
    with anyio.CancelScope(shield=True):
        try:
            await boot.connection.close(timeout=_CLOSE_S)
        except Exception:  # noqa: BLE001 - whatever close() stumbles over, the socket is shut
            boot.connection.terminate()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
