"""Approving one plan that loses data: its digest, and the record that each approval was used.

The digest is bound to what is there: the database, the tables' OIDs and the columns' numbers, and to how many approvals
were used so far. So the same plan has the same digest at each boot, however many rows come and go; and once a plan was
carried out, or a table of that name was made anew, the same digest approves nothing any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from supervisor.directus.losses import Loss

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

_LENGTH: Final = 16
_USED: Final = "SELECT count(*) FROM supervisor.approvals"
_EXISTS: Final = "SELECT to_regclass('supervisor.approvals') IS NOT NULL"
_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'supervisor')"
_DATABASE: Final = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
_MAKE_SCHEMA: Final = "CREATE SCHEMA supervisor"
_MAKE_TABLE: Final = """
    CREATE TABLE supervisor.approvals (
        number bigint PRIMARY KEY, digest text NOT NULL, used_at timestamptz NOT NULL DEFAULT now())
"""


async def digest_of(connection: Connection, losses: Iterable[Loss]) -> str:
    """The digest of the destructive part of a plan; what the database refuses by itself is no part of it."""
    database = int(await connection.fetchval(_DATABASE))
    return digest(losses, database, await approvals_used(connection))


def digest(losses: Iterable[Loss], database: int, used: int) -> str:
    """The digest of the destructive part of a plan. Pure.

    Args:
        losses: what would be lost, in any order; the counts are no part of the digest.
        database: OID of the database.
        used: how many approvals were used so far.
    """
    entries = sorted(
        [loss.change.kind, loss.change.name, loss.what.value, loss.detail, loss.relation, loss.attribute]
        for loss in losses
        if not loss.blocked
    )
    text = json.dumps([database, used, entries], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


async def approvals_used(connection: Connection) -> int:
    """How many approvals were used on this database so far."""
    if not await connection.fetchval(_EXISTS):
        return 0
    return int(await connection.fetchval(_USED))


async def recording(connection: Connection, digest: str) -> list[str]:
    """Statements that record the use of an approval, to be run in the transaction of the apply itself.

    The number of the use is the record's key, so that no approval can be used twice at once.
    """
    # Not IF NOT EXISTS: that wants the right to create even where the thing is there.
    statements = []
    if not await connection.fetchval(_EXISTS):
        if not await connection.fetchval(_HAS_SCHEMA):
            statements.append(_MAKE_SCHEMA)
        statements.append(_MAKE_TABLE)
    number = await approvals_used(connection) + 1
    # Through an integer, so that whatever was configured, digits alone get into the statement.
    values = f"VALUES ({number}, '{int(digest, 16):0{_LENGTH}x}')"
    return [*statements, f"INSERT INTO supervisor.approvals (number, digest) {values}"]
