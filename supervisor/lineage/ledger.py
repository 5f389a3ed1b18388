"""The releases that a database has met, in order: the table ``supervisor.releases``.

One row for each release; its place is that of its first boot, or of the boot that was allowed to go back to it. A row
is written before the boot changes anything, and finished when all of it has been done. Without the table, or the right
to write it, boots go on as if there were no other releases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from supervisor import __version__
from supervisor.lineage.release import Release
from supervisor.lineage.standing import Latest, Record
from supervisor.postgres.connect import lost
from supervisor.postgres.state import host_name, keep

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# The files of the latest release are only wanted where it is another one: there can be thousands.
_READ: Final = """
    SELECT latest.position, latest.digest, latest.snapshot_sha256, latest.directus_version, latest.supervisor_version,
           latest.host, latest.begun_at, latest.finished_at IS NOT NULL AS finished,
           CASE WHEN latest.digest <> $2 THEN latest.sql::text END AS sql,
           mine.position AS my_position, mine.finished_at IS NOT NULL AS my_finished,
           EXISTS (SELECT FROM supervisor.releases
                    WHERE scope = $1 AND snapshot_sha256 = $3 AND position < latest.position) AS snapshot_seen,
           has_table_privilege('supervisor.releases', 'INSERT')
           AND has_table_privilege('supervisor.releases', 'UPDATE') AS writable
      FROM supervisor.releases latest
      LEFT JOIN supervisor.releases mine ON mine.scope = $1 AND mine.digest = $2
     WHERE latest.scope = $1
     ORDER BY latest.position DESC
     LIMIT 1
"""
_CAN_MAKE: Final = """
    SELECT CASE WHEN to_regclass('supervisor.releases') IS NOT NULL
                THEN has_table_privilege(to_regclass('supervisor.releases'), 'INSERT')
                WHEN to_regnamespace('supervisor') IS NOT NULL
                THEN has_schema_privilege('supervisor', 'CREATE')
                ELSE has_database_privilege(current_database(), 'CREATE') END
"""
_BEGIN: Final = """
    INSERT INTO supervisor.releases
           (scope, digest, snapshot_sha256, directus_version, supervisor_version, host, sql)
    VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
        ON CONFLICT (scope, digest) DO UPDATE
           SET position = nextval(pg_get_serial_sequence('supervisor.releases', 'position')), begun_at = now(),
               finished_at = NULL, supervisor_version = excluded.supervisor_version, host = excluded.host
"""
_PRUNE: Final = """
    DELETE FROM supervisor.releases WHERE scope = $1 AND position NOT IN
           (SELECT position FROM supervisor.releases WHERE scope = $1 ORDER BY position DESC LIMIT $2)
"""
_FINISH: Final = """
    UPDATE supervisor.releases SET finished_at = now(), supervisor_version = $3
     WHERE scope = $1 AND digest = $2 AND finished_at IS NULL
"""
_WITHDRAW: Final = "DELETE FROM supervisor.releases WHERE scope = $1 AND digest = $2 AND finished_at IS NULL"
KEPT_RELEASES: Final = 200


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the table says about one release.

    Attributes:
        record: what is on record.
        writable: whether anything can be written.
    """

    record: Record
    writable: bool


async def read_ledger(connection: Connection, scope: str, mine: Release) -> Ledger:
    """Look up a release; what cannot be read counts as nothing on record.

    Args:
        connection: the session of the boot.
        scope: the main schema: two deployments of one database may have one each.
        mine: the release.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """
    try:
        row = await connection.fetchrow(_READ, scope, mine.digest, mine.snapshot)
        if row is not None:
            return Ledger(_record(row, mine), bool(row["writable"]))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        pass
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TypeError, LookupError) as error:
        if lost(error):
            raise
        return Ledger(Record(), writable=False)
    return Ledger(Record(), writable=bool(await connection.fetchval(_CAN_MAKE)))


def _record(row: asyncpg.Record, mine: Release) -> Record:
    latest = mine
    if row["digest"] != mine.digest:
        files: Any = json.loads(row["sql"])
        latest = Release(row["snapshot_sha256"], row["directus_version"], files["numbered"], files["repeatable"])
    since = f"{row['begun_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC by {row['host']}"
    return Record(
        Latest(row["position"], latest, row["finished"], since),
        row["my_position"],
        row["my_finished"],
        row["snapshot_seen"],
    )


async def begin_release(connection: Connection, scope: str, mine: Release) -> bool:
    """Let a release be the latest one, before anything of it is applied.

    Args:
        connection: the session that holds the migration lock.
        scope: the main schema.
        mine: the release.

    Returns:
        Whether it was written; when not, a warning was logged.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """

    async def write() -> None:
        values = (mine.digest, mine.snapshot, mine.directus, __version__, host_name(), json.dumps(mine.files))
        await connection.execute(_BEGIN, scope, *values)
        await connection.execute(_PRUNE, scope, KEPT_RELEASES)

    return await keep(connection, write)


async def withdraw_release(connection: Connection, scope: str, mine: Release) -> None:
    """Take a release off the record that was refused before it changed anything.

    Raises:
        asyncpg.PostgresError, OSError: it could not be taken off.
    """
    await connection.execute(_WITHDRAW, scope, mine.digest)


async def finish_release(connection: Connection, scope: str, mine: Release) -> bool:
    """Note that a boot of the release went through all phases; see :func:`begin_release`."""

    async def write() -> None:
        await connection.execute(_FINISH, scope, mine.digest, __version__)

    return await keep(connection, write)
