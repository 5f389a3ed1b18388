"""What the supervisor remembers between boots, in the schema ``supervisor`` of Directus' own database.

It only ever saves work: whatever goes wrong in reading counts as nothing remembered, and whatever goes wrong in
writing is a warning. Its tables are made and brought up to date by numbered steps, under the migration lock.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import asyncpg

from supervisor import __version__
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import lost

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

SCHEMA: Final = "supervisor"

# Each runs once, in order, and is never edited: databases that have it keep what it made.
_STEPS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE supervisor.schema_applies (
        key text PRIMARY KEY,
        fingerprint text NOT NULL,
        snapshot_sha256 text NOT NULL,
        directus_version text NOT NULL,
        supervisor_version text NOT NULL,
        host text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE supervisor.boots (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        started_at timestamptz NOT NULL,
        duration_s double precision NOT NULL,
        host text NOT NULL,
        supervisor_version text NOT NULL,
        directus_version text NOT NULL,
        failure text,
        phases jsonb NOT NULL
    )
    """,
)
# Not IF NOT EXISTS: that wants the right to create schemas even where the schema is there.
_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'supervisor')"
_HAS_VERSION: Final = "SELECT to_regclass('supervisor.state_version') IS NOT NULL"
_CREATE_VERSION: Final = """
    CREATE TABLE supervisor.state_version (version int NOT NULL);
    INSERT INTO supervisor.state_version VALUES (0)
"""
_VERSION: Final = "SELECT max(version) FROM supervisor.state_version"
_SET_VERSION: Final = "UPDATE supervisor.state_version SET version = $1"

_READ: Final = """
    SELECT fingerprint::text, host::text, applied_at::timestamptz FROM supervisor.schema_applies WHERE key = $1
"""
_RECORD: Final = """
    INSERT INTO supervisor.schema_applies
           (key, fingerprint, snapshot_sha256, directus_version, supervisor_version, host, applied_at)
    VALUES ($1, $2, $3, $4, $5, $6, now())
        ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, host = excluded.host,
           applied_at = excluded.applied_at
"""
_PRUNE: Final = """
    DELETE FROM supervisor.schema_applies WHERE key NOT IN
           (SELECT key FROM supervisor.schema_applies ORDER BY applied_at DESC LIMIT $1)
"""
_KEPT_APPLIES: Final = 20
_RECORD_BOOT: Final = """
    INSERT INTO supervisor.boots
           (started_at, duration_s, host, supervisor_version, directus_version, failure, phases)
    VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""
_PRUNE_BOOTS: Final = "DELETE FROM supervisor.boots WHERE id <= (SELECT max(id) FROM supervisor.boots) - $1"
KEPT_BOOTS: Final = 1000
# Nobody else uses these tables for long; a boot must not wait for somebody who does.
_PATIENCE: Final = "SET LOCAL lock_timeout = '2s'"
_log = get_log("state")


@dataclass(frozen=True, slots=True)
class ApplyRecord:
    """A schema apply after which nothing was left to do.

    Attributes:
        key: sum over everything that decides what an apply does, but for the database.
        fingerprint: the live schema as it was then.
        snapshot_sha256: of the snapshot file.
        directus_version: of the installation.
    """

    key: str
    fingerprint: str
    snapshot_sha256: str
    directus_version: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of an earlier apply: the fingerprint, which host made it, and when."""

    fingerprint: str
    host: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class BootRecord:
    """One boot, for the history.

    Attributes:
        started_at: with its time zone.
        duration_s: seconds from the first phase to the last.
        directus_version: of the installation.
        failure: code of the failure that ended it; None for a good boot.
        phases: JSON: one object a phase.
    """

    started_at: datetime
    duration_s: float
    directus_version: str
    failure: str | None
    phases: str


async def read_apply(connection: Connection, key: str) -> Remembered | None:
    """The apply recorded under `key`; None when there is none, or none that can be read.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """
    try:
        row = await connection.fetchrow(_READ, key)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if lost(error):
            raise
        return None
    if row is None or row["fingerprint"] is None or row["host"] is None or row["applied_at"] is None:
        return None
    return Remembered(row["fingerprint"], row["host"], row["applied_at"])


async def record_apply(connection: Connection, record: ApplyRecord) -> bool:
    """Remember an apply; the tables are made when they are not there.

    Args:
        connection: the session that holds the migration lock.
        record: what to remember.

    Returns:
        Whether it was written; when not, a warning was logged.

    Raises:
        asyncpg.PostgresError, OSError: only when the session itself is lost.
    """

    async def write() -> None:
        values = (record.key, record.fingerprint, record.snapshot_sha256, record.directus_version)
        await connection.execute(_RECORD, *values, __version__, host_name())
        await connection.execute(_PRUNE, _KEPT_APPLIES)

    return await _write(connection, write)


async def record_boot(connection: Connection, boot: BootRecord) -> bool:
    """Add a boot to the history, of which the last thousand are kept; see :func:`record_apply`."""

    async def write() -> None:
        values = (boot.directus_version, boot.failure, boot.phases)
        await connection.execute(_RECORD_BOOT, boot.started_at, boot.duration_s, host_name(), __version__, *values)
        await connection.execute(_PRUNE_BOOTS, KEPT_BOOTS)

    return await _write(connection, write)


def host_name() -> str:
    """What this machine or container calls itself."""
    return os.uname().nodename


async def _write(connection: Connection, write: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(_PATIENCE)
            await _bring_up_to_date(connection)
            await write()
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if lost(error):
            raise
        _log.emit(
            events.STATE_NOT_KEPT,
            message=f"Nothing can be remembered in the schema {SCHEMA}: {str(error).splitlines()[0]}",
            remedy="GRANT CREATE ON DATABASE … to the user of DB_USER, or CREATE SCHEMA supervisor AUTHORIZATION to "
            "it; until then each boot asks Directus for the whole schema.",
        )
        return False
    return True


async def _bring_up_to_date(connection: Connection) -> None:
    if not await connection.fetchval(_HAS_SCHEMA):
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    if not await connection.fetchval(_HAS_VERSION):
        await connection.execute(_CREATE_VERSION)
    version = await connection.fetchval(_VERSION) or 0
    # A newer supervisor may have gone further; what this one needs of its tables stays.
    if version < len(_STEPS):
        for step in _STEPS[version:]:
            await connection.execute(step)
        await connection.execute(_SET_VERSION, len(_STEPS))
