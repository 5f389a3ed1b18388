"""The database, asked once and briefly after a failure: how it is, and what it knows of the last good boot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg

from supervisor.errors import SupervisorError
from supervisor.incidents.good_boot import BootFacts
from supervisor.logs.timestamp import timestamp
from supervisor.postgres.connect import connect, judge, quote_identifier, server_version
from supervisor.postgres.guard_table import GUARD_TABLE
from supervisor.postgres.target import Target

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.sqlfile import SqlTree

LIMIT_S: Final = 1.0
_STATE: Final = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL)::int AS connections,
           current_setting('max_connections')::int AS max_connections, pg_is_in_recovery() AS in_recovery
"""
_LAST: Final = """
    SELECT started_at, supervisor_version::text, directus_version::text FROM supervisor.boots
     WHERE failure IS NULL AND started_at < $1 ORDER BY id DESC LIMIT 1
"""
_SNAPSHOT: Final = """
    SELECT snapshot_sha256::text FROM supervisor.schema_applies
     WHERE applied_at < $1 ORDER BY applied_at DESC LIMIT 1
"""
_SQL: Final = "SELECT filename::text AS name, checksum::text AS checksum FROM {table} WHERE applied_at < $1"


@dataclass(slots=True)
class Answer:
    """What was found out before the time was over.

    Attributes:
        state: whether Postgres was reachable, with its version, connections and so on.
        last_good: what it knows of the last good boot; None when it knows of none.
    """

    state: dict[str, Any]
    last_good: BootFacts | None = None


async def ask(target: Target, sql: SqlTree | None, began_at: datetime, *, limit_s: float = LIMIT_S) -> Answer:
    """Ask the database. Never fails, and takes no longer than `limit_s`, whatever is going on.

    Args:
        target: where and as whom.
        sql: the SQL files of this boot, to compare with those that are recorded.
        began_at: the start of this boot; what was recorded since is not of an earlier one.
        limit_s: seconds for all of it.
    """
    answer = Answer({"reachable": False, "reason": f"it did not answer within {limit_s:g} s"})
    connection = None
    with anyio.move_on_after(limit_s, shield=True):
        try:
            connection = await connect(target, limit_s)
            answer.state = {"reachable": True, "version": server_version(connection)}
            row = await connection.fetchrow(_STATE)
            answer.state |= dict(row) if row is not None else {}
            answer.last_good = await _last_good(connection, target, sql, began_at)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = judge(error, target).cause
            answer.state = answer.state if connection is not None else {"reachable": False, "reason": reason}
        except (SupervisorError, ValueError) as error:
            answer.state = {"reachable": False, "reason": str(error)}
    if connection is not None:
        connection.terminate()
    return answer


async def _last_good(
    connection: Connection, target: Target, sql: SqlTree | None, began_at: datetime
) -> BootFacts | None:
    """The last good boot, as far as its traces tell; tables that are not there, or not as expected, tell nothing."""
    row = await _fetch(connection, _LAST, began_at)
    if not row:
        return None
    table = f"{quote_identifier(target.main_schema)}.{GUARD_TABLE}"
    snapshot = await _fetch(connection, _SNAPSHOT, began_at)
    recorded = await _fetch(connection, _SQL.format(table=table), began_at)
    had = {str(each["name"]): each["checksum"] for each in recorded or ()}
    return BootFacts(
        at=timestamp(row[0]["started_at"]),
        supervisor=row[0]["supervisor_version"],
        directus=row[0]["directus_version"],
        snapshot=str(snapshot[0]["snapshot_sha256"]) if snapshot else None,
        # Rows of files that are not there any more are harmless and old. A row made by hand may have no checksum.
        sql={
            file.name: file.checksum
            if had[file.name] is None or had[file.name] in file.accepted_checksums
            else str(had[file.name])
            for file in sql.all
            if file.name in had
        }
        if sql is not None and recorded is not None
        else None,
    )


async def _fetch(connection: Connection, query: str, began_at: datetime) -> list[asyncpg.Record] | None:
    try:
        return await connection.fetch(query, began_at)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.DataError):
        return None
