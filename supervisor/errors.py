"""The catalogue of failures: a stable code, an exit status and a remedy for each.

Every way in which this program ends other than "stopped as asked" is one entry here and one section of
``docs/runbook.md``. 1 is what a check ends with that found something; 2, 3 and 4 are those of the bash flow that this
program replaces; 64 to 66, 70, 71 and 78 are the BSD ``sysexits(3)``; 126, 127 and 128+n are the shell's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

# Relative to the project, which comes with it; a fork that publishes its documents may put its address in front.
RUNBOOK: Final = "docs/runbook.md"


class ExitCode(IntEnum):
    """What the process ends with; orchestrators and CI gates rely on these numbers."""

    STOPPED = 0
    UNEXPECTED_CHANGE = 1
    CHECKSUM_MISMATCH = 2
    SQL_FAILED = 3
    DUPLICATE_NUMBER = 4
    DIRECTUS_FAILED = 5
    DESTRUCTIVE_CHANGE = 6
    CRASH_LOOP = 7
    POSTGRES_UNREACHABLE = 8
    LOCK_TIMEOUT = 9
    USAGE = 64
    UNUSABLE_INPUT = 65
    NO_INPUT = 66
    BUG = 70
    SYSTEM = 71
    CONFIG = 78
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of the catalogue.

    Attributes:
        code: stable dotted name, also the anchor of the runbook section.
        exit_code: the status that the process ends with.
        meaning: one sentence on what is wrong in general.
        remedy: one sentence on what to do, used where the place of the failure knows nothing better.
    """

    code: str
    exit_code: ExitCode
    meaning: str
    remedy: str


class SupervisorError(Exception):
    """A failure that is understood: it carries its catalogue entry and the facts of this occurrence.

    Args:
        failure: the catalogue entry.
        message: one sentence naming the file, line, table or variable that is concerned.
        remedy: replaces the entry's general remedy.
        facts: further fields for the log line.
    """

    def __init__(self, failure: Failure, message: str, *, remedy: str | None = None, **facts: Any) -> None:  # noqa: ANN401
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.remedy = remedy if remedy is not None else failure.remedy
        self.facts: dict[str, Any] = facts

    @property
    def exit_code(self) -> ExitCode:
        """The status that the process ends with."""
        return self.failure.exit_code


def runbook_link(code: str) -> str:
    """Where the runbook tells of a code: its section, by the anchor that Markdown renderers make of the heading."""
    return f"{RUNBOOK}#{code.replace('.', '')}"


CATALOGUE: dict[str, Failure] = {}


def _failure(code: str, exit_code: ExitCode, meaning: str, remedy: str) -> Failure:
    entry = Failure(code, exit_code, meaning, remedy)
    CATALOGUE[code] = entry
    return entry


# Configuration
CONFIG_INVALID = _failure(
    "config.invalid",
    ExitCode.CONFIG,
    "One or more settings cannot be used.",
    "Correct the settings named in the message; `directus-supervisor config` shows where each one comes from.",
)
DIRECTUS_NOT_FOUND = _failure(
    "directus.not_found",
    ExitCode.CONFIG,
    "No Directus installation was found where the settings say.",
    "Set SUPERVISOR_DIRECTUS_DIR to the folder that holds cli.js or node_modules/directus/cli.js.",
)
NODE_NOT_FOUND = _failure(
    "directus.node_not_found",
    ExitCode.CONFIG,
    "No usable Node.js binary was found.",
    "Set SUPERVISOR_NODE to the node binary, or put one on PATH.",
)
PORT_TAKEN = _failure(
    "directus.port_taken",
    ExitCode.CONFIG,
    "The address that Directus is to listen on is in use.",
    "Set PORT to a free port, or stop the process that holds it.",
)
HEALTH_PORT_TAKEN = _failure(
    "health.port_taken",
    ExitCode.CONFIG,
    "The address of the health port cannot be bound.",
    "Set SUPERVISOR_HEALTH_PORT to a free port, or to 0 to take any.",
)

# Postgres
POSTGRES_UNREACHABLE = _failure(
    "postgres.unreachable",
    ExitCode.POSTGRES_UNREACHABLE,
    "Postgres did not answer before the deadline.",
    "Check that the server runs and that DB_HOST and DB_PORT reach it; or raise SUPERVISOR_POSTGRES_TIMEOUT_S.",
)
POSTGRES_REFUSED = _failure(
    "postgres.refused",
    ExitCode.CONFIG,
    "Postgres answered, and refused the connection for a reason that waiting cannot mend.",
    "Correct the database settings named in the message.",
)
POSTGRES_LOST = _failure(
    "postgres.connection_lost",
    ExitCode.POSTGRES_UNREACHABLE,
    "The connection to Postgres was lost while a phase was running.",
    "See the server's own log; nothing of the running file was kept, the next boot goes on from there.",
)
LOCK_TIMEOUT = _failure(
    "lock.timeout",
    ExitCode.LOCK_TIMEOUT,
    "Another supervisor held the migration lock for too long.",
    "Look at the holder named in the message; raise SUPERVISOR_LOCK_TIMEOUT_S if its migration is simply long.",
)
LOCK_POOLER = _failure(
    "lock.pooler",
    ExitCode.CONFIG,
    "The database is reached through a pooler in transaction mode, where no session can hold the migration lock.",
    "Set SUPERVISOR_MIGRATION_DB_HOST and SUPERVISOR_MIGRATION_DB_PORT to the server behind the pooler, or to a pool "
    "in session mode; Directus itself stays on DB_HOST.",
)
CONFIRMATION_MISSING = _failure(
    "command.unconfirmed",
    ExitCode.USAGE,
    "A command that changes what is recorded was not confirmed; nothing was changed.",
    "Look at what it names, and add --yes.",
)
PLAN_MOVED = _failure(
    "command.plan_moved",
    ExitCode.LOCK_TIMEOUT,
    "Between the question and its answer another supervisor has changed what it was about; nothing was changed.",
    "Run the command again, and look at what it names now.",
)

# SQL
SQL_CHECKSUM_MISMATCH = _failure(
    "sql.checksum_mismatch",
    ExitCode.CHECKSUM_MISMATCH,
    "A SQL file was edited after it had been applied.",
    "Restore the file as it was applied, and put the change into a new file with the next number.",
)
SQL_FAILED = _failure(
    "sql.failed",
    ExitCode.SQL_FAILED,
    "A statement of a SQL file failed; nothing of that file was kept, unless it runs without a transaction.",
    "Correct the statement at the place named; the next boot runs the file again.",
)
SQL_ASSERTION_FAILED = _failure(
    "sql.assertion_failed",
    ExitCode.SQL_FAILED,
    "An assertion of a SQL file does not hold on this database; nothing of that file was kept.",
    "Make the database what the assertion expects, or correct the assertion; the next boot runs the file again.",
)
SQL_BLOCKED = _failure(
    "sql.blocked",
    ExitCode.SQL_FAILED,
    "Other sessions were in the way of a SQL file, however often it was tried.",
    "End the session named in the message, or boot when the database is quieter; SUPERVISOR_SQL_LOCK_TIMEOUT_S and "
    "SUPERVISOR_SQL_LOCK_RETRIES set how long is waited, `-- supervisor: lock-timeout` does for one file.",
)
SQL_LOCK_RELEASED = _failure(
    "sql.lock_released",
    ExitCode.SQL_FAILED,
    "A SQL file released the migration lock, which keeps other supervisors from running the same files.",
    "Take pg_advisory_unlock_all() and DISCARD ALL out of the file; for a lock of its own, use pg_advisory_xact_lock.",
)
SQL_GUARD_TABLE = _failure(
    "sql.guard_table",
    ExitCode.CONFIG,
    "The table that records the applied SQL files cannot be used.",
    "It needs the columns filename, applied_at and checksum, and DB_USER the right to read and to fill it.",
)
SQL_INVALID_FILE = _failure(
    "sql.invalid_file",
    ExitCode.SQL_FAILED,
    "A SQL file cannot be run as it is.",
    "Correct the file at the place named.",
)
SQL_EXTENSION_MISSING = _failure(
    "sql.extension_missing",
    ExitCode.SQL_FAILED,
    "A SQL file needs an extension that this server does not offer.",
    "Install the extension on the server, or list it in SUPERVISOR_OPTIONAL_EXTENSIONS to leave the file pending.",
)
SQL_DUPLICATE_NUMBER = _failure(
    "sql.duplicate_number",
    ExitCode.DUPLICATE_NUMBER,
    "Two SQL files have the same number or the same name.",
    "Give one of them the next free number.",
)

CHECK_TOOL_MISSING = _failure(
    "check.tool_missing",
    ExitCode.CONFIG,
    "`check` needs a program or a library that is not installed.",
    "Install it: `pip install 'directus-supervisor[check]'`.",
)

# Directus steps
BOOTSTRAP_FAILED = _failure(
    "directus.bootstrap_failed",
    ExitCode.DIRECTUS_FAILED,
    "Directus' bootstrap did not bring its system tables to this version.",
    "Read Directus' own lines just above this one.",
)
SNAPSHOT_INVALID = _failure(
    "schema.snapshot_invalid",
    ExitCode.DIRECTUS_FAILED,
    "The schema snapshot cannot be read.",
    "Export it again from a live Directus: `node cli.js schema snapshot`.",
)
SCHEMA_FAILED = _failure(
    "schema.apply_failed",
    ExitCode.DIRECTUS_FAILED,
    "Directus could not bring the schema to the snapshot.",
    "Read Directus' own lines just above this one.",
)
EXPORT_FAILED = _failure(
    "schema.export_failed",
    ExitCode.DIRECTUS_FAILED,
    "The live schema could not be read, or its snapshot not be written.",
    "Look at what Directus says in the message, and at the settings of the database.",
)
SCHEMA_DESTRUCTIVE = _failure(
    "schema.destructive_change",
    ExitCode.DESTRUCTIVE_CHANGE,
    "Applying the snapshot would lose data, or rows are in its way; nothing was changed.",
    "Export a new snapshot from the live database, or approve the loss: SUPERVISOR_APPROVE_PLAN.",
)
SCHEMA_BACKUP_FAILED = _failure(
    "schema.backup_failed",
    ExitCode.DESTRUCTIVE_CHANGE,
    "What was to be dropped could not be copied out before; nothing was dropped.",
    "Set SUPERVISOR_BACKUP_DIR to a folder on a volume that is there, writable and large enough.",
)
BACKUP_UNUSABLE = _failure(
    "backup.unusable",
    ExitCode.CONFIG,
    "The backup to restore is not there, not whole, or not one of ours.",
    "Name the folder of one backup: a folder with a manifest.json in SUPERVISOR_BACKUP_DIR.",
)
RESTORE_REFUSED = _failure(
    "backup.restore_refused",
    ExitCode.DESTRUCTIVE_CHANGE,
    "A backup cannot be restored over what is there now; nothing was changed.",
    "Move what is in the way aside, or take what you need from the copied files by hand.",
)

STEP_FAILED = _failure(
    "step.failed",
    ExitCode.DIRECTUS_FAILED,
    "A one-shot step of supervisor.yaml failed.",
    "Read its own lines just above this one; the next boot runs it again.",
)
MIGRATE_CHANGED = _failure(
    "migrate.changed",
    ExitCode.UNEXPECTED_CHANGE,
    "`migrate --expect-unchanged` changed something: a phase does not settle, or the database was not up to date.",
    "See what the phases named in the message logged; what changes at each run is mostly a snapshot that Directus "
    "cannot reproduce, or a file that writes what another one takes back.",
)

# Supervision
DIRECTUS_MISCONFIGURED = _failure(
    "directus.misconfigured",
    ExitCode.CONFIG,
    "Directus ended before it was ever ready, for a reason that no restart can mend.",
    "Correct the configuration named in the message.",
)
CRASH_LOOP = _failure(
    "directus.crash_loop",
    ExitCode.CRASH_LOOP,
    "Directus ended too often, too soon after its start.",
    "Read its last lines in the message; fix their cause, then start the container again.",
)
COMMAND_NOT_FOUND = _failure(
    "process.not_found",
    ExitCode.NOT_FOUND,
    "The program to run, or the interpreter that it names, does not exist.",
    "Correct the path or install the program.",
)
COMMAND_NOT_EXECUTABLE = _failure(
    "process.not_executable",
    ExitCode.NOT_EXECUTABLE,
    "The program to run cannot be executed.",
    "Give the file execute permission, and check its architecture.",
)
COMMAND_NOT_STARTED = _failure(
    "process.not_started",
    ExitCode.SYSTEM,
    "The system has no process, memory or file descriptor left to start the program with.",
    "Raise the limit named in the message: pids and memory of the container, `ulimit -u`, `ulimit -n`.",
)
COMPILE_FAILED = _failure(
    "compile.failed",
    ExitCode.CONFIG,
    "Node.js' cache of compiled code could not be filled.",
    "Correct what the message names; `run` goes on without the cache, only slower.",
)
NO_SUPERVISOR = _failure(
    "control.no_supervisor",
    ExitCode.USAGE,
    "No supervisor answers on the control socket.",
    "Run this where the supervisor runs, as the same user (`docker exec CONTAINER directus-supervisor status`), and "
    "with the same SUPERVISOR_SOCKET.",
)
USAGE = _failure(
    "usage",
    ExitCode.USAGE,
    "The command line is wrong.",
    "See `directus-supervisor --help`.",
)
DRY_RUN_DATABASE = _failure(
    "dry_run.database",
    ExitCode.CONFIG,
    "The database of a dry run could not be made.",
    "Name a server on which the user may make databases, or leave --against out.",
)
DRY_RUN_NOT_ISOLATED = _failure(
    "dry_run.not_isolated",
    ExitCode.CONFIG,
    "The configuration leads a dry run elsewhere than to the database that it made; nothing was run.",
    "Take what leads there out of the file that is named, or point CONFIG_PATH to a copy without it.",
)
DRY_RUN_NOT_SETTLED = _failure(
    "dry_run.not_settled",
    ExitCode.UNEXPECTED_CHANGE,
    "The phases changed something in their second run, on a database that the first one had brought up to date.",
    "Make what is named come to rest: each further boot would do it again, in every replica.",
)
LOG_UNREADABLE = _failure(
    "explain.unreadable",
    ExitCode.NO_INPUT,
    "A log that `explain` was given cannot be read, or only in part.",
    "Check the path, its permissions, and for a compressed file that it is whole: `gzip -t FILE`.",
)
LOG_WITHOUT_EVENTS = _failure(
    "explain.nothing_found",
    ExitCode.UNUSABLE_INPUT,
    "In what `explain` was given there is no boot of a supervisor, or not the one that was asked for.",
    "Give it the log of the container: `docker logs CONTAINER 2>&1 | directus-supervisor explain`.",
)
DEV_SETUP_FAILED = _failure(
    "dev.setup_failed",
    ExitCode.CONFIG,
    "The development environment could not be set up.",
    "See the output of the step named in the message.",
)
BUG = _failure(
    "internal.bug",
    ExitCode.BUG,
    "The supervisor met a condition that it does not understand.",
    "Report it with the traceback; the database is as the last finished phase left it.",
)


def as_failure(error: Exception) -> SupervisorError:
    """An error as a failure of the catalogue: what is not one of them is a bug of ours."""
    return error if isinstance(error, SupervisorError) else SupervisorError(BUG, f"{type(error).__name__}: {error}")
