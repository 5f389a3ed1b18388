"""The guard table: which SQL files this database has had. It is that of the bash flow, adopted as it is.

Its columns are ``filename``, ``applied_at`` and ``checksum``; their types, their order and further columns do not
matter, and nothing about an existing table is ever changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from asyncpg import PostgresError
from asyncpg import exceptions as pg

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import in_transaction, lost, quote_identifier, quote_literal
from supervisor.postgres.retry import IN_THE_WAY

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.sqlfile import SqlFile

GUARD_TABLE: Final = "migrations_applied"

_EXISTS: Final = "SELECT to_regclass($1) IS NOT NULL"
_CREATE: Final = """
    CREATE TABLE {table} (
        filename text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now(),
        checksum text NOT NULL
    )
"""
_READ: Final = "SELECT filename::text, checksum::text FROM {table}"
# With literals rather than parameters, which take two round trips: these go together with what is before and after.
_INSERT: Final = "INSERT INTO {table} (filename, applied_at, checksum) VALUES ({name}, now(), {checksum})"
# A repeatable file has one row, and an adopted table need not have the key that ON CONFLICT wants.
_PUT: Final = """
    UPDATE {table} SET applied_at = now(), checksum = {checksum} WHERE filename = {name};
    INSERT INTO {table} (filename, applied_at, checksum)
    SELECT {name}, now(), {checksum} WHERE NOT EXISTS (SELECT FROM {table} WHERE filename = {name})
"""
# A file may have become another role, which need not have any right on this table.
_AS_OURSELVES: Final = "RESET SESSION AUTHORIZATION; RESET ROLE"
_READ_TIMES: Final = "SELECT filename::text, applied_at::text FROM {table} WHERE applied_at IS NOT NULL"
_ACCEPT: Final = "UPDATE {table} SET checksum = $2 WHERE filename = $1"
_FORGET: Final = "DELETE FROM {table} WHERE filename = ANY($1::text[])"


async def read_recorded(connection: Connection, schema: str) -> dict[str, str | None]:
    """What has been applied: checksum by file name; empty when there is no guard table yet.

    A row made by hand may have no checksum: None.

    Raises:
        SupervisorError: ``sql.guard_table`` when it cannot be read.
    """
    try:
        if not await _exists(connection, schema):
            return {}
        rows = await connection.fetch(_READ.format(table=_table(schema)))
    except PostgresError as error:
        raise _unusable(error, schema, "read") from error
    return {row["filename"]: row["checksum"] for row in rows}


async def read_applied_at(connection: Connection, schema: str) -> dict[str, str]:
    """When each file has run, by name, as the server writes it: an adopted column may be of any type.

    Raises:
        SupervisorError: ``sql.guard_table`` when it cannot be read.
    """
    try:
        rows = await connection.fetch(_READ_TIMES.format(table=_table(schema)))
    except PostgresError as error:
        raise _unusable(error, schema, "read") from error
    return {row["filename"]: row["applied_at"] for row in rows}


async def make_guard_table(connection: Connection, schema: str) -> None:
    """Make the guard table where there is none.

    Raises:
        SupervisorError: ``sql.guard_table`` when it cannot be made.
    """
    try:
        # Not IF NOT EXISTS: that wants the right to create tables even where the table is there.
        if not await _exists(connection, schema):
            await connection.execute(_CREATE.format(table=_table(schema)))
    except PostgresError as error:
        raise _unusable(error, schema, "made") from error


async def record(
    connection: Connection, schema: str, file: SqlFile, *, before: Sequence[str] = (), after: Sequence[str] = ()
) -> None:
    """Write the row of one file, in the transaction that runs it, as the user that we connected as.

    The row of a repeatable file that ran before is brought up to date.

    Args:
        connection: the session that runs the file.
        schema: where the guard table lies.
        file: the file.
        before: statements that run before it, in the same round trip.
        after: statements that run after it, in the same round trip.

    Raises:
        asyncpg.PostgresError: a lock was not free in time, or another of :data:`supervisor.postgres.retry.IN_THE_WAY`;
            or the transaction is over, since what failed was its COMMIT, in `after`.
        SupervisorError: ``sql.guard_table`` when it cannot be written.
    """
    row = (_PUT if file.directives.repeatable else _INSERT).format(
        table=_table(schema), name=quote_literal(file.name), checksum=quote_literal(file.checksum)
    )
    try:
        await connection.execute("; ".join([_AS_OURSELVES, *before, row, *after]))
    except IN_THE_WAY:
        raise
    except PostgresError as error:
        if after and not in_transaction(connection):
            raise
        raise _unusable(error, schema, f"written for {file.label}") from error


async def accept(connection: Connection, schema: str, file: SqlFile) -> None:
    """Let a file that was edited after it ran count as what ran; when that was stays recorded.

    Raises:
        SupervisorError: ``sql.guard_table`` when it cannot be written.
    """
    try:
        await connection.execute(_ACCEPT.format(table=_table(schema)), file.name, file.checksum)
    except PostgresError as error:
        raise _unusable(error, schema, f"written for {file.label}") from error


async def forget(connection: Connection, schema: str, names: Sequence[str]) -> None:
    """Drop the rows of these names; without any, the table need not be there.

    Raises:
        SupervisorError: ``sql.guard_table`` when they cannot be dropped.
    """
    try:
        if names:
            await connection.execute(_FORGET.format(table=_table(schema)), list(names))
    except PostgresError as error:
        raise _unusable(error, schema, "cleared of rows", "SELECT, UPDATE, DELETE") from error


async def _exists(connection: Connection, schema: str) -> bool:
    return bool(await connection.fetchval(_EXISTS, _table(schema)))


def _table(schema: str) -> str:
    return f"{quote_identifier(schema)}.{GUARD_TABLE}"


def _unusable(error: PostgresError, schema: str, what: str, rights: str = "SELECT, INSERT, UPDATE") -> Exception:
    if lost(error):
        return error
    remedy = None
    if isinstance(error, pg.InvalidSchemaNameError):
        remedy = f"CREATE SCHEMA {quote_identifier(schema)}, or correct DB_SEARCH_PATH, whose first name it is."
    elif isinstance(error, pg.InsufficientPrivilegeError):
        grant = f"USAGE, CREATE ON SCHEMA {quote_identifier(schema)}"
        # The server's words for it are in its own language, the table's name is not.
        if GUARD_TABLE in str(error.args[0]):
            grant = f"{rights} ON {_table(schema)}"
        remedy = f"GRANT {grant} to the user of DB_USER; or make it the owner."
    return SupervisorError(
        errors.SQL_GUARD_TABLE,
        f"The table {schema}.{GUARD_TABLE} cannot be {what}: {error.args[0]} (SQLSTATE {error.sqlstate})",
        remedy=remedy,
    )
