"""Copying tables and columns out before they are dropped, with all that it takes to make them again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncpg import PostgresError

from supervisor import __version__, errors
from supervisor.directus.backup_files import GzipWriter, new_backup
from supervisor.directus.ddl import Definition, describe, quoted
from supervisor.directus.history import copy_history
from supervisor.directus.losses import Loss
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import connection_lost, lost, quote_identifier, server_version

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.connect import Connection

# An empty search path makes the catalogue qualify every name; the others keep values exact in any later session.
# With row_security off a policy that would hide rows is an error.
_SESSION: Final = """
    SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0;
    SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL bytea_output = 'hex';
    SET LOCAL extra_float_digits = 1; SET LOCAL timezone = 'UTC'; SET LOCAL lc_monetary = 'C'
"""
# What Directus knows of a collection, or of one field of it, and of the fields that show the other side of its
# relations. For a collection $2 is null.
_DIRECTUS: Final = {
    "directus_collections": "$2::text IS NULL AND t.collection = $1",
    "directus_fields": """
        t.collection = $1 AND ($2::text IS NULL OR t.field = $2) OR EXISTS (
            SELECT FROM {schema}.directus_relations r
             WHERE (r.many_collection = $1 AND ($2::text IS NULL OR r.many_field = $2))
               AND r.one_collection = t.collection AND r.one_field = t.field)
    """,
    "directus_relations": """
        t.many_collection = $1 AND ($2::text IS NULL OR t.many_field = $2)
        OR $2::text IS NULL AND t.one_collection = $1
    """,
    "directus_permissions": "$2::text IS NULL AND t.collection = $1",
}
_NAME: Final = "%Y%m%dT%H%M%SZ"
_log = get_log("backup")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a backup is made, for its manifest.

    Attributes:
        digest: of the plan.
        database: host, port and name.
        snapshot: the file that is applied.
        directus_version: of the installation.
        created_at: now.
    """

    digest: str
    database: str
    snapshot: str
    directus_version: str
    created_at: datetime

    @classmethod
    def of(cls, configuration: Configuration, digest: str) -> Occasion:
        """The occasion of a schema apply."""
        return cls(
            digest,
            configuration.target.label,
            str(configuration.settings.snapshot),
            configuration.installation.version,
            datetime.now(UTC),
        )


def require_folder(folder: Path | None) -> Path:
    """The folder for backups, if it can take one.

    It is not made here: a folder that is missing is a volume that is not mounted, and a copy in the container's own
    file system would go with the container.

    Raises:
        SupervisorError: ``schema.backup_failed``.
    """
    if folder is None:
        raise SupervisorError(
            errors.SCHEMA_BACKUP_FAILED,
            "SUPERVISOR_BACKUP_DIR is not set: what was approved is dropped only after a copy of it was written",
        )
    if not folder.is_dir():
        raise SupervisorError(
            errors.SCHEMA_BACKUP_FAILED, f"SUPERVISOR_BACKUP_DIR is {folder}, which is not a folder that is there"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SupervisorError(
            errors.SCHEMA_BACKUP_FAILED, f"SUPERVISOR_BACKUP_DIR is {folder}, where this user may not write"
        )
    return folder


async def back_up(
    connection: Connection, folder: Path, losses: tuple[Loss, ...], schema: str, occasion: Occasion
) -> Path:
    """Copy out what would be lost: whole tables, and columns with the primary key beside them.

    Args:
        connection: a session of its own; nobody may write to the tables meanwhile.
        folder: where backups lie.
        losses: what would be lost.
        schema: the schema of Directus' tables.
        occasion: for the manifest.

    Returns:
        The folder of the backup, complete and on the disk.

    Raises:
        SupervisorError: ``schema.backup_failed``; ``postgres.connection_lost``.
    """
    require_folder(folder)
    name = f"{occasion.created_at.strftime(_NAME)}-{occasion.digest}"
    try:
        async with new_backup(folder, name) as (partial, manifest):
            manifest.update(asdict(occasion), created_at=occasion.created_at.isoformat())
            manifest.update(supervisor_version=__version__, postgres_version=server_version(connection))
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(_SESSION)
                manifest["items"] = [
                    await _copy_out(connection, partial, number, loss, schema)
                    for number, loss in enumerate(_distinct(losses), 1)
                ]
    except OSError as error:
        reason = error.strerror or str(error)
        raise SupervisorError(
            errors.SCHEMA_BACKUP_FAILED, f"The backup in {folder} cannot be written: {reason}; nothing was dropped"
        ) from error
    except PostgresError as error:
        if lost(error):
            raise connection_lost("the backup", error) from error
        raise SupervisorError(
            errors.SCHEMA_BACKUP_FAILED, f"What was to be dropped cannot be read: {error}; nothing was dropped"
        ) from error
    path, items = Path(manifest["path"]), manifest["items"]
    _log.emit(
        events.BACKUP_WRITTEN,
        path=str(path),
        items=[item["name"] for item in items],
        rows=sum(item["rows"] for item in items),
        compressed_bytes=sum(part["size_bytes"] for item in items for part in (item, *item["history"])),
    )
    return path


def _distinct(losses: tuple[Loss, ...]) -> list[Loss]:
    return list({(loss.relation, loss.attribute): loss for loss in losses}.values())


async def _copy_out(connection: Connection, partial: Path, number: int, loss: Loss, schema: str) -> dict[str, Any]:
    collection, field = loss.change.collection, loss.change.field
    table = f"{quote_identifier(schema)}.{quote_identifier(collection)}"
    definition = await describe(connection, table, loss.relation, loss.attribute)
    writer = GzipWriter(partial / f"{number:03}.copy.gz")
    try:
        status = await connection.copy_from_query(_query(table, definition), output=writer.write, format="text")
        written = await writer.finish()
    finally:
        writer.close()
    return {
        "name": loss.change.name,
        "schema": schema,
        "collection": collection,
        "field": field,
        "why": loss.sentence,
        "rows": int(status.split()[-1]),
        "file": written.name,
        "size_bytes": written.size_bytes,
        "sha256": written.sha256,
        "definition": asdict(definition),
        "history": await copy_history(connection, partial, number, schema, collection) if field is None else [],
        "directus": await _known_to_directus(connection, schema, collection, field),
    }


def _query(table: str, definition: Definition) -> str:
    columns = quoted([column.name for column in definition.columns])
    # COPY of the table itself would leave out what its partitions and descendants hold.
    return f"SELECT {columns} FROM {table}"  # noqa: S608 - quoted


async def _known_to_directus(
    connection: Connection, schema: str, collection: str, field: str | None
) -> dict[str, list[str]]:
    # As text: a number in it would not survive being read and written again.
    known = {}
    within = quote_identifier(schema)
    for table, condition in _DIRECTUS.items():
        query = f"SELECT to_jsonb(t)::text FROM {within}.{table} t WHERE {condition.format(schema=within)}"  # noqa: S608
        known[table] = [str(row[0]) for row in await connection.fetch(query, collection, field)]
    return known
