"""What Directus has written down about the rows of a collection, and deletes with it: copied out, and brought back.

``CollectionsService.deleteOne`` of @directus/api deletes presets, activity and revisions; content versions and shares
go by their foreign key to ``directus_collections``. These tables can be long, so they are files of their own.
"""

# ruff: noqa: S608 - every name in a statement is quoted
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncpg import PostgresError

from supervisor.directus.backup_files import GzipWriter, unpacked
from supervisor.directus.ddl import quoted
from supervisor.postgres.connect import lost, quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# In the order in which they refer to one another: revisions to activity and versions.
_TABLES: Final = ("directus_presets", "directus_activity", "directus_versions", "directus_revisions", "directus_shares")
_COLUMNS: Final = """
    SELECT attname::text FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
_STAGED: Final = "history"


@dataclass(frozen=True, slots=True)
class History:
    """What one table of Directus held about a collection.

    Attributes:
        table: its name.
        columns: what was copied, in order.
        rows: how many.
        file: the compressed values, in the text format of COPY.
    """

    table: str
    columns: tuple[str, ...]
    rows: int
    file: Path


async def copy_history(
    connection: Connection, partial: Path, number: int, schema: str, collection: str
) -> list[dict[str, Any]]:
    """Copy out all that is there about a collection.

    Args:
        connection: within the transaction of the backup.
        partial: the folder to write into.
        number: of the backup's item.
        schema: the schema of Directus' tables.
        collection: name of the collection.

    Returns:
        One entry of the manifest for each table that holds anything.
    """
    entries = []
    for table in _TABLES:
        qualified = f"{quote_identifier(schema)}.{table}"
        columns = [str(row[0]) for row in await connection.fetch(_COLUMNS, qualified)]
        if "id" not in columns or "collection" not in columns:
            continue
        writer = GzipWriter(partial / f"{number:03}.{table}.copy.gz")
        try:
            query = f"SELECT {quoted(columns)} FROM {qualified} WHERE collection = $1"
            status = await connection.copy_from_query(query, collection, output=writer.write, format="text")
            written = await writer.finish()
        finally:
            writer.close()
        rows = int(status.split()[-1])
        if not rows:
            (partial / written.name).unlink()
            continue
        entries.append(
            {
                "table": table,
                "columns": columns,
                "rows": rows,
                "file": written.name,
                "size_bytes": written.size_bytes,
                "sha256": written.sha256,
            }
        )
    return entries


async def bring_back(connection: Connection, schema: str, history: Iterable[History]) -> list[str]:
    """Insert what is not there any more, table by table.

    Returns:
        What was done, and what could not be, one sentence each.
    """
    done = []
    for part in history:
        table = f"{quote_identifier(schema)}.{quote_identifier(part.table)}"
        try:
            async with connection.transaction():
                inserted = await _insert(connection, table, part)
        except (PostgresError, ValueError) as error:
            if lost(error):
                raise
            done.append(f"{part.table}: not brought back, its {part.rows} rows are in {part.file}: {error}")
        else:
            done.append(f"{part.table}: {inserted} of {part.rows} rows brought back")
    return done


async def _insert(connection: Connection, table: str, part: History) -> int:
    columns = quoted(list(part.columns))
    await connection.execute(
        f"CREATE TEMP TABLE {_STAGED} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
    )
    status = await connection.copy_to_table(
        _STAGED, source=unpacked(part.file), columns=list(part.columns), format="text"
    )
    if int(status.split()[-1]) != part.rows:
        raise ValueError(f"the file holds {status.split()[-1]} rows")
    inserted = await connection.execute(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM pg_temp.{_STAGED} s "
        f"WHERE NOT EXISTS (SELECT FROM {table} t WHERE t.id = s.id)"
    )
    await connection.execute(f"DROP TABLE pg_temp.{_STAGED}")
    await move_sequences(connection, table, part.columns)
    return int(inserted.split()[-1])


async def move_sequences(connection: Connection, table: str, columns: Iterable[str]) -> None:
    """Let the sequences of a table go on behind the highest value that is there."""
    for name in columns:
        sequence = await connection.fetchval("SELECT pg_get_serial_sequence($1, $2)", table, name)
        if sequence is not None:
            column = quote_identifier(name)
            await connection.execute(
                f"SELECT setval('{sequence}', greatest((SELECT max({column}) FROM {table}), nextval('{sequence}')))"
            )
