"""Running SQL files exactly once: plan what is to be done (pure), then do it, one transaction a file."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asyncpg import AssertError, PostgresError, PostgresLogMessage

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import connection_lost, lost, reset_session
from supervisor.postgres.failure import ExplainMissing, sql_failure
from supervisor.postgres.guard_table import make_guard_table, read_recorded, record
from supervisor.postgres.sqlfile import SqlFile

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.splitter import Statement

_COPY_OVER_THE_WIRE: Final = re.compile(r"\b(?:FROM\s+STDIN|TO\s+STDOUT)\b", re.IGNORECASE)
_AVAILABLE: Final = "SELECT name::text FROM pg_available_extensions WHERE name = ANY($1::text[])"
_log = get_log("migrations")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over some files amounts to.

    Attributes:
        to_apply: files to run, in order.
        applied: files that have run before.
        pending: files that wait for an optional extension, with its name.
    """

    to_apply: tuple[SqlFile, ...]
    applied: tuple[SqlFile, ...]
    pending: tuple[tuple[SqlFile, str], ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, by file name."""

    applied: tuple[str, ...]
    skipped: tuple[str, ...]
    pending: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.applied)} applied, {len(self.skipped)} skipped"
        return f"{text}, {len(self.pending)} pending" if self.pending else text


def verify_checksums(files: Iterable[SqlFile], recorded: Mapping[str, str | None]) -> None:
    """Make sure that no applied file was edited since. Pure.

    Args:
        files: the files at hand.
        recorded: checksum by file name, as the guard table has them; a file recorded without one counts as unedited.

    Raises:
        SupervisorError: ``sql.checksum_mismatch``, naming every such file.
    """
    edited = [file for file in files if _was_edited(file, recorded.get(file.name))]
    if edited:
        names = ", ".join(file.label for file in edited)
        verb = "differs from what was applied" if len(edited) == 1 else "differ from what was applied"
        raise SupervisorError(
            errors.SQL_CHECKSUM_MISMATCH,
            f"{names} {verb} to this database",
            files=[file.label for file in edited],
            checksums={file.label: {"recorded": recorded[file.name], "found": file.checksum} for file in edited},
        )


def _was_edited(file: SqlFile, checksum: str | None) -> bool:
    return checksum is not None and checksum.strip().lower() not in file.accepted_checksums


def make_plan(
    files: Iterable[SqlFile],
    recorded: Collection[str],
    available_extensions: Collection[str],
    optional_extensions: Collection[str],
) -> Plan:
    """Decide which files run. Pure.

    Args:
        files: the files of one folder, in order.
        recorded: names of the files that have run.
        available_extensions: extensions that the server offers.
        optional_extensions: extensions that the deployment allows to be missing.

    Raises:
        SupervisorError: ``sql.extension_missing`` when a file requires an extension that is neither.
    """
    to_apply: list[SqlFile] = []
    applied: list[SqlFile] = []
    pending: list[tuple[SqlFile, str]] = []
    for file in files:
        missing = [name for name in file.extensions if name not in available_extensions]
        if file.name in recorded:
            applied.append(file)
        elif not missing:
            to_apply.append(file)
        elif missing[0] in optional_extensions:
            pending.append((file, missing[0]))
        else:
            raise SupervisorError(
                errors.SQL_EXTENSION_MISSING,
                f"{file.label} requires the extension {missing[0]!r}, which this server does not offer",
                file=file.label,
                extension=missing[0],
            )
    return Plan(tuple(to_apply), tuple(applied), tuple(pending))


def refuse_copy_over_the_wire(files: Iterable[SqlFile]) -> None:
    """Refuse a COPY whose other end would be psql: there is nobody to send or take its rows. Pure.

    Raises:
        SupervisorError: ``sql.invalid_file``.
    """
    for file in files:
        for statement in file.statements:
            if statement.words[:1] == ("copy",) and (match := _COPY_OVER_THE_WIRE.search(statement.text)):
                raise SupervisorError(
                    errors.SQL_INVALID_FILE,
                    f"{file.label}:{statement.line}: COPY … {' '.join(match.group().upper().split())} needs psql",
                    remedy="Write the rows as INSERT statements.",
                    file=file.label,
                    line=statement.line,
                )


async def apply_folder(
    connection: Connection,
    schema: str,
    files: tuple[SqlFile, ...],
    *,
    optional_extensions: Collection[str],
    explain_missing: ExplainMissing,
) -> Summary:
    """Run the files of one folder that have not run yet, each in one transaction with its record.

    Args:
        connection: the session that holds the migration lock.
        schema: where the guard table lies.
        files: the files of the folder, in order.
        optional_extensions: extensions that may be missing.
        explain_missing: asked for the remedy when a file needs a relation that does not exist.

    Raises:
        SupervisorError: ``sql.failed``, ``sql.assertion_failed``, ``sql.extension_missing``, ``sql.guard_table`` or
            ``postgres.connection_lost``; nothing of the failed file is left behind.
    """
    recorded = await read_recorded(connection, schema)
    plan = make_plan(files, recorded, await _available(connection, files), optional_extensions)
    for file, extension in plan.pending:
        _log.emit(events.SQL_PENDING, file=file.label, extension=extension)
    refuse_copy_over_the_wire(plan.to_apply)
    if plan.to_apply:
        await make_guard_table(connection, schema)
    for file in plan.to_apply:
        await _apply(connection, schema, file, explain_missing)
    return Summary(
        tuple(file.label for file in plan.to_apply),
        tuple(file.label for file in plan.applied),
        tuple(file.label for file, _ in plan.pending),
    )


async def _apply(connection: Connection, schema: str, file: SqlFile, explain_missing: ExplainMissing) -> None:
    started = time.monotonic()

    def on_notice(_connection: object, message: PostgresLogMessage) -> None:
        _log.emit(events.SQL_NOTICE, file=file.label, message=message.message, severity=message.severity)

    connection.add_log_listener(on_notice)
    running = None
    try:
        async with connection.transaction():
            for running in file.statements:
                await connection.execute(running.text)
            running = None
            await record(connection, schema, file)
        # What one file has SET must not reach the next one.
        await reset_session(connection)
    except Exception as error:
        if lost(error) or connection.is_closed():
            raise connection_lost(f"{file.label}; nothing of it was kept", error) from error
        if isinstance(error, PostgresError):
            raise _explain(error, file, running, explain_missing) from error
        raise
    finally:
        if not connection.is_closed():
            connection.remove_log_listener(on_notice)
    _log.emit(events.SQL_APPLIED, file=file.label, duration_s=round(time.monotonic() - started, 3))


def _explain(
    error: PostgresError, file: SqlFile, statement: Statement | None, explain_missing: ExplainMissing
) -> SupervisorError:
    failure = sql_failure(error, file, statement, explain_missing)
    if not isinstance(error, AssertError):
        return failure
    place = f"{file.label}:{failure.facts['line']}"
    return SupervisorError(errors.SQL_ASSERTION_FAILED, f"{place}: {error.args[0]}", **failure.facts)


async def _available(connection: Connection, files: Iterable[SqlFile]) -> set[str]:
    wanted = sorted({name for file in files for name in file.extensions})
    if not wanted:
        return set()
    return {row["name"] for row in await connection.fetch(_AVAILABLE, wanted)}
