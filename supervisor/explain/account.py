"""The account of a log: what `explain` prints, and as JSON under `--json`; see ``docs/explain.md``.

Times are RFC 3339 in UTC; durations are in seconds. Fields may be added within one version of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SCHEMA_VERSION: Final = 1

Outcome = Literal["ready", "stopped", "failed", "vanished", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseAccount:
    """One phase; `launch` is the start of Directus after them, `offset_s` counts from the first line of the boot."""

    name: str
    state: str
    outcome: str | None
    summary: str | None
    offset_s: float | None
    duration_s: float | None
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleAccount:
    """What stopped a boot, or ended a process."""

    at: str
    code: str
    cause: str
    remedy: str
    runbook: str | None
    exit_code: int | None
    place: str | None
    details: Mapping[str, Any]
    last_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartAccount:
    """One restart of a process; `trouble` is why."""

    at: str
    process: str
    trouble: TroubleAccount
    uptime_s: float | None
    delay_s: float | None
    number: int | None
    limit: int | None
    ready_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeAccount:
    """Something else worth telling; `count` times from `at` to `last_at`."""

    at: str
    last_at: str
    count: int
    level: str
    event: str
    text: str
    remedy: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAccount:
    """One process that is kept running."""

    name: str
    state: str
    restarts: Mapping[str, int]
    exits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapAccount:
    """Lines of the boot that are missing in the log, before the one written `before`."""

    lines: int
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAccount:
    """One boot.

    Attributes:
        outcome: ``ready`` at the last line, ``stopped`` as asked, ``failed``, ``vanished`` (another boot follows, and
            no line tells of an end), ``unfinished`` (the log ends before it was ready).
        state: of the lifecycle, at the last line.
        missing_at_the_beginning: lines before the first one in the log.
        earlier: what `--since` has left out.
    """

    boot_id: str | None
    source: str
    replica: int
    outcome: Outcome
    state: str
    reason: str
    began_at: str
    last_line_at: str
    duration_s: float
    command: str | None
    versions: Mapping[str, str]
    database: str | None
    exit_code: int | None
    signals: tuple[str, ...]
    stopped_by: tuple[str, ...]
    ready_after_s: float | None
    lock_wait_s: float | None
    phases: tuple[PhaseAccount, ...]
    applied_files: int
    pending_files: Mapping[str, str]
    failure: TroubleAccount | None
    troubles: tuple[TroubleAccount, ...]
    restarts_total: int
    restarts_by_process: Mapping[str, int]
    restarts: tuple[RestartAccount, ...]
    given_up: tuple[TroubleAccount, ...]
    processes: tuple[ProcessAccount, ...]
    story: tuple[EpisodeAccount, ...]
    story_left_out: int
    earlier: int
    changed: Mapping[str, tuple[str, str]]
    missing_at_the_beginning: int
    missing: tuple[GapAccount, ...]
    lines_lost: int
    lines_repeated: int
    lines_damaged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do, the most urgent first."""

    what: str
    why: str
    runbook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All of it in one paragraph."""

    well: bool
    text: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What was read, and what of it could not be understood."""

    files: tuple[str, ...]
    bytes: int
    lines: int
    events: int
    output_lines: int
    foreign_lines: int
    damaged_lines: int
    unreadable_lines: int
    unknown_events: int
    cut_lines: int
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account of a log."""

    schema_version: int = field(default=SCHEMA_VERSION)
    input: Input
    verdict: Verdict
    boots: tuple[BootAccount, ...]
    boots_left_out: int
