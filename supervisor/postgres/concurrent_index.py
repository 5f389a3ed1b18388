"""Indexes that are built concurrently: a build that failed leaves an invalid one, which is dropped before the next.

PostgreSQL documentation, CREATE INDEX, "Building Indexes Concurrently": the invalid index is no use to queries but
still costs every write; the way to recover is to drop it and to build it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from supervisor.postgres.connect import quote_identifier
from supervisor.postgres.splitter import Statement, Token, tokens

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# An index that another session is still building is invalid, too, and none of ours to drop.
_INVALID: Final = """
    SELECT n.nspname::text
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indrelid = to_regclass($1) AND c.relname = $2 AND c.relkind = 'i' AND NOT i.indisvalid
       AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
"""


@dataclass(frozen=True, slots=True)
class ConcurrentIndex:
    """What a ``CREATE INDEX CONCURRENTLY`` is about.

    Attributes:
        name: the index' name as the catalogue has it; None when the server is to choose one.
        table: the table, as it stands in the statement.
    """

    name: str | None
    table: str


def concurrent_index(statement: Statement) -> ConcurrentIndex | None:
    """The index that a statement builds concurrently; None for any other statement. Pure."""
    if statement.words[:1] != ("create",) or "concurrently" not in statement.words:
        return None
    rest = list(tokens(statement.text))
    words = [token.text.lower() if token.kind == "word" else "" for token in rest]
    if words[: (before := words.index("concurrently"))] not in (["create", "index"], ["create", "unique", "index"]):
        return None
    rest, words = rest[before + 1 :], words[before + 1 :]
    if words[:3] == ["if", "not", "exists"]:
        rest, words = rest[3:], words[3:]
    name = None
    if words[:1] != ["on"]:
        name, rest, words = _name(rest[:1]), rest[1:], words[1:]
    rest = rest[2:] if words[1:2] == ["only"] else rest[1:]
    return ConcurrentIndex(name, _table(rest))


def waits_harmlessly(statement: Statement) -> bool:
    """Whether a statement's waiting blocks neither readers nor writers, so that no limit is needed. Pure."""
    return statement.words[:1] in {("create",), ("drop",), ("reindex",)} and "concurrently" in statement.words


async def drop_invalid(connection: Connection, index: ConcurrentIndex) -> bool:
    """Drop what a failed build of this index has left; whether there was something.

    Raises:
        asyncpg.PostgresError: it cannot be dropped.
    """
    if index.name is None:
        return False
    schema = await connection.fetchval(_INVALID, index.table, index.name)
    if schema is None:
        return False
    await connection.execute(f"DROP INDEX CONCURRENTLY {quote_identifier(schema)}.{quote_identifier(index.name)}")
    return True


def _name(token: list[Token]) -> str | None:
    for one in token:
        return one.text[1:-1].replace('""', '"') if one.kind == "identifier" else one.text.lower()
    return None


def _table(rest: list[Token]) -> str:
    parts: list[str] = []
    for token in rest:
        is_name = token.kind in {"word", "identifier"}
        if (is_name and parts and parts[-1] != ".") or not (is_name or token.text == "."):
            break
        parts.append(token.text)
    return "".join(parts)
