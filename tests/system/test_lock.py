"""The migration lock between real supervisors, and between one and sessions made by hand."""

from __future__ import annotations

import re
import signal

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.lock import LOCK_KEY
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually

HOLD = f"SELECT pg_advisory_lock({LOCK_KEY})"
SLOW = "SELECT pg_sleep(600); -- slow"


def is_running(session: Session, statement: str) -> bool:
    """Whether a supervisor's backend runs this statement on the session's database."""
    return bool(
        session.value(
            """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'directus-supervisor'
                  AND state = 'active' AND query LIKE $1""",
            f"%{statement}%",
        )
    )


def wait_until_slow(session: Session) -> None:
    eventually(lambda: is_running(session, "pg_sleep(600)"))


@pytest.mark.parametrize("number", [2, 10])
def test_supervisors_that_start_at_once_apply_each_file_once(
    deployment: Deployment, session: Session, number: int
) -> None:
    # The table has no key and each file reads before it writes: without the lock, both would run.
    deployment.sql("pre-schema", "000_steps.sql", "CREATE TABLE steps (number int);")
    for index in range(1, 31):
        deployment.sql(
            "pre-schema", f"{index:03d}_step.sql", f"SELECT pg_sleep(0.02); INSERT INTO steps VALUES ({index});"
        )
    processes = [deployment.start("migrate") for _ in range(number)]
    for process in processes:
        process.expect_exit(0)
    assert session.column("SELECT number FROM steps ORDER BY number") == list(range(1, 31))
    summaries = [process.of("phase.finished", phase="pre_schema")[0]["summary"] for process in processes]
    assert sorted(summaries) == ["0 applied, 31 skipped"] * (number - 1) + ["31 applied, 0 skipped"]
    assert sum(len(process.of("sql.applied")) for process in processes) == 31


def test_a_waiter_names_the_holder_and_goes_on_when_the_lock_is_free(
    cluster: PostgresCluster, database: str, deployment: Deployment
) -> None:
    with Session(cluster, database) as holder:
        holder.execute("SET application_name = 'somebody'")
        holder.execute(HOLD)
        process = deployment.start("migrate")
        waiting = process.wait_for("lock.waiting")
        assert "somebody at 127.0.0.1" in waiting["holder"]
        assert f"backend pid {holder.pid}" in waiting["holder"]
        assert not process.of("phase.started", phase="pre_schema")
    process.expect_exit(0)


def test_a_lock_that_is_not_free_in_time_ends_with_status_9_and_the_holder(
    cluster: PostgresCluster, database: str, deployment: Deployment
) -> None:
    deployment.environ["SUPERVISOR_LOCK_TIMEOUT_S"] = "0.5"
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    with Session(cluster, database) as holder:
        holder.execute(HOLD)
        failure = deployment.migrate(status=9).failure
        assert failure["code"] == "lock.timeout"
        assert f"backend pid {holder.pid}" in failure["message"]
        assert not holder.has("t")


def test_a_holder_of_another_role_is_named_as_far_as_it_shows(
    cluster: PostgresCluster, database: str, deployment: Deployment, session: Session
) -> None:
    deployment.environ |= {"SUPERVISOR_LOCK_TIMEOUT_S": "0.2", "DB_USER": "onlooker", "DB_PASSWORD": "onlooker"}
    session.execute("CREATE ROLE onlooker LOGIN PASSWORD 'onlooker'")
    session.execute(HOLD)
    try:
        failure = deployment.migrate(status=9).failure
    finally:
        session.execute("DROP ROLE onlooker")
    assert f"backend pid {session.pid}" in failure["message"]


def test_the_lock_of_one_database_does_not_concern_another(cluster: PostgresCluster, deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_LOCK_TIMEOUT_S"] = "0.2"
    with Session(cluster, "postgres") as elsewhere:
        elsewhere.execute(HOLD)
        deployment.migrate()


def test_a_waiter_goes_on_when_the_holder_is_killed_within_a_long_statement(
    deployment: Deployment, session: Session
) -> None:
    path = deployment.sql("pre-schema", "001_slow.sql", f"CREATE TABLE half (id int); {SLOW}")
    with deployment.start("migrate") as holder:
        wait_until_slow(session)
        waiter = deployment.start("migrate")
        waiter.wait_for("lock.waiting")
        holder.signal(signal.SIGKILL)
        holder.expect_exit(-signal.SIGKILL)
    # The waiter has read the file before; it will be slow too, and is told to stop there.
    waiter.wait_for("lock.acquired", timeout_s=20)
    wait_until_slow(session)
    waiter.signal(signal.SIGTERM)
    waiter.expect_exit(128 + signal.SIGTERM)
    path.write_text("CREATE TABLE half (id int);")
    deployment.migrate()
    assert session.applied == ["001_slow.sql"]


def test_a_terminated_backend_ends_with_status_8_and_the_next_run_converges(
    deployment: Deployment, session: Session
) -> None:
    path = deployment.sql("pre-schema", "001_slow.sql", f"CREATE TABLE half (id int); {SLOW}")
    with deployment.start("migrate") as process:
        wait_until_slow(session)
        session.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'directus-supervisor'"""
        )
        process.expect_exit(8)
    assert process.failure["code"] == "postgres.connection_lost"
    assert "pre-schema/001_slow.sql" in process.failure["message"]
    assert "terminating connection due to administrator command" in process.failure["message"]
    assert not session.has("half")
    path.write_text("CREATE TABLE half (id int);")
    deployment.migrate()
    assert session.applied == ["001_slow.sql"]


def test_a_lost_lock_stops_the_bootstrap(deployment: Deployment, session: Session) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    with deployment.start("run") as process:
        process.wait_for("process.output", message="hanging")
        session.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'directus-supervisor'"""
        )
        process.expect_exit(8, timeout_s=20)
    assert process.failure["code"] == "postgres.connection_lost"
    assert "bootstrap" in process.failure["message"]


def test_a_lock_lost_while_waiting_for_it_ends_with_status_8(
    cluster: PostgresCluster, database: str, deployment: Deployment, session: Session
) -> None:
    with Session(cluster, database) as holder:
        holder.execute(HOLD)
        with deployment.start("migrate") as process:
            process.wait_for("lock.waiting")
            session.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'directus-supervisor'"""
            )
            process.expect_exit(8)
    assert process.failure["code"] == "postgres.connection_lost"
    assert re.search(r"during the wait for the migration lock \(.*(clos|terminat)", process.failure["message"])


def test_a_waiter_does_not_hold_up_an_index_built_concurrently(
    cluster: PostgresCluster, database: str, deployment: Deployment
) -> None:
    with Session(cluster, database) as holder:
        holder.execute(f"CREATE TABLE t (id int); {HOLD}")
        with deployment.start("migrate") as process:
            process.wait_for("lock.waiting")
            holder.start("CREATE INDEX CONCURRENTLY of_t ON t (id)").result(timeout=20)
            assert holder.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'of_t'::regclass")
            holder.execute("SELECT pg_advisory_unlock_all()")
            process.expect_exit(0)


def test_the_lock_is_free_after_every_ending(deployment: Deployment, session: Session) -> None:
    deployment.sql("pre-schema", "001_fails.sql", "SELECT 1/0;")
    deployment.migrate(status=3)
    assert session.value(f"SELECT pg_try_advisory_lock({LOCK_KEY})")


def test_a_killed_supervisor_frees_the_lock_by_itself(deployment: Deployment, session: Session) -> None:
    deployment.environ["STAND_IN_BOOTSTRAP"] = "hang"
    process: Supervised = deployment.start("run")
    process.wait_for("process.output", message="hanging")
    assert not session.value(f"SELECT pg_try_advisory_lock({LOCK_KEY})")
    process.signal(signal.SIGKILL)
    eventually(lambda: bool(session.value(f"SELECT pg_try_advisory_lock({LOCK_KEY})")), timeout_s=10)
