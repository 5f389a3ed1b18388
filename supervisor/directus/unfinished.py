"""A first bootstrap that was interrupted.

Directus creates its tables without a transaction, and takes the table ``directus_collections`` for a finished
installation (directus#15522): bootstrapped again after an interruption it fails for ever, or never makes the admin.
As long as its tables hold nothing but what the bootstrap itself has written, they can be dropped, and all begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import asyncpg

from supervisor.directus.migrations import MigrationState, read_state
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import APPLICATION_NAME, quote_identifier

if TYPE_CHECKING:
    from supervisor.configuration import Configuration
    from supervisor.postgres.connect import Connection

# What seeds, migrations and the creation of the first admin write, up to the moment at which there is a user.
_WRITTEN_BY_BOOTSTRAP: Final = frozenset(
    f"directus_{name}" for name in ("migrations", "roles", "policies", "access", "permissions", "settings")
)
_TABLES: Final = """
    SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname LIKE 'directus\\_%' ORDER BY 1
"""
_OTHERS: Final = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
       AND application_name IS DISTINCT FROM $1)
"""
_WATCH_S: Final = 3.0
_log = get_log("directus")


def is_unfinished(state: MigrationState, configuration: Configuration) -> bool:
    """Whether the state can be that of an interrupted first bootstrap."""
    environment = configuration.environment
    admin_wanted = bool(environment.text("ADMIN_EMAIL") and environment.text("ADMIN_PASSWORD"))
    return state.begun and state.users == 0 and (not state.complete or admin_wanted)


async def settle(connection: Connection, configuration: Configuration) -> MigrationState:
    """The state once nobody changes it any more: a bootstrap started by hand knows nothing of our lock."""
    state = await read_state(connection, configuration)
    while is_unfinished(state, configuration) and await connection.fetchval(_OTHERS, APPLICATION_NAME):
        _log.emit(events.DIRECTUS_UNFINISHED, watch_s=_WATCH_S)
        await anyio.sleep(_WATCH_S)
        before, state = state, await read_state(connection, configuration)
        if state == before:
            break
    return state


async def start_over(connection: Connection, schema: str) -> tuple[str, ...]:
    """Drop what an interrupted first bootstrap has left, if that holds nothing of anybody's.

    Args:
        connection: holds the migration lock.
        schema: Directus' main schema; the prefix ``directus_`` is its own.

    Returns:
        The tables that were dropped; none when one of them holds data, or when something else depends on one.
    """
    try:
        async with connection.transaction():
            tables = [str(row["name"]) for row in await connection.fetch(_TABLES, schema)]
            quoted = {table: f"{quote_identifier(schema)}.{quote_identifier(table)}" for table in tables}
            await connection.execute(f"LOCK TABLE {', '.join(quoted.values())} IN ACCESS EXCLUSIVE MODE NOWAIT")
            for table in tables:
                sql = f"SELECT EXISTS (SELECT FROM {quoted[table]})"  # noqa: S608 - quoted names
                if table not in _WRITTEN_BY_BOOTSTRAP and await connection.fetchval(sql):
                    return ()
            await connection.execute(f"DROP TABLE {', '.join(quoted.values())}")
    except (
        asyncpg.DependentObjectsStillExistError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.LockNotAvailableError,
    ):
        return ()
    return tuple(tables)
