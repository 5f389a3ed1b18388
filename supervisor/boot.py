"""Runs the phases in order, under the lock, and times them. The only place of the engine that knows the phases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import structlog

from phases import PHASES
from supervisor.directus.fast_path import keep_record
from supervisor.errors import BUG, SupervisorError
from supervisor.lifecycle import Lifecycle
from supervisor.lineage.guard import ReleaseGuard
from supervisor.logs import events
from supervisor.logs.setup import get_log, redactor
from supervisor.phase import Boot, Outcome, Phase, Settled
from supervisor.postgres.connect import connection_lost, lost, reset_session
from supervisor.postgres.history import PastPhase, boot_record, remember_boot
from supervisor.postgres.lock import migration_lock
from supervisor.steps import with_steps

_CLOSE_S = 2.0
_LONGEST_WORDS = 500
_log = get_log("boot")


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What one phase did and how long it took, in seconds."""

    name: str
    outcome: Outcome
    duration_s: float


async def run_phases(boot: Boot, lifecycle: Lifecycle, phases: Sequence[Phase] = PHASES) -> tuple[PhaseReport, ...]:
    """Run the phases in order; those that are to be locked share one hold of the migration lock.

    The lock is not taken at all when none of them has anything to do: otherwise replicas that start at once would
    wait for one another only to find that.

    A cancellation rolls back the running transaction, ends the running child, and frees the lock.

    Args:
        boot: what the phases share.
        lifecycle: is told which phase runs.
        phases: the phases; the real ones unless a test hands in its own.

    Raises:
        SupervisorError: as the failed phase raised it.
    """
    started, started_at = time.monotonic(), datetime.now(UTC)
    everything = with_steps(phases, boot.configuration.programs.steps)
    names = [phase.name for phase in everything]
    _log.emit(events.BOOT_STARTED, database=boot.configuration.target.label, phases=names)
    reports: list[PhaseReport] = []
    try:
        async with AsyncExitStack() as stack:
            remember = partial(_remember, boot, started_at, started, reports)
            try:
                locked = await _run_all(everything, boot, lifecycle, reports, stack)
            except (Exception, anyio.get_cancelled_exc_class()) as error:
                running = next((name for name in names[len(reports) :]), "")
                # A stop that comes now must not take a failure's place, and one that came has its place, too.
                with anyio.move_on_after(_CLOSE_S, shield=True):
                    await remember(ended=_account(error, lifecycle, lifecycle.phase or running))
                raise
            # Where an apply was sealed the tables are there, or a warning has said why not.
            await remember(may_make=locked and boot.seal is None)
    finally:
        await _close(boot)
    # What fails from here on is no phase's failure.
    lifecycle.phase, lifecycle.reason = None, "the phases are done"
    _log.emit(events.BOOT_FINISHED, duration_s=_since(started))
    return tuple(reports)


async def _run_all(
    phases: Sequence[Phase], boot: Boot, lifecycle: Lifecycle, reports: list[PhaseReport], stack: AsyncExitStack
) -> bool:
    """Run the phases, and fill `reports`; returns whether the migration lock was taken, which `stack` then frees."""
    settings = boot.configuration.settings
    to_lock = tuple(phase for phase in phases if phase.locked)
    settled: dict[str, PhaseReport] | None = None
    for phase in phases:
        if phase.locked and settled is None:
            boot.release = await ReleaseGuard.look(boot.connection, boot.configuration, boot.sql)
            settled = {} if boot.release.has_to_write else await _look_at_all(to_lock, boot, lifecycle)
            if not settled:
                lifecycle.phase, lifecycle.reason = "migration_lock", "waiting for the migration lock"
                boot.lock = await stack.enter_async_context(
                    migration_lock(boot.connection, settings.lock_timeout_s, boot.configuration.target)
                )
                # Another replica may have brought the database on meanwhile.
                await boot.release.claim(boot.connection)
            boot.release.tell()
        report = settled.get(phase.name) if settled else None
        try:
            reports.append(report or await _run_phase(phase, boot, lifecycle))
        except SupervisorError as error:
            if boot.release is not None and all(each.outcome.result != "changed" for each in reports):
                await boot.release.withdraw(boot.connection, error.failure)
            raise
    if boot.release is not None and settled == {}:
        await boot.release.finish(boot.connection)
    if boot.seal is not None:
        await keep_record(boot.connection, boot.configuration, boot.sql, boot.seal)
    return settled == {}


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a boot ended that did not come to its end.

    Attributes:
        code: of the failure; "stopped" for a stop.
        phase: the phase that ran.
        outcome: "failed" or "stopped".
        words: what there is to tell.
    """

    code: str
    phase: str
    outcome: str
    words: str


def _account(error: BaseException, lifecycle: Lifecycle, phase: str) -> _Ended:
    # A failure that comes of a stop, as when a platform ends our children too, is none.
    if lifecycle.ending or not isinstance(error, Exception):
        return _Ended("stopped", phase, "stopped", lifecycle.reason if lifecycle.ending else "the run was cancelled")
    code = (error.failure if isinstance(error, SupervisorError) else BUG).code
    return _Ended(code, phase, "failed", redactor.text(str(error))[:_LONGEST_WORDS])


async def _remember(
    boot: Boot,
    started_at: datetime,
    started: float,
    reports: Sequence[PhaseReport],
    *,
    ended: _Ended | None = None,
    may_make: bool = False,
) -> None:
    """Add this boot to the history, where its session still lives."""
    if not boot.connected or boot.connection.is_closed():
        return
    phases = [PastPhase(each.name, each.outcome.result, each.outcome.summary, each.duration_s) for each in reports]
    if ended is not None:
        spent_s = _since(started) - sum(each.duration_s for each in reports)
        phases.append(PastPhase(ended.phase, ended.outcome, ended.words, round(max(spent_s, 0.0), 3)))
        with suppress(Exception), anyio.move_on_after(_CLOSE_S):
            # A cancelled statement leaves its transaction open, and a SQL file may have become another role.
            await boot.connection.execute("ROLLBACK")
            await reset_session(boot.connection)
    version = boot.configuration.installation.version
    failure = ended.code if ended is not None else None
    record = boot_record(started_at, _since(started), version, failure, phases)
    await remember_boot(boot.connection, record, may_make=may_make)


async def _look_at_all(phases: Sequence[Phase], boot: Boot, lifecycle: Lifecycle) -> dict[str, PhaseReport]:
    """The reports of the phases when none of them has anything to do; none when one has."""
    found: list[tuple[PhaseReport, Settled]] = []
    for phase in phases:
        if (left_out := _left_out(phase, boot)) is not None:
            found.append((PhaseReport(phase.name, left_out, 0.0), Settled(left_out)))
            continue
        if phase.look is None:
            return {}
        lifecycle.phase, lifecycle.reason = phase.name, "looking whether anything is to be done"
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(phase=phase.name), _told_when_failed(phase.name, started):
            settled = await phase.look(boot)
        if settled is None:
            return {}
        found.append((PhaseReport(phase.name, settled.outcome, _since(started)), settled))
    for report, settled in found:
        with structlog.contextvars.bound_contextvars(phase=report.name):
            settled.say()
            _tell_finished(report)
    return {report.name: report for report, _ in found}


async def _run_phase(phase: Phase, boot: Boot, lifecycle: Lifecycle) -> PhaseReport:
    lifecycle.phase, lifecycle.reason = phase.name, "running"
    started = time.monotonic()
    with structlog.contextvars.bound_contextvars(phase=phase.name):
        _log.emit(events.PHASE_STARTED)
        with _told_when_failed(phase.name, started):
            outcome = _left_out(phase, boot) or await phase.run(boot)
        report = PhaseReport(phase.name, outcome, _since(started))
        _tell_finished(report)
    return report


def _left_out(phase: Phase, boot: Boot) -> Outcome | None:
    """The outcome of a phase that leaves alone what a newer release has brought on; None for all others."""
    if not phase.yields or boot.release is None or not boot.release.held:
        return None
    return Outcome("skipped", boot.release.account)


@contextmanager
def _told_when_failed(name: str, started: float) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _log.emit(events.PHASE_FAILED, duration_s=_since(started))
        if not isinstance(error, SupervisorError) and lost(error):
            raise connection_lost(f"phase {name}", error) from error
        raise


def _tell_finished(report: PhaseReport) -> None:
    outcome = report.outcome
    _log.emit(events.PHASE_FINISHED, outcome=outcome.result, summary=outcome.summary, duration_s=report.duration_s)


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
