"""Running SQL files as planned: each with its record, its notices in the log, and its failure explained."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from asyncpg import PostgresError, PostgresLogMessage

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.blockers import Blocker, OpenSession, Watch, named_in_detail, sentence, sessions, watching
from supervisor.postgres.connect import connection_lost, lost, reset_session
from supervisor.postgres.execution import Execution, Progress
from supervisor.postgres.failure import ExplainMissing, sql_failure
from supervisor.postgres.guard_table import make_guard_table, read_recorded
from supervisor.postgres.place import place_of
from supervisor.postgres.plan import Plan, State, make_plan
from supervisor.postgres.retry import IN_THE_WAY, with_retries
from supervisor.postgres.sqlfile import SqlFile

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

_AVAILABLE: Final = "SELECT name::text FROM pg_available_extensions WHERE name = ANY($1::text[])"
_LOOK_AFTER_S: Final = 2.5
_LEVELS: Final = {"WARNING": "warning", "DEBUG": "debug"}
_log = get_log("migrations")


@dataclass(frozen=True, slots=True)
class Terms:
    """What every file runs under.

    Attributes:
        schema: where the guard table lies.
        lock_timeout_ms: milliseconds that a statement may wait for a lock, where its file says nothing; 0 is none.
        retries: how often a file is tried again when another session was in its way.
        open_session: opens a further session, to see who that is.
        explain_missing: asked for the remedy when a file needs a relation that does not exist.
    """

    schema: str
    lock_timeout_ms: int
    retries: int
    open_session: OpenSession
    explain_missing: ExplainMissing


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, by file name."""

    applied: tuple[str, ...]
    skipped: tuple[str, ...]
    pending: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.applied)} applied, {len(self.skipped)} skipped"
        return f"{text}, {len(self.pending)} pending" if self.pending else text


async def read_plan(
    connection: Connection, schema: str, files: Iterable[SqlFile], optional_extensions: Collection[str]
) -> Plan:
    """Plan from what the database has recorded and the server offers; changes nothing.

    Args:
        connection: any session.
        schema: where the guard table lies.
        files: the files, in the order in which they run.
        optional_extensions: extensions that the deployment allows to be missing.

    Raises:
        SupervisorError: ``sql.guard_table`` when the record cannot be read.
    """
    files = tuple(files)
    recorded = await read_recorded(connection, schema)
    return make_plan(files, recorded, await _available(connection, files), optional_extensions)


async def apply_plan(connection: Connection, plan: Plan, terms: Terms) -> Summary:
    """Run the files that the plan has to apply, in order.

    Args:
        connection: the session that holds the migration lock.
        plan: what was planned, and not refused.
        terms: what the files run under.

    Raises:
        SupervisorError: ``sql.failed``, ``sql.assertion_failed``, ``sql.blocked``, ``sql.lock_released``,
            ``sql.guard_table`` or ``postgres.connection_lost``; nothing of the failed file is left behind, unless it
            runs without a transaction.
    """
    for planned in plan.files:
        if planned.state is State.PENDING:
            _log.emit(events.SQL_PENDING, file=planned.file.label, extension=planned.missing_extension)
    if plan.to_apply:
        await make_guard_table(connection, terms.schema)
        pid = int(await connection.fetchval("SELECT pg_backend_pid()"))
        run = _Run(connection, pid, terms, await reset_session(connection))
        with run.notices_logged():
            for limit_ms, files in groupby(plan.to_apply, run.limit_ms):
                watch = Watch(pid, terms.open_session, limit_ms / 2000 or _LOOK_AFTER_S, run.announce)
                async with watching(watch):
                    for file in files:
                        await run.apply(file, watch)
        # What the last file has SET must not reach what comes after.
        await reset_session(connection)
    return Summary(
        tuple(file.label for file in plan.to_apply),
        tuple(file.label for file in plan.of(State.APPLIED)),
        tuple(file.label for file in plan.of(State.PENDING)),
    )


@dataclass(slots=True)
class _Run:
    """A run over the files of one folder.

    Attributes:
        connection: the session that holds the migration lock.
        pid: process id of its backend.
        terms: what the files run under.
        reset: what brings the session back to how it was made.
    """

    connection: Connection
    pid: int
    terms: Terms
    reset: tuple[str, ...]
    _file: SqlFile | None = None
    _progress: Progress = field(default_factory=Progress)

    def limit_ms(self, file: SqlFile) -> int:
        """How long a statement of this file may wait for a lock."""
        own = file.directives.lock_timeout_ms
        return self.terms.lock_timeout_ms if own is None else own

    async def apply(self, file: SqlFile, watch: Watch) -> None:
        """Run one file."""
        started = time.monotonic()
        connection, terms = self.connection, self.terms
        self._file, self._progress = file, Progress()
        progress = self._progress
        execution = Execution(connection, terms.schema, file, self.reset, terms.lock_timeout_ms, watch, progress)

        async def before_retry(error: BaseException, attempt: int, delay_s: float) -> None:
            _log.emit(
                events.SQL_RETRYING,
                file=file.label,
                line=self._line,
                cause=str(error.args[0]),
                blockers=sentence(await _blockers(connection, watch, error)),
                attempt=attempt,
                limit=terms.retries + 1,
                delay_s=round(delay_s, 2),
            )

        # Explained in here: on its way out of the task group an error loses the one that it came from.
        try:
            await with_retries(execution.attempt, terms.retries, before_retry)
        except Exception as error:
            if lost(error) or connection.is_closed():
                raise connection_lost(f"{file.label}; {_kept_of(file, progress)}", error) from error
            if isinstance(error, IN_THE_WAY):
                blockers = await _blockers(connection, watch, error)
                raise _blocked(error, file, progress, terms, blockers) from error
            if isinstance(error, PostgresError):
                kept = () if file.directives.transaction else file.statements[: progress.ran]
                raise sql_failure(error, file, progress.running, terms.explain_missing, kept=kept) from error
            raise
        _log.emit(events.SQL_APPLIED, file=file.label, duration_s=round(time.monotonic() - started, 3))

    def announce(self, blockers: Sequence[Blocker], waited_s: float) -> None:
        """Say that a statement waits and waits."""
        assert self._file is not None  # noqa: S101 - a statement runs
        _log.emit(
            events.SQL_WAITING,
            file=self._file.label,
            line=self._line,
            blockers=sentence(blockers),
            waited_s=round(waited_s, 1),
        )

    @contextmanager
    def notices_logged(self) -> Iterator[None]:
        """Have what the server says beside its answers in the log."""
        self.connection.add_log_listener(self._on_notice)
        try:
            yield
        finally:
            if not self.connection.is_closed():
                self.connection.remove_log_listener(self._on_notice)

    def _on_notice(self, _connection: object, notice: PostgresLogMessage) -> None:
        if self._file is None:
            return
        _log.emit(
            events.SQL_NOTICE,
            level=_LEVELS.get(str(notice.severity_en or notice.severity), "info"),
            file=self._file.label,
            line=place_of(notice, self._file, self._progress.running).line,
            message=notice.message,
            severity=notice.severity,
        )

    @property
    def _line(self) -> int | None:
        return self._progress.running.line if self._progress.running else None


async def _blockers(connection: Connection, watch: Watch, error: BaseException) -> tuple[Blocker, ...]:
    """Who was in the way: whom a deadlock names, or whom the watch has seen."""
    named = named_in_detail(error)
    return await sessions(connection, [pid for pid in named if pid != watch.pid]) if named else watch.seen


def _blocked(
    error: PostgresError, file: SqlFile, progress: Progress, terms: Terms, blockers: Sequence[Blocker]
) -> SupervisorError:
    kept = () if file.directives.transaction else file.statements[: progress.ran]
    failure = sql_failure(error, file, progress.running, terms.explain_missing, kept=kept)
    return SupervisorError(
        errors.SQL_BLOCKED,
        f"{failure.message}, at attempt {terms.retries + 1} as at those before; in its way: {sentence(blockers)}",
        blockers=[blocker.pid for blocker in blockers],
        **failure.facts,
    )


def _kept_of(file: SqlFile, progress: Progress) -> str:
    if progress.committing:
        return "whether it was committed is not known, and the next run sees by its record"
    if file.directives.transaction:
        return "nothing of it was kept"
    return f"it runs without a transaction, {progress.ran} of its {len(file.statements)} statements are kept"


async def _available(connection: Connection, files: Iterable[SqlFile]) -> set[str]:
    wanted = sorted({one.name for file in files for one in file.directives.extensions})
    if not wanted:
        return set()
    return {row["name"] for row in await connection.fetch(_AVAILABLE, wanted)}
