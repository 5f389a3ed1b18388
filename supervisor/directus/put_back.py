"""Telling Directus again what it knew of a collection or a field: its own rows about it."""

# ruff: noqa: S608 - every name in a statement is quoted
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from asyncpg import PostgresError

from supervisor.directus.backup_manifest import Item
from supervisor.directus.ddl import quoted
from supervisor.postgres.connect import lost, quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# By which columns a row is known; its id is a number that another row may have by now.
_KNOWN_BY: Final = {
    "directus_collections": ("collection",),
    "directus_fields": ("collection", "field"),
    "directus_relations": ("many_collection", "many_field"),
    "directus_permissions": ("policy", "collection", "action"),
}
_COLUMNS: Final = """
    SELECT attname::text FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attname <> 'id' AND attgenerated = ''
"""
_GROUP: Final = "group"


async def put_back(connection: Connection, item: Item) -> list[str]:
    """Insert Directus' rows about an item where there are none; what is there stays as it is.

    Returns:
        What could not be brought back, one sentence each.
    """
    troubles = []
    for name, known_by in _KNOWN_BY.items():
        table = f"{quote_identifier(item.schema)}.{name}"
        columns = [row[0] for row in await connection.fetch(_COLUMNS, table)]
        for row in item.directus.get(name, []):
            try:
                async with connection.transaction():
                    await _insert(connection, table, columns, known_by, row)
            except PostgresError as error:
                if lost(error):
                    raise
                troubles.append(f"{item.name}: a row of {name} was not brought back: {error}")
    return troubles


async def _insert(connection: Connection, table: str, columns: list[str], known_by: tuple[str, ...], row: str) -> None:
    document = json.loads(row)
    shared = [name for name in columns if name in document]
    same = " AND ".join(
        f"t.{quote_identifier(name)} IS NOT DISTINCT FROM r.{quote_identifier(name)}" for name in known_by
    )
    replaced = "{}"
    if table.endswith(".directus_collections") and document.get(_GROUP) is not None:
        # Directus moves what is in a folder out of it when the folder goes.
        there = f"SELECT EXISTS (SELECT FROM {table} WHERE collection = $1)"
        if not await connection.fetchval(there, document[_GROUP]):
            replaced = json.dumps({_GROUP: None})
    await connection.execute(
        f"INSERT INTO {table} ({quoted(shared)}) SELECT {quoted(shared)} "
        f"FROM jsonb_populate_record(NULL::{table}, $1::jsonb || $2::jsonb) r "
        f"WHERE NOT EXISTS (SELECT FROM {table} t WHERE {same})",
        row,
        replaced,
    )
