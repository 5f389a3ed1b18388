"""What the database holds, and what of the snapshot it does not: the proof that an apply had its effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from supervisor.directus.schema import LeaveOut, Outline
from supervisor.postgres.connect import quote_identifier

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

_TABLES: Final = """
    SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""
_COLUMNS: Final = """
    SELECT c.relname::text AS collection, a.attname::text AS field
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped
"""
_TRACKED: Final = "SELECT collection::text FROM {schema}.directus_collections"
_RELATIONS: Final = (
    "SELECT many_collection::text AS collection, many_field::text AS field FROM {schema}.directus_relations"
)


async def existing_tables(connection: Connection, schema: str) -> frozenset[str]:
    """Names of the tables and views of a schema."""
    return frozenset(row["name"] for row in await connection.fetch(_TABLES, schema))


async def existing_columns(connection: Connection, schema: str) -> frozenset[tuple[str, str]]:
    """Tables and names of the columns of a schema."""
    return frozenset((row["collection"], row["field"]) for row in await connection.fetch(_COLUMNS, schema))


async def missing_objects(connection: Connection, schema: str, outline: Outline, left_out: LeaveOut) -> list[str]:
    """Names of what the snapshot holds and the database does not; the proof that the apply had its effect."""
    quoted = quote_identifier(schema)
    tables = await existing_tables(connection, schema)
    columns = await existing_columns(connection, schema)
    tracked = {row["collection"] for row in await connection.fetch(_TRACKED.format(schema=quoted))}
    rows = await connection.fetch(_RELATIONS.format(schema=quoted))
    relations = {(row["collection"], row["field"]) for row in rows}
    missing = [f"table {name}" for name in sorted(outline.tables - tables) if not left_out.covers("collection", name)]
    missing += [
        f"collection {name}"
        for name in sorted(outline.collections - tracked)
        if not left_out.covers("collection", name)
    ]
    missing += [
        f"column {collection}.{name}"
        for collection, name in sorted(outline.columns - columns)
        if not left_out.covers("field", collection, name)
    ]
    missing += [
        f"relation {collection}.{name}"
        for collection, name in sorted(outline.relations - relations)
        if not left_out.covers("relation", collection, name)
    ]
    return missing
