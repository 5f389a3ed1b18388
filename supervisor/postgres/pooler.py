"""Telling a pooler in transaction mode, in which no session is our own, from a server and from a pool of sessions.

Such a pooler hands its one server session to another client as soon as a transaction is over. A session-level advisory
lock would then belong to whoever comes next, and outlive us. PgBouncer and its like tell a client another process id at
the start than the server's own, since they pass on cancel requests themselves; by that a proxy is suspected, without
asking. Whether it shares sessions is found by a second client: in transaction mode it meets our idle server session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncpg import exceptions as pg

from supervisor.errors import LOCK_POOLER, SupervisorError
from supervisor.postgres.connect import connect

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.target import Target

# Evaluated only on a session of the server itself, in the same round trip that takes the lock.
UNLESS_PROXIED: Final = "CASE WHEN pg_backend_pid() = $2 THEN {expression} END"

# A pool that takes its server sessions in turn (PgBouncer: server_round_robin) has twenty of them by default.
_LOOKS: Final = 25
_PROBE_S: Final = 2.0


async def require_own_session(connection: Connection, target: Target) -> None:
    """Prove that no other client is given the server session behind a proxied connection.

    Args:
        connection: an idle session, of whose server a proxy is in front.
        target: by which it was opened.

    Raises:
        SupervisorError: ``lock.pooler``.
        asyncpg.PostgresError, OSError: the session is lost.
    """
    try:
        own = await _backend_pid(connection)
    except pg.PostgresError as error:
        # PgBouncer's words for a transaction in its statement mode, with which it closes the connection.
        if "statement pooling" in str(error):
            raise _pooler(target, "statement", "each statement") from error
        raise
    try:
        probe = await connect(target, _PROBE_S)
    except (TimeoutError, pg.TooManyConnectionsError, pg.ProtocolViolationError):
        # There is no free session for another client: ours is not given away.
        return
    try:
        first = await _backend_pid(probe)
        shared = first == own
        for _ in range(_LOOKS):
            # A pool of sessions never gives one client two of them.
            shared = shared or await _backend_pid(probe) != first
    finally:
        probe.terminate()
    if shared or await _backend_pid(connection) != own:
        raise _pooler(target, "transaction", "each transaction")


def _pooler(target: Target, mode: str, when: str) -> SupervisorError:
    return SupervisorError(
        LOCK_POOLER,
        f"{target.label} is a pooler in {mode} mode: after {when} it gives the server session that would hold the "
        "migration lock to other clients",
    )


async def _backend_pid(connection: Connection) -> int:
    """The process that serves a statement of this connection, on the server itself.

    Asked within a transaction, since a driver takes two round trips for a statement, between which a pooler may switch.
    """
    async with connection.transaction():
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
