"""The picture of a run, as `/status` gives it. Pure: plain data; ``docs/status.schema.json`` is generated from here.

Times are RFC 3339 in UTC, durations are in seconds and end in ``_s``, sizes are in bytes. A field is only ever added;
a change that would break a reader raises :data:`SCHEMA_VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

SCHEMA_VERSION: Final = 1

BootResult = Literal["waiting", "running", "finished", "failed"]
PhaseState = Literal["waiting", "running", "finished", "failed"]
ProcessState = Literal["starting", "ready", "running", "stopping", "restarting", "ended", "given_up"]


def _says(meaning: str) -> dict[str, str]:
    return {"description": meaning}


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorView:
    """The supervisor's own process."""

    version: str
    boot_id: str = field(metadata=_says("Names this life of the supervisor; every log line has it."))
    pid: int
    python: str
    started_at: str
    uptime_s: float
    memory_bytes: int = field(metadata=_says("Resident memory."))
    cpu_s: float = field(metadata=_says("Processor time so far, user and system."))
    loop_lag_s: float | None = field(metadata=_says("By how much the event loop was late, measured when last asked."))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """Where the supervisor is in its life."""

    name: str = field(metadata=_says("starting, migrating, launching, ready, restarting, stopping, stopped or failed."))
    reason: str
    since: str
    ready: bool
    started: bool = field(metadata=_says("Directus has been ready once."))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseView:
    """One phase of the boot."""

    name: str
    state: PhaseState
    outcome: Literal["changed", "unchanged", "skipped"] | None
    summary: str | None
    started_at: str | None
    offset_s: float | None = field(metadata=_says("From the start of the boot to the start of the phase."))
    duration_s: float | None = field(metadata=_says("So far, while it runs."))
    details: tuple[str, ...] = field(metadata=_says("What it changed or waits for, one short sentence each."))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootView:
    """The phases, and what they took."""

    result: BootResult
    database: str | None
    started_at: str | None
    duration_s: float | None = field(metadata=_says("Of all phases; so far, while they run."))
    lock_wait_s: float | None = field(metadata=_says("For the migration lock; null when none was needed."))
    ready_after_s: float | None = field(metadata=_says("From the start of the boot until Directus was ready first."))
    phases: tuple[PhaseView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationView:
    """One SQL file that this boot applied."""

    file: str
    applied_at: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingView:
    """One SQL file that waits for an extension of the server."""

    file: str
    extension: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationsView:
    """The SQL files of this boot."""

    applied_total: int
    applied: tuple[MigrationView, ...] = field(metadata=_says("The newest ones, oldest first."))
    pending: tuple[PendingView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One process that is kept running."""

    name: str
    state: ProcessState
    pid: int | None
    started_at: str | None
    uptime_s: float | None
    ready_after_s: float | None
    restarts: Mapping[str, int] = field(metadata=_says("Number by reason."))
    exits: Mapping[str, int] = field(metadata=_says("Number by exit status, or by name of the signal."))
    memory_bytes: int | None = field(metadata=_says("Resident memory of it and its descendants."))
    cpu_s: float | None = field(metadata=_says("Processor time of it and its descendants in this life."))
    history: tuple[SampleView, ...] = field(metadata=_says("Looks at memory and processor, oldest first."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """One look at a process."""

    at: str
    memory_bytes: int
    cpu_ratio: float | None = field(metadata=_says("Processors in use since the look before; 1 is one whole core."))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """What was written to the log in the name of one stream of one process."""

    process: str
    stream: str
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """The log."""

    level: str
    streams: tuple[StreamView, ...]
    dropped_lines: int = field(metadata=_says("Lines that a stalled or closed stdout could not take."))
    stalled: bool = field(metadata=_says("The buffer is full: the pipes of the processes are not read."))
    closed: bool = field(metadata=_says("Nobody reads stdout any more."))


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """The last thing that went wrong."""

    at: str
    code: str
    message: str
    remedy: str
    process: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything at one moment."""

    schema_version: int
    at: str
    supervisor: SupervisorView
    state: StateView
    directus_version: str | None
    boot: BootView
    migrations: MigrationsView
    processes: tuple[ProcessView, ...]
    log: LogView
    last_incident: IncidentView | None
    incidents: Mapping[str, int] = field(metadata=_says("Number by code."))
