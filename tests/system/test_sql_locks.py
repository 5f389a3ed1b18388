"""SQL files and sessions that are in their way: how long is waited, who is named, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment, eventually

FILE = "pre-schema/002_alters.sql"
ALTER = "CREATE TABLE early (id int);\n\nALTER TABLE site ADD COLUMN x int;"


@pytest.fixture
def blocker(cluster: PostgresCluster, database: str) -> Iterator[Session]:
    """A session in the middle of a transaction that has read the table `site`."""
    with Session(cluster, database) as session:
        session.execute("CREATE TABLE site (id int); SET application_name = 'the report'")
        session.execute("BEGIN; SELECT * FROM site")
        yield session


@pytest.fixture
def impatient(deployment: Deployment) -> Deployment:
    """A deployment with little patience, whose second file waits for `site`."""
    deployment.environ |= {"SUPERVISOR_SQL_LOCK_TIMEOUT_S": "0.4", "SUPERVISOR_SQL_LOCK_RETRIES": "1"}
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE first (id int);")
    deployment.sql("pre-schema", "002_alters.sql", ALTER)
    return deployment


def test_a_lock_that_is_never_free_ends_with_status_3_and_names_the_blocker(
    impatient: Deployment, session: Session, blocker: Session
) -> None:
    process = impatient.migrate(status=3, timeout_s=30)
    retry = process.wait_for("sql.retrying", file=FILE, line=3, attempt=1, limit=2)
    assert f"pid {blocker.pid} (the report, " in retry["blockers"]
    assert "idle in transaction" in retry["blockers"]
    assert "its transaction" in retry["blockers"]
    assert process.failure["code"] == "sql.blocked"
    assert process.failure["blockers"] == [blocker.pid]
    assert f"{FILE}:3" in process.failure["message"]
    assert f"pid {blocker.pid} (the report, " in process.failure["message"]
    assert "SUPERVISOR_SQL_LOCK_TIMEOUT_S" in process.failure["remedy"]
    assert session.applied == ["001_first.sql"]
    assert not session.has("early")


def test_a_file_that_was_blocked_runs_once_the_blocker_is_gone(
    impatient: Deployment, session: Session, blocker: Session
) -> None:
    impatient.environ["SUPERVISOR_SQL_LOCK_RETRIES"] = "20"
    with impatient.start("migrate") as process:
        process.wait_for("sql.retrying")
        blocker.close()
        process.expect_exit(0)
    assert session.has("early")
    assert session.applied == ["001_first.sql", "002_alters.sql"]


def test_a_blocked_file_lets_others_through_between_its_attempts(
    impatient: Deployment, session: Session, blocker: Session
) -> None:
    impatient.environ["SUPERVISOR_SQL_LOCK_RETRIES"] = "20"
    with impatient.start("migrate") as process:
        eventually(
            lambda: session.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'") > 0
        )
        # A reader that comes now waits behind the file, for as long as the file waits and no longer.
        session.start("SELECT * FROM site").result(timeout=5)
        blocker.close()
        process.expect_exit(0)


def test_a_file_may_wait_for_a_lock_longer_than_others(
    impatient: Deployment, session: Session, blocker: Session
) -> None:
    impatient.environ |= {"SUPERVISOR_SQL_LOCK_TIMEOUT_S": "0.1", "SUPERVISOR_SQL_LOCK_RETRIES": "0"}
    impatient.sql("pre-schema", "002_alters.sql", f"-- supervisor: lock-timeout 10min\n{ALTER}")
    long_wait = """SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'
                      AND clock_timestamp() - query_start > interval '0.5 s'"""
    with impatient.start("migrate") as process:
        eventually(lambda: session.value(long_wait) == 1, timeout_s=20)
        blocker.close()
        process.expect_exit(0)


def test_a_file_may_wait_for_a_lock_less_long_than_others(
    impatient: Deployment, session: Session, blocker: Session
) -> None:
    impatient.environ |= {"SUPERVISOR_SQL_LOCK_TIMEOUT_S": "0", "SUPERVISOR_SQL_LOCK_RETRIES": "0"}
    impatient.sql("pre-schema", "002_alters.sql", f"-- supervisor: lock-timeout 300ms\n{ALTER}")
    failure = impatient.migrate(status=3, timeout_s=20).failure
    assert failure["code"] == "sql.blocked"


def test_a_statement_timeout_ends_the_statement_and_is_not_retried(deployment: Deployment, session: Session) -> None:
    deployment.sql(
        "pre-schema", "001_slow.sql", "-- supervisor: statement-timeout 100ms\nSELECT 1;\nSELECT pg_sleep(60);"
    )
    process = deployment.migrate(status=3)
    assert process.failure["message"].startswith(
        "pre-schema/001_slow.sql:3: canceling statement due to statement timeout"
    )
    assert "statement-timeout" in process.failure["remedy"]
    assert not process.of("sql.retrying")


def test_the_timeouts_of_one_file_do_not_hold_for_the_next(deployment: Deployment, session: Session) -> None:
    seen = (
        "CREATE TABLE {} AS SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') AS s;"
    )
    head = "-- supervisor: lock-timeout 3s\n-- supervisor: statement-timeout 1h\n"
    deployment.sql("pre-schema", "001_a.sql", head + seen.format("one"))
    deployment.sql("pre-schema", "002_b.sql", seen.format("two"))
    head += "-- supervisor: no-transaction\n"
    deployment.sql("pre-schema", "003_c.sql", head + seen.format("three"))
    deployment.sql("pre-schema", "004_d.sql", seen.format("four"))
    deployment.migrate()
    for table, expected in {"one": "3s 1h", "two": "5s 0", "three": "3s 1h", "four": "5s 0"}.items():
        assert session.value(f"SELECT s FROM {table}") == expected


def test_the_victim_of_a_deadlock_names_the_other_and_runs_again(
    cluster: PostgresCluster, database: str, deployment: Deployment, session: Session
) -> None:
    session.execute("CREATE TABLE a (id int); CREATE TABLE b (id int)")
    session.execute("SET application_name = 'the writer'; SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE b")
    deployment.sql("pre-schema", "001_locks.sql", "CREATE TABLE made (id int);\nLOCK TABLE a;\nLOCK TABLE b;")
    with deployment.start("migrate") as process, Session(cluster, database) as onlooker:
        eventually(
            lambda: onlooker.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass") == 1
        )
        theirs = session.start("LOCK TABLE a")
        retry = process.wait_for("sql.retrying", line=3)
        theirs.result(timeout=10)
        session.execute("COMMIT")
        process.expect_exit(0)
    assert "deadlock detected" in retry["cause"]
    assert f"pid {session.pid} (the writer, " in retry["blockers"]
    assert session.applied == ["001_locks.sql"]


def test_a_serialization_failure_is_tried_again(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE TABLE n (id int); INSERT INTO n VALUES (1); SELECT pg_advisory_lock(7)")
    deployment.sql(
        "pre-schema",
        "001_counts.sql",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSELECT * FROM n;\nSELECT pg_advisory_xact_lock(7);\n"
        "UPDATE n SET id = id + 10;",
    )
    deployment.environ["SUPERVISOR_SQL_LOCK_TIMEOUT_S"] = "60"
    with deployment.start("migrate") as process:
        eventually(lambda: session.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 7") == 1)
        session.execute("UPDATE n SET id = 2; SELECT pg_advisory_unlock(7)")
        process.wait_for("sql.retrying", line=4)
        process.expect_exit(0)
    assert session.value("SELECT id FROM n") == 12


@pytest.mark.anyio
async def test_a_watch_that_cannot_look_costs_the_names_and_nothing_else(
    cluster: PostgresCluster, database: str
) -> None:
    from supervisor.postgres.blockers import Watch, sentence, watching

    looked = anyio.Event()

    async def no_session() -> object:
        looked.set()
        raise OSError("too many connections")

    watch = Watch(1, no_session, 0.01, lambda *_: None)  # type: ignore[arg-type]
    with anyio.fail_after(5):
        async with watching(watch):
            watch.begin()
            await looked.wait()
    assert sentence(watch.seen) == "a session that was gone before it could be seen"
