"""The catalogue of events: the name, the level and the meaning of every line that this program writes.

``docs/events.md`` is generated from here. Durations are in seconds and end in ``_s``; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from supervisor.logs.fields import COMMON

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the catalogue.

    Attributes:
        name: of the event.
        level: unless an occurrence gives another.
        meaning: one sentence.
        fields: names of its own fields, beside those that every line has; see `supervisor.logs.fields`.
        is_open: whether it may have further fields: those of a failure are the failure's own.
    """

    name: str
    level: str
    meaning: str
    fields: tuple[str, ...] = ()
    is_open: bool = False

    def undeclared(self, fields: Iterable[str]) -> list[str]:
        """Those of `fields` that the catalogue does not know of this event."""
        return [] if self.is_open else [name for name in fields if name not in self.fields and name not in COMMON]


CATALOGUE: Final[dict[str, Event]] = {}


def _event(name: str, level: str, meaning: str, fields: str = "", *, is_open: bool = False) -> Event:
    entry = Event(name, level, meaning, tuple(fields.split()), is_open)
    CATALOGUE[name] = entry
    return entry


# The supervisor itself
SUPERVISOR_STARTED = _event(
    "supervisor.started",
    "info",
    "The process is up: its `version`, `pid`, `python` and what it is to `run`.",
    "version python run",
)
SUPERVISOR_STOPPED = _event(
    "supervisor.stopped", "info", "The process ends as asked, with `exit_code`, after `uptime_s`.", "exit_code uptime_s"
)
SUPERVISOR_FAILED = _event(
    "supervisor.failed",
    "error",
    "The last line of a process that ends because of a failure: its `code`, `message`, `remedy` and `exit_code`; all "
    "that is known of it is in the `incident` before.",
    "code message remedy exit_code exception",
    is_open=True,
)
INCIDENT = _event(
    "incident",
    "error",
    "What stopped a boot, ended Directus, or made a process be started again, once each: `code`, `message`, `remedy`, "
    "`runbook`, `phase` or `process`, its `exit_status` or `signal`, our own `exit_code` where we end, `oom`, "
    "`uptime_s` of the process or else of the supervisor, `restarts` so far, `last_lines`, what `changed` since the "
    "`last_good_boot` (null: none is known), the state of `postgres` where it matters, and what else is known.",
    "code message remedy runbook exit_status signal exit_code oom uptime_s restarts last_lines changed last_good_boot "
    "postgres exception",
    is_open=True,
)
INCIDENT_NOT_KEPT = _event(
    "incident.not_kept",
    "warning",
    "A file that tells of an incident could not be written: `message`; all else goes on.",
    "message",
)
STATE_CHANGED = _event(
    "state.changed", "info", "The lifecycle moved from `before` to `state`, for `reason`.", "before state reason"
)
SIGNAL_RECEIVED = _event(
    "signal.received", "info", "A `signal` came, and what follows from it (`action`).", "signal action"
)
CONFIG_WARNING = _event(
    "config.warning", "warning", "A setting is usable but unwise; `message` and `remedy` say why.", "message remedy"
)
LIBRARY_LINE = _event(
    "library.line",
    "warning",
    "A library (`logger`) had something to say: `message`.",
    "message logger exception left_out",
)

LINES_DROPPED = _event(
    "log.lines_dropped",
    "warning",
    "A stdout that nobody read for long could not take so many `lines`; there is room again.",
    "lines",
)

TRACE_SPAN = _event(
    "trace.span",
    "info",
    "A `span` of the boot's trace, with OTEL_TRACES_EXPORTER=console: its ids, `duration_s`, `status`, `attributes` "
    "and the names of its events.",
    "span trace_id span_id parent_span_id duration_s status attributes span_events",
)
STATE_REPORT = _event(
    "state.report",
    "info",
    "The state, as asked by a signal: `state`, `reason`, `phase`, `since_s`, `processes`, `memory_mb`, `tasks`.",
    "state reason phase since_s processes memory_mb tasks",
)
DRAINING = _event(
    "stop.draining", "info", "Not ready any more, Directus serves on for `drain_s` before it is stopped.", "drain_s"
)
STOP_OUTRAN_FAILURE = _event(
    "stop.outran_failure",
    "warning",
    "A failure (`code`, `message`) came when a stop was asked for already: the run ends as a stop.",
    "code message",
)
STEP_STARTED = _event(
    "step.started", "info", "A one-shot `step` of the configuration begins, as process `pid`.", "step command"
)
STEP_FINISHED = _event("step.finished", "info", "A one-shot `step` succeeded, after `duration_s`.", "step duration_s")

# The boot
BOOT_STARTED = _event("boot.started", "info", "The `phases` begin, against `database`.", "database phases")
BOOT_FINISHED = _event("boot.finished", "info", "Every phase is done, after `duration_s`.", "duration_s")
PHASE_STARTED = _event("phase.started", "debug", "A `phase` begins.")
PHASE_FINISHED = _event(
    "phase.finished",
    "info",
    "A `phase` is done: `outcome` (changed, unchanged, skipped), `summary`, `duration_s`.",
    "outcome summary duration_s",
)
PHASE_FAILED = _event(
    "phase.failed", "error", "A `phase` failed after `duration_s`; the failure follows.", "duration_s"
)

RELEASE_SUPERSEDED = _event(
    "release.superseded",
    "warning",
    "The `latest` release of this database is newer than this `release`, for `reason`: SQL files and schema are left "
    "as they are, everything else goes on; `since` tells when and by whom, `remedy` how to go back on purpose.",
    "release latest reason since remedy",
)
RELEASE_DIVERGED = _event(
    "release.diverged",
    "warning",
    "This `release` and the `latest` one of this database each have what the other has not (`reason`); it is applied.",
    "release latest reason since",
)
RELEASE_DOWNGRADED = _event(
    "release.downgraded",
    "warning",
    "This `release` is applied although the `latest` one is newer (`reason`): that was allowed, or neither was ever "
    "applied as a whole.",
    "release latest reason since",
)

# Postgres and the lock
POSTGRES_WAITING = _event(
    "postgres.waiting",
    "warning",
    "Postgres cannot be used yet: `attempt`, `cause`, and the next try in `next_delay_s`.",
    "attempt cause next_delay_s",
)
POSTGRES_ANSWERED = _event(
    "postgres.answered", "info", "Postgres answers: `server_version`, after `attempt` tries.", "server_version attempt"
)
LOCK_WAITING = _event(
    "lock.waiting",
    "info",
    "Another session holds the migration lock: `holder`, `waited_s` so far, limit `timeout_s`.",
    "holder waited_s timeout_s",
)
LOCK_ACQUIRED = _event("lock.acquired", "debug", "The migration lock is ours, after `waited_s`.", "waited_s")

# SQL files
SQL_APPLIED = _event("sql.applied", "info", "A SQL `file` was applied in `duration_s`.", "file duration_s")
SQL_RETRYING = _event(
    "sql.retrying",
    "warning",
    "A SQL `file` is tried again in `delay_s`, after `attempt` of `limit`: a lock timeout, a deadlock or a "
    "serialization failure (`cause`) stopped it at `line`; `blockers` were in the way.",
    "file line cause blockers attempt limit delay_s",
)
SQL_WAITING = _event(
    "sql.waiting",
    "warning",
    "A SQL `file` has waited for `waited_s` at `line` for what `blockers` hold.",
    "file line blockers waited_s",
)
SQL_INVALID_INDEX = _event(
    "sql.invalid_index_dropped",
    "warning",
    "The invalid `index` that a failed CREATE INDEX CONCURRENTLY left was dropped; the SQL `file` builds it anew.",
    "file line index",
)
SQL_PENDING = _event(
    "sql.pending",
    "warning",
    "A SQL `file` stays pending: the server does not offer the `extension` it requires.",
    "file extension",
)
SQL_ORPHAN_ROWS = _event(
    "sql.orphan_rows", "info", "`migrations_applied` names `files` that no longer exist here; harmless.", "files"
)
SQL_NOTICE = _event(
    "sql.notice",
    "info",
    "The server had something to say while a SQL `file` ran: `message`, at `line`; a WARNING of it is one here.",
    "file line message severity",
)

# Directus
DIRECTUS_FOUND = _event(
    "directus.found", "info", "The Directus installation in use: its `version`, `path` and `node`.", "version path node"
)
DIRECTUS_AHEAD = _event(
    "directus.ahead", "debug", "Node.js (`pid`) loads Directus' modules meanwhile, and waits for the phases."
)
DIRECTUS_STEP = _event("directus.step", "info", "A Directus `step` begins, as process `pid`.", "step")
DIRECTUS_NO_ADMIN = _event(
    "directus.no_admin",
    "warning",
    "Directus is installed but has no user: nobody can log in; `remedy` says how.",
    "remedy",
)
DIRECTUS_STARTED_OVER = _event(
    "directus.bootstrap_started_over",
    "warning",
    "A first bootstrap was interrupted; the `tables` that it left hold no data, were dropped, and all begins anew.",
    "tables",
)
DIRECTUS_UNFINISHED = _event(
    "directus.bootstrap_unfinished",
    "info",
    "The bootstrap of Directus is not complete, and other sessions are there: for `watch_s` it is seen if one goes on.",
    "watch_s",
)
DIRECTUS_STRAY_STEP = _event(
    "directus.stray_step",
    "warning",
    "A supervisor that is gone has left a Directus step behind; its Postgres sessions (`backends`) were ended.",
    "backends",
)
SCHEMA_ASKED = _event(
    "schema.asked", "info", "Directus is asked how the live schema differs from the snapshot, for `reason`.", "reason"
)
SCHEMA_NOT_SEALED = _event(
    "schema.not_recorded",
    "warning",
    "The apply is not recorded, so the next boot asks Directus again; `message` says why.",
    "message",
)
SNAPSHOT_DOUBTFUL = _event(
    "schema.snapshot_doubtful",
    "warning",
    "The snapshot can be applied but may not fit; `message` and `remedy` say why.",
    "message remedy",
)
STATE_NOT_KEPT = _event(
    "state.not_kept",
    "warning",
    "Nothing can be remembered between boots; `message` and `remedy` say why.",
    "message remedy",
)
SCHEMA_PLAN = _event(
    "schema.plan",
    "info",
    "What the snapshot changes: `created`, `changed` and `deleted` objects by name; in `mode` plan also the `losses` "
    "and the `digest` that would approve them.",
    "mode created changed deleted losses digest",
)
SCHEMA_LEFT_OUT = _event(
    "schema.left_out",
    "warning",
    "Changes that would lose data, or that rows are in the way of, were left out (`additive`): `losses`.",
    "losses",
)
SCHEMA_LOSS = _event(
    "schema.loss",
    "warning",
    "Data is given up, as approved or forced: `losses`, the `digest` of the plan, its copy in `backup` (null: none).",
    "losses digest backup",
)
BACKUP_WRITTEN = _event(
    "backup.written",
    "info",
    "Tables and columns were copied out: `path`, `items`, `rows`, `compressed_bytes`.",
    "path items rows compressed_bytes",
)
SCHEMA_GHOSTS = _event(
    "schema.ghosts_ignored",
    "warning",
    "The snapshot would create `collections` whose tables SQL files have made; they are left alone.",
    "collections",
)
SCHEMA_RESIDUE = _event(
    "schema.residue",
    "warning",
    "Directus still sees differences after the apply: `objects` (directus#24192).",
    "objects",
)

# Processes
PROCESS_STARTED = _event("process.started", "info", "A `process` was started: `pid`, `command`.", "command")
PROCESS_READY = _event(
    "process.ready", "info", "The `process` accepts requests, `after_s` its start, known by `how`.", "after_s how"
)
PROCESS_NOT_READY = _event(
    "process.not_ready", "error", "The `process` was not ready within `timeout_s` and is stopped.", "timeout_s"
)
PROCESS_SILENT = _event(
    "process.silent",
    "warning",
    "The `process` did not answer a look at it, `failed` times in a row, of `limit`.",
    "failed limit",
)
PROCESS_GIVEN_UP = _event(
    "process.given_up",
    "error",
    "A side process is not started again; everything else goes on: `message`.",
    "message remedy",
)
PROCESS_STUCK = _event(
    "process.stuck",
    "error",
    "Processes (`pids`) are still there after SIGKILL (uninterruptible sleep?) and are left behind.",
    "pids",
)
PROCESS_OUTPUT = _event(
    "process.output",
    "info",
    "One line that a `process` wrote; the level is the one it gave.",
    "stream message data partial",
)
PROCESS_EXITED = _event(
    "process.exited",
    "info",
    "A `process` ended: `exit_code` or `signal`, after `uptime_s`, `expected` or not.",
    "exit_code signal uptime_s expected",
)
PROCESS_RESTARTING = _event(
    "process.restarting",
    "warning",
    "The `process` is started again in `delay_s` for `reason`, whose `cause` is exit, signal, out_of_memory, hang, "
    "memory_limit, not_ready, not_started or reload; restart `restart` of `limit`; `oom`: killed by the kernel.",
    "reason cause oom delay_s restart limit",
)
PROCESS_STOPPING = _event(
    "process.stopping", "info", "The `process` group gets SIGTERM, and SIGKILL after `timeout_s`.", "timeout_s"
)
PROCESS_KILLED = _event(
    "process.killed",
    "warning",
    "Processes that did not end by themselves got SIGKILL: `pids`, for `reason`.",
    "pids reason",
)
ORPHAN_REAPED = _event("orphan.reaped", "debug", "An orphan that ended was reaped: `pid`.")

# Health
HEALTH_LISTENING = _event("health.listening", "info", "The health port answers at `address`.", "address port")
HEALTH_ANSWER_FAILED = _event(
    "health.answer_failed",
    "error",
    "An answer of the health port could not be made, a bug of ours: `message`.",
    "message exception",
)
CONTROL_LISTENING = _event("control.listening", "debug", "The control socket answers at `path`.", "path")
CONTROL_UNAVAILABLE = _event(
    "control.unavailable",
    "warning",
    "There is no control socket at `path`, for `reason`; `remedy` says what to do. Everything else goes on.",
    "path reason remedy",
)
CONTROL_USED = _event(
    "control.used", "info", "A control was used: `action`, `through` the socket or the health port.", "action through"
)
