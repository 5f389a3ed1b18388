"""The pace of the wait for the migration lock."""

from __future__ import annotations

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.directus.environment import read_environment
from supervisor.errors import SupervisorError
from supervisor.postgres import lock
from supervisor.postgres.connect import connect
from supervisor.postgres.target import resolve_target
from tests.database import Session
from tests.unit.captured import Captured


@pytest.mark.parametrize(("every_s", "lines"), [(15.0, 1), (0.0, None)])
def test_a_wait_is_told_at_a_calm_pace_however_often_it_looks(
    cluster: PostgresCluster,
    database: str,
    session: Session,
    captured: Captured,
    monkeypatch: pytest.MonkeyPatch,
    every_s: float,
    lines: int | None,
) -> None:
    monkeypatch.setattr(lock, "_SAY_EVERY_S", every_s)
    session.execute(f"SELECT pg_advisory_lock({lock.LOCK_KEY})")
    looks = 0

    def count(query: str) -> None:
        nonlocal looks
        looks += "pg_try_advisory_lock" in query

    async def wait() -> None:
        target = resolve_target(read_environment(cluster.directus_env(database), cluster.folder))
        connection = await connect(target, 5)
        connection.add_query_logger(lambda record: count(record.query))
        try:
            async with lock.migration_lock(connection, 1.5, target):
                pytest.fail("it is held by another session")
        finally:
            await connection.close()

    with pytest.raises(SupervisorError, match=f"backend pid {session.pid}"):
        anyio.run(wait)
    assert looks > 2
    told = captured.of("lock.waiting")
    assert all(f"backend pid {session.pid}" in line["holder"] for line in told)
    assert len(told) == (lines or looks - 1)
