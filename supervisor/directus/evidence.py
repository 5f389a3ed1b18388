"""Asking the database whether a change would lose data, and counting what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asyncpg import exceptions as pg

from supervisor.directus.diff import Change
from supervisor.directus.losses import (
    Loss,
    What,
    fills_itself,
    is_required,
    is_unique,
    may_lose,
    new_reference,
    target_type,
)
from supervisor.postgres.connect import quote_identifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from supervisor.postgres.connect import Connection

_LOCATE: Final = """
    SELECT c.oid::bigint AS relation, c.relkind::text AS kind, a.attnum AS attribute,
           format_type(a.atttypid, a.atttypmod) AS type
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $3 AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""
_VIEWS: Final = frozenset({"v", "m"})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object lies in the database; `attribute` and `type` are None where there is no such column."""

    table: str
    column: str
    relation: int
    is_view: bool
    attribute: int | None
    type: str | None


async def find_losses(connection: Connection, schema: str, changes: tuple[Change, ...]) -> tuple[Loss, ...]:
    """Find what the changes would lose, and what is in their way, in the order of the changes.

    Args:
        connection: a session that nobody else uses meanwhile.
        schema: the schema of Directus' tables.
        changes: the changes in question.

    Raises:
        asyncpg.PostgresError: when the rows cannot be read.
    """
    losses = []
    for change in changes:
        if may_lose(change) and (place := await _locate(connection, schema, change)):
            if change.kind == "relation":
                losses += [loss async for loss in _referring(connection, schema, change, place)]
            else:
                losses += [loss async for loss in _examine(connection, change, place)]
    return tuple(losses)


async def tables_in_question(connection: Connection, schema: str, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """Names of the tables whose rows decide whether the changes lose anything, in one order for all."""
    tables = set()
    for change in changes:
        place = await _locate(connection, schema, change) if may_lose(change) else None
        if place is not None and not place.is_view:
            tables.add(change.collection)
            reference = new_reference(change) if change.kind == "relation" else None
            if reference is not None and await _column_type(connection, schema, *reference):
                tables.add(reference[0])
    return tuple(sorted(tables))


async def _locate(connection: Connection, schema: str, change: Change) -> _Place | None:
    row = await connection.fetchrow(_LOCATE, schema, change.collection, change.field or "")
    if row is None:
        return None
    return _Place(
        f"{quote_identifier(schema)}.{quote_identifier(change.collection)}",
        quote_identifier(change.field or ""),
        row["relation"],
        row["kind"] in _VIEWS,
        row["attribute"],
        row["type"],
    )


async def _examine(connection: Connection, change: Change, place: _Place) -> AsyncIterator[Loss]:
    if change.kind == "collection":
        if place.is_view:
            yield Loss(change, What.VIEW, 0, place.relation)
        elif rows := await _count(connection, place, "*"):
            yield Loss(change, What.DROP, rows, place.relation)
    elif change.action == "create":
        async for loss in _added(connection, change, place):
            yield loss
    elif place.attribute is not None and change.action == "delete":
        if values := await _count(connection, place, place.column):
            yield Loss(change, What.DROP, values, place.relation, place.attribute)
    elif place.attribute is not None:
        async for loss in _altered(connection, change, place, place.attribute):
            yield loss


async def _referring(connection: Connection, schema: str, change: Change, place: _Place) -> AsyncIterator[Loss]:
    reference = new_reference(change)
    if reference is None or place.attribute is None or place.is_view:
        return
    table, column = reference
    there = await _column_type(connection, schema, table, column)
    if there is None:
        # What it refers to is only made by this apply, and is empty.
        orphans = await _count(connection, place, place.column)
    else:
        # One of the two may get the other's type in the same apply.
        cast = "" if there == place.type else "::text"
        orphans = int(
            await connection.fetchval(
                f"SELECT count(*) FROM {place.table} t WHERE t.{place.column} IS NOT NULL AND NOT EXISTS ("  # noqa: S608
                f"SELECT FROM {quote_identifier(schema)}.{quote_identifier(table)} r "
                f"WHERE r.{quote_identifier(column)}{cast} = t.{place.column}{cast})"
            )
        )
    if orphans:
        yield Loss(change, What.ORPHANS, orphans, place.relation, place.attribute, f"{table}.{column}")


async def _column_type(connection: Connection, schema: str, table: str, column: str) -> str | None:
    row = await connection.fetchrow(_LOCATE, schema, table, column)
    return None if row is None else row["type"]


async def _added(connection: Connection, change: Change, place: _Place) -> AsyncIterator[Loss]:
    # A field without a schema is an alias, which has no column.
    rows = await _count(connection, place, "*") if (change.after or {}).get("schema") else 0
    if rows and is_required(change.after) and not fills_itself(change.after):
        yield Loss(change, What.REQUIRED, rows, place.relation)
    elif rows > 1 and is_unique(change.after) and ((change.after or {})["schema"]).get("default_value") is not None:
        yield Loss(change, What.UNIQUE, rows - 1, place.relation)


async def _altered(connection: Connection, change: Change, place: _Place, attribute: int) -> AsyncIterator[Loss]:
    before, after = change.before or {}, change.after or {}
    if not after.get("schema"):
        return
    wanted = target_type(after, before)
    if wanted is not None and wanted != place.type:
        detail = f"{place.type} to {wanted}"
        try:
            lost = await _count_unlike(connection, place, wanted)
        except (pg.DataError, pg.CannotCoerceError):
            yield Loss(change, What.IMPOSSIBLE, 0, place.relation, attribute, detail)
        else:
            if lost:
                yield Loss(change, What.CONVERT, lost, place.relation, attribute, detail)
    if is_required(after) and not is_required(before):
        rows, values = await _count(connection, place, "*"), await _count(connection, place, place.column)
        if rows > values:
            yield Loss(change, What.REQUIRED, rows - values, place.relation, attribute)
    if is_unique(after) and not is_unique(before):
        values, distinct = (
            await _count(connection, place, place.column),
            await _count(connection, place, f"DISTINCT {place.column}"),
        )
        if values > distinct:
            yield Loss(change, What.UNIQUE, values - distinct, place.relation, attribute)


async def _count(connection: Connection, place: _Place, what: str) -> int:
    return int(await connection.fetchval(f"SELECT count({what}) FROM {place.table}"))  # noqa: S608 - quoted


async def _count_unlike(connection: Connection, place: _Place, wanted: str) -> int:
    """How many values are not the same after a cast to the wanted type and back."""
    column = place.column
    there_and_back = f"({column}::{wanted})::{place.type}"
    query = (
        f"SELECT count(*) FROM {place.table} "  # noqa: S608 - quoted
        f"WHERE {column}::text IS DISTINCT FROM ({there_and_back})::text"
    )
    async with connection.transaction():
        return int(await connection.fetchval(query))
