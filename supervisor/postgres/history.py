"""The past boots: one row each in ``supervisor.boots``, the last thousand of them.

A row costs one statement, so that a boot in which nothing changed stays cheap. Only a boot that holds the migration
lock makes the table; where it is not there, the others leave no trace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg

from supervisor import __version__
from supervisor.postgres.state import KEPT_BOOTS, BootRecord, host_name, record_boot

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# One statement for the row and for the ones that go: a transaction would cost two round trips more.
_ADD: Final = """
    WITH old AS (DELETE FROM supervisor.boots WHERE id <= (SELECT max(id) FROM supervisor.boots) - $8::bigint)
    INSERT INTO supervisor.boots
           (started_at, duration_s, host, supervisor_version, directus_version, failure, phases)
    VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""
_EXISTS: Final = "SELECT to_regclass('supervisor.boots') IS NOT NULL"
_READ: Final = """
    SELECT started_at, duration_s, host, supervisor_version, directus_version, failure, phases::text AS phases
      FROM supervisor.boots ORDER BY id DESC LIMIT $1
"""
_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class PastPhase:
    """What one phase did: "changed", "unchanged", "skipped", "failed" or "stopped"; and its seconds."""

    name: str
    outcome: str
    summary: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class PastBoot:
    """One boot of the past.

    Attributes:
        started_at: in UTC.
        duration_s: seconds from the first phase to the last.
        host: what the machine or container called itself.
        failure: code of the failure that ended it, "stopped" for a stop; None for a good boot.
        phases: those that it came to.
    """

    started_at: datetime
    duration_s: float
    host: str
    supervisor_version: str
    directus_version: str
    failure: str | None
    phases: tuple[PastPhase, ...]


def boot_record(
    started_at: datetime, duration_s: float, directus_version: str, failure: str | None, phases: Sequence[PastPhase]
) -> BootRecord:
    """A boot as it is kept. Pure."""
    document = json.dumps([asdict(phase) for phase in phases], ensure_ascii=False)
    # jsonb takes no NUL, which a failure's words may quote.
    return BootRecord(started_at, duration_s, directus_version, failure, document.replace("\\u0000", ""))


async def remember_boot(connection: Connection, boot: BootRecord, *, may_make: bool) -> None:
    """Add a boot to the history. Never fails, and never takes long: a boot is not worth less without its row.

    Args:
        connection: the session of the boot, outside a transaction.
        boot: what to remember.
        may_make: whether to make the table where it is not there; wants the migration lock.
    """
    values = (boot.started_at, boot.duration_s, host_name(), __version__, boot.directus_version)
    try:
        with anyio.fail_after(_PATIENCE_S):
            try:
                await connection.execute(_ADD, *values, boot.failure, boot.phases, KEPT_BOOTS)
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                if may_make:
                    await record_boot(connection, boot)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return


async def read_boots(connection: Connection, limit: int) -> tuple[PastBoot, ...]:
    """The last boots, the latest first; none where nothing was ever kept.

    Raises:
        asyncpg.PostgresError, OSError: the history cannot be read.
    """
    if not await connection.fetchval(_EXISTS):
        return ()
    return tuple(
        PastBoot(
            row["started_at"].astimezone(UTC),
            row["duration_s"],
            row["host"],
            row["supervisor_version"],
            row["directus_version"],
            row["failure"],
            _phases(row["phases"]),
        )
        for row in await connection.fetch(_READ, limit)
    )


def _phases(text: str) -> tuple[PastPhase, ...]:
    # Another version may have written other keys.
    document: Any = json.loads(text)
    phases = [each for each in document if isinstance(each, dict)] if isinstance(document, list) else []
    return tuple(
        PastPhase(
            str(each.get("name", "")),
            str(each.get("outcome", "")),
            str(each.get("summary", "")),
            float(each.get("duration_s") or 0.0),
        )
        for each in phases
    )
