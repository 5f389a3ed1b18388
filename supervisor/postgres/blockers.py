"""Who blocks: the sessions that a statement waits for, seen by a second session, since one that waits cannot look."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio

from supervisor.concurrency import one_error

if TYPE_CHECKING:
    from supervisor.postgres.connect import Connection

OpenSession: TypeAlias = Callable[[], Awaitable["Connection"]]

# pg_blocking_pids locks the whole lock table for a moment, so it is asked only when there is something to see.
_BLOCKING: Final = """
    SELECT DISTINCT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'
"""
_SESSIONS: Final = """
    SELECT pid, application_name, backend_type, usename::text AS role, state,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_s,
           extract(epoch FROM clock_timestamp() - query_start)::float8 AS query_s
      FROM pg_stat_activity WHERE pid = ANY($1::int[]) ORDER BY xact_start, pid
"""
_NAMED_IN_DETAIL: Final = re.compile(r"blocked by process ([0-9]+)")
_SHORTEST_LOOK_S: Final = 0.05
_ANNOUNCE_EVERY_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Blocker:
    """One session that holds, or waits before us for, what a statement needs.

    Attributes:
        pid: process id of its backend; 0 for a prepared transaction.
        name: what it calls itself, or what kind of process it is.
        role: whom it is logged in as.
        state: as in ``pg_stat_activity``; None when this role may not see it.
        transaction_s: seconds since its transaction began.
        query_s: seconds since its last query began.
    """

    pid: int
    name: str
    role: str | None = None
    state: str | None = None
    transaction_s: float | None = None
    query_s: float | None = None

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        told = [self.name]
        told += [f"user {self.role}"] if self.role else []
        told += [self.state] if self.state else []
        told += [f"its query began {self.query_s:.0f} s ago"] if self.query_s is not None else []
        told += [f"its transaction {self.transaction_s:.0f} s ago"] if self.transaction_s is not None else []
        return f"pid {self.pid} ({', '.join(told)})"


def sentence(blockers: Sequence[Blocker]) -> str:
    """The blockers in half a sentence."""
    if not blockers:
        return "a session that was gone before it could be seen"
    return "; ".join(map(str, blockers))


@dataclass(slots=True)
class Watch:
    """Looks who blocks the statements of one session, while there is one that takes long.

    Attributes:
        pid: process id of the watched session's backend.
        open_session: opens the session that looks; called only when a statement takes long.
        delay_s: seconds that a statement runs before the first look; half of its limit.
        announce: called with the blockers and the seconds waited, when a wait goes on and on.
        seen: who blocked the running statement at the last look that found somebody.
    """

    pid: int
    open_session: OpenSession
    delay_s: float
    announce: Callable[[Sequence[Blocker], float], None]
    seen: tuple[Blocker, ...] = ()
    _since: float = field(default_factory=time.monotonic)
    _announced: float | None = None

    def begin(self) -> None:
        """A statement begins."""
        self._since = time.monotonic()
        self._announced = None
        self.seen = ()

    async def run(self) -> None:
        """Look until cancelled. Whatever goes wrong here only costs the names."""
        session: Connection | None = None
        try:
            while True:
                left_s = self._since + self.delay_s - time.monotonic()
                if left_s > 0:
                    await anyio.sleep(left_s)
                    continue
                with suppress(Exception):
                    if session is None or session.is_closed():
                        session = await self.open_session()
                    await self._look(session)
                await anyio.sleep(max(self.delay_s / 2, _SHORTEST_LOOK_S))
        finally:
            if session is not None:
                # A polite end could take as long as the server likes.
                session.terminate()

    async def _look(self, session: Connection) -> None:
        since = self._since
        blockers = await sessions(session, [row[0] for row in await session.fetch(_BLOCKING, self.pid)])
        if not blockers or since != self._since:
            return
        self.seen = blockers
        now = time.monotonic()
        # Within the limit the wait ends by itself, and the retry tells of it.
        if now - (self._announced or since) > (_ANNOUNCE_EVERY_S if self._announced else 2 * self.delay_s):
            self._announced = now
            self.announce(blockers, now - since)


@asynccontextmanager
async def watching(watch: Watch) -> AsyncIterator[Watch]:
    """Have `watch` look for the duration of the context."""
    with one_error():
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            try:
                yield watch
            finally:
                group.cancel_scope.cancel()


async def sessions(connection: Connection, pids: Sequence[int]) -> tuple[Blocker, ...]:
    """What the server shows of some sessions; one that is gone is left out.

    Raises:
        asyncpg.PostgresError, OSError: the server could not be asked.
    """
    found = [] if not pids else await connection.fetch(_SESSIONS, list(pids))
    blockers = [
        Blocker(
            row["pid"],
            row["application_name"] or row["backend_type"] or "a client",
            row["role"],
            row["state"],
            row["transaction_s"],
            row["query_s"],
        )
        for row in found
    ]
    return (*blockers, *[Blocker(0, "") for pid in pids if pid == 0])


def named_in_detail(error: Any) -> list[int]:  # noqa: ANN401 - any error of asyncpg
    """The process ids that the detail of a deadlock names as blocking. Pure."""
    return [int(pid) for pid in _NAMED_IN_DETAIL.findall(error.detail or "")]
