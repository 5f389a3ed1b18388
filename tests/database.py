"""A session on a real database, for tests that are plain functions: the event loop runs in a thread of its own."""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.from_thread import start_blocking_portal

from supervisor.dev.postgres import PostgresCluster

if TYPE_CHECKING:
    import asyncpg


class Session:
    """One session, opened at once.

    Args:
        cluster: the server.
        database: the database's name.
    """

    def __init__(self, cluster: PostgresCluster, database: str) -> None:
        self._is_closed = False
        self._portal_manager = start_blocking_portal()
        self._portal = self._portal_manager.__enter__()
        self._connection: asyncpg.Connection[asyncpg.Record] = self._portal.call(cluster.connect, database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session, if it is not ended; whatever it holds is free."""
        if self._is_closed:
            return
        self._is_closed = True
        self._portal.call(self._close)
        self._portal_manager.__exit__(None, None, None)

    async def _close(self) -> None:
        if not self._connection.is_closed():
            with anyio.CancelScope(shield=True):
                await self._connection.close(timeout=5)

    @property
    def pid(self) -> int:
        """The process id of its backend."""
        return int(self._connection.get_server_pid())

    def execute(self, sql: str) -> None:
        """Run statements."""
        self._portal.call(self._connection.execute, sql)

    def start(self, sql: str) -> Future[str]:
        """Run statements without waiting for them."""
        return self._portal.start_task_soon(self._connection.execute, sql)

    def value(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the column holds
        """The first column of the first row."""
        return self._portal.call(self._connection.fetchval, sql, *arguments)

    def column(self, sql: str, *arguments: object) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self._portal.call(self._connection.fetch, sql, *arguments)]

    def has(self, relation: str) -> bool:
        """Whether there is a table, index or view of this name."""
        return bool(self.value("SELECT to_regclass($1) IS NOT NULL", relation))

    @property
    def applied(self) -> list[str]:
        """The files that the guard table names, in the order in which they were applied."""
        return self.column("SELECT filename::text FROM migrations_applied ORDER BY applied_at")
