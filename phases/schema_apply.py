"""Phase 4: the tables that Directus manages, brought to the snapshot without ever dropping what holds data."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import to_thread

from supervisor.directus.apply import apply_snapshot
from supervisor.directus.fast_path import Inputs, Seal, judge, read_inputs
from supervisor.directus.snapshot import read_snapshot
from supervisor.directus.snapshot_check import check_snapshot
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.phase import Boot, Outcome, Result, Settled

_log = get_log("schema")


async def look(boot: Boot) -> Settled | None:
    """See whether everything is as the last good apply left it, without asking Directus.

    Raises:
        SupervisorError: ``schema.snapshot_invalid`` when the file cannot be read.
    """
    seen = await _look(boot)
    return seen.settled if isinstance(seen, _Unneeded) else None


async def run(boot: Boot) -> Outcome:
    """Apply the snapshot as far as ``SUPERVISOR_SCHEMA_MODE`` lets it, and prove by the database that it is there.

    Raises:
        SupervisorError: ``schema.snapshot_invalid``, ``schema.destructive_change``, ``schema.apply_failed``.
    """
    seen = await _look(boot)
    if isinstance(seen, _Unneeded):
        # What SQL files add in this boot, and a snapshot cannot hold, is no reason to ask in the next one.
        boot.seal = seen.seal
        return seen.settled.outcome
    _log.emit(events.SCHEMA_ASKED, reason=seen.reason)
    configuration = boot.configuration
    # It takes up to two seconds, in which signals are to be heard.
    await to_thread.run_sync(
        check_snapshot,
        seen.snapshot,
        configuration.settings.snapshot,
        configuration.installation.version,
        abandon_on_cancel=True,
    )
    applied = await apply_snapshot(configuration, boot.worker, boot.lock, boot.sql)
    # It was the last step of Directus; SQL files may take long.
    await boot.worker.end()
    if applied.complete and applied.sealed is not None:
        boot.seal = Seal(seen.inputs, applied.sealed)
    return Outcome(applied.result, applied.summary)


@dataclass(frozen=True, slots=True)
class _Unneeded:
    """Why Directus is not asked; with the seal of the apply that is still good."""

    settled: Settled
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class _ToAsk:
    """The snapshot, what decides its apply, and why Directus is to be asked."""

    snapshot: bytes
    inputs: Inputs
    reason: str


async def _look(boot: Boot) -> _Unneeded | _ToAsk:
    settings = boot.configuration.settings
    if settings.schema_mode == "skip":
        return _unneeded("skipped", "SUPERVISOR_SCHEMA_MODE is skip")
    data = read_snapshot(settings.snapshot)
    if data is None:
        return _unneeded("skipped", f"there is no snapshot at {settings.snapshot}")
    if not data.strip():
        return _unneeded("skipped", f"the snapshot {settings.snapshot} is empty")
    inputs = read_inputs(boot.configuration, boot.sql, data)
    verdict = await judge(boot.connection, boot.configuration, inputs)
    if verdict.unchanged:
        return _unneeded("unchanged", verdict.reason, Seal(inputs, verdict.diffed) if verdict.diffed else None)
    return _ToAsk(data, inputs, verdict.reason)


def _unneeded(result: Result, summary: str, seal: Seal | None = None) -> _Unneeded:
    return _Unneeded(Settled(Outcome(result, summary)), seal)
