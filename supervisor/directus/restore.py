"""Bringing back what was copied out: all of a backup or nothing of it, and never over anything that is there."""

# ruff: noqa: S608 - every name in a statement is quoted
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncpg import DuplicateObjectError, PostgresError

from supervisor import errors
from supervisor.directus.backup_files import unpacked
from supervisor.directus.backup_manifest import Backup, Item
from supervisor.directus.ddl import quoted
from supervisor.directus.history import bring_back, move_sequences
from supervisor.directus.put_back import put_back
from supervisor.errors import SupervisorError
from supervisor.postgres.connect import lost, quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

_SESSION: Final = "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0"
_COLUMNS: Final = """
    SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
_STAGED: Final = "restored"


async def restore(connection: Connection, backup: Backup) -> list[str]:
    """Bring all items of a backup back, in one transaction.

    Args:
        connection: the session that holds the migration lock.
        backup: what to bring back.

    Returns:
        What was done, one sentence each.

    Raises:
        SupervisorError: ``backup.restore_refused``; nothing was changed then.
    """
    done: list[str] = []
    try:
        async with connection.transaction():
            await connection.execute(_SESSION)
            # Tables first: a column of another item may refer to one.
            for item in sorted(backup.items, key=lambda item: item.field is not None):
                done += await _restore_item(connection, item)
            for item in backup.items:
                done += await _tie_again(connection, item)
                done += await put_back(connection, item)
                done += await bring_back(connection, item.schema, item.history)
    except PostgresError as error:
        if lost(error):
            raise
        raise SupervisorError(errors.RESTORE_REFUSED, f"{backup.folder}: {error}; nothing was changed") from error
    return done


async def _restore_item(connection: Connection, item: Item) -> list[str]:
    table = table_of(item)
    present = {row["name"]: row["type"] for row in await connection.fetch(_COLUMNS, table)}
    if item.field is None:
        if not present:
            return [await _make_table(connection, item, table)]
        return [await _fill_table(connection, item, table, present)]
    if not present:
        raise _refused(item, f"there is no table {table}")
    return await _restore_column(connection, item, table, present)


def table_of(item: Item) -> str:
    """The qualified name of the item's table."""
    return f"{quote_identifier(item.schema)}.{quote_identifier(item.collection)}"


async def _make_table(connection: Connection, item: Item, table: str) -> str:
    for statement in item.definition.create:
        await connection.execute(statement)
    await _load(connection, item, item.collection, item.schema)
    for statement in item.definition.finish:
        await connection.execute(statement)
    return f"{table}: made again, with {item.rows} rows"


async def _fill_table(connection: Connection, item: Item, table: str, present: dict[str, str]) -> str:
    _require_columns(item, present)
    columns, key = quoted(_names(item)), item.definition.key
    if not key and await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
        raise _refused(item, f"{table} has rows, and no primary key by which to tell them from those of the backup")
    await connection.execute(
        f"CREATE TEMP TABLE {_STAGED} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
    )
    await _load(connection, item, _STAGED, None)
    same_key = _same_key(key)
    if key:
        unlike = await connection.fetchval(
            f"SELECT count(*) FROM pg_temp.{_STAGED} s JOIN {table} t ON {same_key} "
            f"WHERE ROW({quoted(_names(item), 's.')})::text IS DISTINCT FROM ROW({quoted(_names(item), 't.')})::text"
        )
        if unlike:
            raise _refused(item, f"{unlike} rows of {table} have a key of the backup, and other values")
    inserted = await connection.execute(
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{_STAGED} s "
        f"WHERE NOT EXISTS (SELECT FROM {table} t WHERE {same_key})"
    )
    await connection.execute(f"DROP TABLE pg_temp.{_STAGED}")
    await move_sequences(connection, table, _names(item))
    return f"{table}: {inserted.split()[-1]} of {item.rows} rows brought back, the others were there"


async def _restore_column(connection: Connection, item: Item, table: str, present: dict[str, str]) -> list[str]:
    key = item.definition.key
    assert item.field is not None  # noqa: S101 - the caller has looked
    if not key:
        raise _refused(item, f"{table} had no primary key: the values in {item.file} are to be taken by hand")
    column, kept = item.definition.columns[-1], quote_identifier(item.field)
    if missing := [name for name in key if name not in present]:
        raise _refused(item, f"{table} has no {', '.join(missing)}, which its primary key was")
    is_new = item.field not in present
    if is_new:
        for statement in item.definition.create:
            await connection.execute(statement)
    declared = ", ".join(f"{quote_identifier(part.name)} {part.type}" for part in item.definition.columns)
    await connection.execute(f"CREATE TEMP TABLE {_STAGED} ({declared}) ON COMMIT DROP")
    await _load(connection, item, _STAGED, None)
    same_key = _same_key(key)
    # A value that was narrowed is what the cast made of the old one; any other was written since.
    narrowed = f"s.{kept}" if is_new else f"s.{kept}::{present[item.field]}"
    written = await connection.fetchval(
        f"SELECT count(*) FROM pg_temp.{_STAGED} s JOIN {table} t ON {same_key} WHERE t.{kept} IS NOT NULL "
        f"AND t.{kept}::text IS DISTINCT FROM ({narrowed})::text AND t.{kept}::text IS DISTINCT FROM s.{kept}::text"
    )
    if written:
        raise _refused(item, f"{written} rows of {table} have another value in {item.field} since")
    if not is_new and present[item.field] != column.type:
        await connection.execute(
            f"ALTER TABLE {table} ALTER COLUMN {kept} TYPE {column.type} USING {kept}::{column.type}"
        )
    updated = await connection.execute(
        f"UPDATE {table} t SET {kept} = s.{kept} FROM pg_temp.{_STAGED} s WHERE {same_key}"
    )
    await connection.execute(f"DROP TABLE pg_temp.{_STAGED}")
    if is_new:
        for statement in item.definition.finish:
            await connection.execute(statement)
    count = int(updated.split()[-1])
    done = [f"{item.name}: {count} values brought back"]
    if count < item.rows:
        done.append(f"{item.name}: {item.rows - count} rows of the backup are no longer in {table}")
    return done


async def _load(connection: Connection, item: Item, table: str, schema: str | None) -> None:
    status = await connection.copy_to_table(
        table, source=unpacked(item.file), schema_name=schema, columns=_names(item), format="text"
    )
    if int(status.split()[-1]) != item.rows:
        raise _refused(item, f"{item.file} holds {status.split()[-1]} rows, its manifest says {item.rows}")


async def _tie_again(connection: Connection, item: Item) -> list[str]:
    """Add the foreign keys of other tables; what they point from may be gone by now, or have other rows."""
    done = []
    for statement in item.definition.foreign:
        try:
            async with connection.transaction():
                await connection.execute(statement)
        except DuplicateObjectError:
            continue
        except PostgresError as error:
            if lost(error):
                raise
            done.append(f"{item.name}: not brought back: {statement}: {error}")
    return done


def _require_columns(item: Item, present: dict[str, str]) -> None:
    for column in item.definition.columns:
        there = present.get(column.name)
        if there != column.type:
            what = "has no such column" if there is None else f"has it as {there}"
            raise _refused(item, f"its column {column.name} was {column.type}; the table that is there {what}")


def _same_key(key: tuple[str, ...]) -> str:
    return " AND ".join(f"s.{quote_identifier(name)} = t.{quote_identifier(name)}" for name in key) or "false"


def _names(item: Item) -> list[str]:
    return [column.name for column in item.definition.columns]


def _refused(item: Item, why: str) -> SupervisorError:
    return SupervisorError(errors.RESTORE_REFUSED, f"{item.name} cannot be restored: {why}; nothing was changed")
