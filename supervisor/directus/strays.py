"""Steps of Directus whose supervisor is gone: the lock that covered them is ours now, so they must not go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

# node-postgres takes it from PGAPPNAME, as libpq does.
STEP_APPLICATION_NAME: Final = "directus-supervisor step"

_END: Final = """
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND application_name = $1
"""
_POLL_S: Final = 0.1
_LIMIT_S: Final = 15.0
_log = get_log("directus")


async def end_stray_steps(connection: Connection) -> None:
    """End the sessions of steps that an earlier holder of the migration lock has left behind.

    Raises:
        SupervisorError: ``lock.timeout`` when they come back again and again.
    """
    told: set[int] = set()
    with anyio.move_on_after(_LIMIT_S):
        while pids := [int(row["pid"]) for row in await connection.fetch(_END, STEP_APPLICATION_NAME)]:
            if not told.issuperset(pids):
                told.update(pids)
                _log.emit(events.DIRECTUS_STRAY_STEP, backends=pids)
            await anyio.sleep(_POLL_S)
        return
    raise SupervisorError(
        errors.LOCK_TIMEOUT,
        f"A Directus step of another supervisor goes on although its migration lock is lost (backends {sorted(told)})",
        remedy="Stop the other supervisor, or the node process that it has left behind.",
    )
