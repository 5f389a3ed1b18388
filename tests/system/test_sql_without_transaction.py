"""SQL files that run statement by statement: what is kept, what a broken index build leaves, who may wait meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually

HEAD = "-- supervisor: no-transaction\n"
INDEX = HEAD + "CREATE INDEX CONCURRENTLY IF NOT EXISTS of_t ON public.t (id);"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('of_t')"
BUILDS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND state = 'active'"


def summary(process: Supervised) -> str:
    return str(process.wait_for("phase.finished", phase="pre_schema")["summary"])


@pytest.fixture
def table(session: Session) -> None:
    session.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")


@pytest.fixture
def reader(cluster: PostgresCluster, database: str, table: None) -> Iterator[Session]:
    """A session with a transaction that an index build has to wait for."""
    with Session(cluster, database) as session:
        session.execute("SET application_name = 'the report'; BEGIN; INSERT INTO t VALUES (3)")
        yield session


def test_statements_run_that_no_transaction_takes(deployment: Deployment, session: Session, table: None) -> None:
    deployment.sql(
        "pre-schema", "001_alone.sql", HEAD + "VACUUM t;\nCREATE INDEX CONCURRENTLY of_t ON t (id);\nREINDEX TABLE t;"
    )
    assert summary(deployment.migrate()) == "1 applied, 0 skipped"
    assert session.value(VALID)
    assert session.applied == ["001_alone.sql"]
    assert summary(deployment.migrate()) == "0 applied, 1 skipped"


def test_a_failure_says_which_statements_are_kept_and_the_next_run_begins_again(
    deployment: Deployment, session: Session
) -> None:
    text = HEAD + "CREATE TABLE IF NOT EXISTS one (id int);\n\nINSERT INTO one VALUES (1);\nSELECT nope;\nSELECT 1;"
    path = deployment.sql("pre-schema", "001_alone.sql", text)
    failure = deployment.migrate(status=3).failure
    assert failure["message"].startswith('pre-schema/001_alone.sql:5:8: column "nope" does not exist')
    assert "2 of its 4 statements ran and are kept (lines 2, 4)" in failure["message"]
    assert failure["kept_lines"] == [2, 4]
    assert "IF NOT EXISTS" in failure["remedy"]
    assert session.applied == []
    assert session.value("SELECT count(*) FROM one") == 1

    path.write_text(text.replace("nope", "1"))
    deployment.migrate()
    assert session.value("SELECT count(*) FROM one") == 2
    assert session.applied == ["001_alone.sql"]


def test_what_a_file_sets_holds_for_its_later_statements_and_not_for_the_next_file(
    deployment: Deployment, session: Session
) -> None:
    seen = "CREATE TABLE {} AS SELECT current_setting('work_mem') AS mem;"
    deployment.sql("pre-schema", "001_alone.sql", HEAD + "SET work_mem = '9MB';\n" + seen.format("one"))
    deployment.sql("pre-schema", "002_next.sql", seen.format("two"))
    deployment.migrate()
    assert session.value("SELECT mem FROM one") == "9MB"
    assert session.value("SELECT mem FROM two") != "9MB"


def test_an_index_whose_build_failed_is_built_anew_by_the_next_run(
    deployment: Deployment, session: Session, table: None
) -> None:
    session.execute("INSERT INTO t VALUES (2)")
    deployment.sql("pre-schema", "001_unique.sql", INDEX.replace("INDEX", "UNIQUE INDEX"))
    failure = deployment.migrate(status=3).failure
    assert "could not create unique index" in failure["message"]
    assert "index 'of_t' invalid" in failure["message"]
    assert session.value(VALID) is False

    session.execute("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)")
    process = deployment.migrate()
    process.wait_for("sql.invalid_index_dropped", index="of_t", line=2)
    assert session.value(VALID) is True
    assert session.applied == ["001_unique.sql"]


@pytest.mark.parametrize("name", ["of_t", '"Of; T"', "OF_T"])
def test_an_invalid_index_is_found_by_its_name_and_table(
    deployment: Deployment, session: Session, table: None, name: str
) -> None:
    session.execute("CREATE SCHEMA aside; CREATE TABLE aside.t (id int)")
    for schema in ("public", "aside"):
        session.execute(f"CREATE INDEX {name} ON {schema}.t (id)")
        session.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{schema}.{name}'::regclass")
    deployment.sql("pre-schema", "001_index.sql", f"{HEAD}create index concurrently /* on x */ {name} on t (id);")
    deployment.migrate()
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = $1::text::regclass"
    assert session.value(valid, f"public.{name}") is True
    assert session.value(valid, f"aside.{name}") is False


def test_a_valid_index_is_left_alone(deployment: Deployment, session: Session, table: None) -> None:
    session.execute("CREATE INDEX of_t ON t (id)")
    before = session.value("SELECT 'of_t'::regclass::oid")
    deployment.sql("pre-schema", "001_index.sql", INDEX)
    assert not deployment.migrate().of("sql.invalid_index_dropped")
    assert session.value("SELECT 'of_t'::regclass::oid") == before


def test_an_index_build_outlasts_the_lock_timeout_and_says_whom_it_waits_for(
    deployment: Deployment, session: Session, reader: Session
) -> None:
    deployment.environ |= {"SUPERVISOR_SQL_LOCK_TIMEOUT_S": "0.2", "SUPERVISOR_SQL_LOCK_RETRIES": "0"}
    deployment.sql("pre-schema", "001_index.sql", INDEX)
    with deployment.start("migrate") as process:
        waiting = process.wait_for("sql.waiting", file="pre-schema/001_index.sql", line=2)
        reader.close()
        process.expect_exit(0)
    assert f"pid {reader.pid} (the report, " in waiting["blockers"]
    assert session.value(VALID)


def test_a_blocked_file_goes_on_at_the_statement_that_was_blocked(
    deployment: Deployment, session: Session, reader: Session
) -> None:
    deployment.environ["SUPERVISOR_SQL_LOCK_TIMEOUT_S"] = "0.2"
    deployment.sql(
        "pre-schema",
        "001_alone.sql",
        f"{HEAD}CREATE TABLE once (id int);\nSET lock_timeout = '300ms';\nALTER TABLE t ADD COLUMN x int;\n"
        "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock;",
    )
    with deployment.start("migrate") as process:
        retry = process.wait_for("sql.retrying", line=4)
        reader.close()
        process.expect_exit(0)
    assert "the report" in retry["blockers"]
    assert session.value("SELECT lock FROM seen") == "300ms"
    assert session.applied == ["001_alone.sql"]


def test_a_supervisor_killed_within_an_index_build_is_made_good_by_the_next_run(
    deployment: Deployment, session: Session, reader: Session
) -> None:
    deployment.sql("pre-schema", "001_index.sql", HEAD + "CREATE TABLE IF NOT EXISTS u (id int);" + INDEX)
    with deployment.start("migrate") as process:
        eventually(lambda: session.value(VALID) is False and session.value(BUILDS) == 1)
        process.signal(signal.SIGKILL)
        process.expect_exit(-signal.SIGKILL)
        # The server notices by itself that its client is gone, while the build still waits.
        eventually(lambda: session.value(BUILDS) == 0, timeout_s=15)
    assert session.value(VALID) is False
    assert session.applied == []
    reader.close()
    process = deployment.migrate()
    process.wait_for("sql.invalid_index_dropped", index="of_t")
    assert session.value(VALID) is True
    assert session.applied == ["001_index.sql"]


def test_a_waiting_supervisor_does_not_hold_up_an_index_build(
    deployment: Deployment, session: Session, reader: Session
) -> None:
    deployment.sql("pre-schema", "001_index.sql", INDEX)
    with deployment.start("migrate") as builder:
        eventually(lambda: session.value(BUILDS) == 1)
        with deployment.start("migrate") as waiter:
            waiter.wait_for("lock.waiting")
            reader.close()
            builder.expect_exit(0, timeout_s=20)
            waiter.expect_exit(0, timeout_s=20)
    assert session.value(VALID)
    assert summary(builder) == "1 applied, 0 skipped"
    assert summary(waiter) == "0 applied, 1 skipped"


def test_a_backend_that_ends_within_such_a_file_tells_how_much_is_kept(
    deployment: Deployment, session: Session
) -> None:
    text = HEAD + "CREATE TABLE kept (id int);\nSELECT pg_terminate_backend(pg_backend_pid());"
    deployment.sql("pre-schema", "001_alone.sql", text)
    failure = deployment.migrate(status=8).failure
    assert "1 of its 2 statements are kept" in failure["message"]
    assert session.has("kept")
