"""The migration lock: one session-level advisory lock per database.

It is polled with ``pg_try_advisory_lock`` on an idle session: a session that *blocks* in the lock holds a snapshot, for
which a ``CREATE INDEX CONCURRENTLY`` of the holder would wait for ever. The lock lives and dies with its session, and
the SQL files run on that very session, so that a lost lock can leave nothing half applied.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import tenacity

from supervisor import errors
from supervisor.concurrency import one_error
from supervisor.errors import SupervisorError
from supervisor.logs import events
from supervisor.logs.setup import get_log
from supervisor.postgres.connect import connection_lost, in_transaction, lost
from supervisor.postgres.pooler import UNLESS_PROXIED, require_own_session

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection
    from supervisor.postgres.target import Target

# Any constant will do, as long as every version of this program uses the same; this one is "dirsuper" in ASCII.
LOCK_KEY: Final = 0x6469727375706572

_TRY: Final = "SELECT pg_try_advisory_lock($1)"
_TRY_UNLESS_PROXIED: Final = f"SELECT {UNLESS_PROXIED.format(expression='pg_try_advisory_lock($1)')}"
_RELEASE: Final = f"SELECT pg_advisory_unlock({LOCK_KEY})"
_HOLDER: Final = """
    SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'a local socket') AS address,
           extract(epoch FROM now() - a.backend_start)::float8 AS age_s
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (l.classid::bigint << 32 | l.objid::bigint) = $1 AND l.objsubid = 1
"""
# A session has no advisory lock of another database than its own. The names are qualified, since a temporary table
# of a SQL file could be called the same.
_HELD: Final = f"""
    EXISTS (SELECT FROM pg_catalog.pg_locks
             WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
               AND classid = {LOCK_KEY >> 32} AND objid = {LOCK_KEY & 0xFFFFFFFF} AND objsubid = 1)
"""
# Fails (division by zero) in a session that does not hold the lock, and so keeps what follows from running.
UNLESS_HELD_FAIL: Final = f"SELECT 1 / ({_HELD})::int"
_SAY_EVERY_S: Final = 15.0
_RELEASE_S: Final = 2.0
_log = get_log("lock")


@dataclass(slots=True)
class Lock:
    """A held migration lock.

    Attributes:
        connection: the session that holds it.
        heartbeat_s: seconds between two looks whether the server still answers.
        answer_s: seconds for the answer.
    """

    connection: Connection
    heartbeat_s: float = 5.0
    answer_s: float = 10.0

    @asynccontextmanager
    async def guarding(self, what: str) -> AsyncIterator[None]:
        """Stop the body as soon as the lock is lost, while the session itself is idle.

        A server that dies closes the connection, which is seen at once; a network that swallows packets is found
        by a heartbeat.

        Raises:
            SupervisorError: ``postgres.connection_lost``.
        """
        loss: list[BaseException | None] = []
        with one_error():
            async with anyio.create_task_group() as group:

                def stop(reason: BaseException | None = None) -> None:
                    loss.append(reason)
                    group.cancel_scope.cancel()

                def on_termination(_: object) -> None:
                    stop()

                self.connection.add_termination_listener(on_termination)
                group.start_soon(self._beat, stop)
                try:
                    if self.connection.is_closed():
                        stop()
                    yield
                finally:
                    self.connection.remove_termination_listener(on_termination)
                    group.cancel_scope.cancel()
        if loss:
            # A server that does not answer would not answer to a polite end either.
            self.connection.terminate()
            raise connection_lost(what, loss[0])

    async def _beat(self, stop: Callable[[BaseException], None]) -> None:
        while True:
            await anyio.sleep(self.heartbeat_s)
            try:
                with anyio.fail_after(self.answer_s):
                    await self.connection.execute("SELECT 1")
            except Exception as error:  # noqa: BLE001 - any failure of SELECT 1 is the end of the session
                stop(error)
                return


async def is_held(connection: Connection) -> bool:
    """Whether this session holds the migration lock; SQL that it runs can release it."""
    # A query without parameters takes one round trip, and its status tells the number of its rows.
    return await connection.execute(f"SELECT WHERE {_HELD}") == "SELECT 1"


class _NotFreeError(Exception):
    """Somebody else holds the lock."""


@asynccontextmanager
async def migration_lock(connection: Connection, timeout_s: float, target: Target) -> AsyncIterator[Lock]:
    """Hold the migration lock for the duration of the context.

    Args:
        connection: an idle session; the lock belongs to it.
        timeout_s: seconds to wait for another holder.
        target: by which the session was opened.

    Raises:
        SupervisorError: ``lock.timeout``, naming the holder; ``lock.pooler``; ``postgres.connection_lost``.
    """
    try:
        await _acquire(connection, timeout_s, target)
    except Exception as error:
        if lost(error):
            raise connection_lost("the wait for the migration lock", error) from error
        raise
    try:
        yield Lock(connection)
    finally:
        if not connection.is_closed() and not in_transaction(connection):
            # Whatever goes wrong here, the lock ends with the session.
            with suppress(Exception), anyio.move_on_after(_RELEASE_S, shield=True):
                await connection.execute(_RELEASE)


async def _acquire(connection: Connection, timeout_s: float, target: Target) -> None:
    started = time.monotonic()
    said_at = float("-inf")
    proxied = False

    async def is_taken() -> bool:
        nonlocal proxied
        if not proxied:
            taken = await connection.fetchval(_TRY_UNLESS_PROXIED, LOCK_KEY, connection.get_server_pid())
            if taken is not None:
                return bool(taken)
            await require_own_session(connection, target)
            proxied = True
        return bool(await connection.fetchval(_TRY, LOCK_KEY))

    async def say(_state: tenacity.RetryCallState) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= _SAY_EVERY_S:
            said_at = now
            holder = await _holder(connection)
            _log.emit(events.LOCK_WAITING, holder=holder, waited_s=round(now - started, 1), timeout_s=timeout_s)

    try:
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_NotFreeError),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1.0) + tenacity.wait_random(0, 0.2),
            stop=tenacity.stop_before_delay(timeout_s),
            before_sleep=say,
            sleep=anyio.sleep,
            reraise=True,
        ):
            with attempt:
                if not await is_taken():
                    raise _NotFreeError
    except _NotFreeError:
        holder = await _holder(connection)
        raise SupervisorError(
            errors.LOCK_TIMEOUT,
            f"The migration lock was not free within {timeout_s:g} s; it is held by {holder}",
            holder=holder,
        ) from None
    _log.emit(events.LOCK_ACQUIRED, waited_s=round(time.monotonic() - started, 3))


async def _holder(connection: Connection) -> str:
    row = await connection.fetchrow(_HOLDER, LOCK_KEY)
    if row is None:
        return "a session that has just released it"
    # A session of another user shows nothing but its pid.
    name = row["application_name"] or "a client"
    age = "" if row["age_s"] is None else f", connected for {row['age_s']:.0f} s"
    return f"{name} at {row['address']}, backend pid {row['pid']}{age}"
