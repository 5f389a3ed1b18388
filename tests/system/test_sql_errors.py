"""How a failure of a SQL file reads: the place, what the server said, what to do; and what the log says meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asyncpg import PostgresError

from supervisor.dev.postgres import PostgresCluster
from supervisor.errors import SupervisorError
from supervisor.postgres.failure import sql_failure
from supervisor.postgres.lock import LOCK_KEY
from supervisor.postgres.sqlfile import parse_file
from tests.database import Session
from tests.harness import Deployment

# Each has its place marked by «»; the file is what is left without the marks.
PLACES = {
    "syntax": "SELECT 1;\nSELECT a b «c»;",
    "undefined column": "SELECT 1;\n\nSELECT 'ä', «nope» FROM pg_class;",
    "raise in a block": "SELECT 1;\n\nDO $$\nBEGIN\n  «RAISE» EXCEPTION 'no';\nEND $$;",
    "raise in a block with text before": "DO LANGUAGE plpgsql $x$ BEGIN\n\n  «RAISE» 'no'; END $x$;",
    "assert in a block": "DO $$\nBEGIN\n  PERFORM 1;\n  «ASSERT» 1 = 2, 'no';\nEND $$;",
    "sql in a block": "DO $$\nBEGIN\n  PERFORM 1;\n  INSERT INTO pg_class\n  SELECT * FROM «nope»;\nEND $$;",
    "select into in a block": "DO $$\nDECLARE n int;\nBEGIN\n  SELECT count(*) INTO n FROM\n    «nope»;\nEND $$;",
    "perform in a block": "DO $$\nBEGIN\n  PERFORM 1, 2;\n  PERFORM 1,\n    «nope»;\nEND $$;",
    "expression in a block": "DO $$\nDECLARE n int;\nBEGIN\n  IF n > «nope» THEN\n    NULL;\n  END IF;\nEND $$;",
    "dynamic sql in a block": "DO $$\nBEGIN\n  EXECUTE 'SELECT 1 FROM «nope»';\nEND $$;",
    "syntax in a block": "SELECT 1;\nDO $$\nBEGIN\n  IF true THEN\n  END«;»\nEND $$;",
    "unknown type in a block": "DO $$\nDECLARE\n  n int;\n  m «nope»;\nBEGIN\nEND $$;",
    "violation in a block": (
        "CREATE TABLE t (id int PRIMARY KEY);\nDO $$\nBEGIN\n  INSERT INTO t VALUES (1);\n"
        "  «INSERT» INTO t VALUES (1);\nEND $$;"
    ),
    "function of the file": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  «RAISE» 'no';\nEND $$;\nSELECT f(1);"
    ),
    "sql in a function of the file": (
        "CREATE SCHEMA s;\nCREATE OR REPLACE FUNCTION s.\"F g\"(a text DEFAULT ',') RETURNS int LANGUAGE plpgsql AS\n"
        '$$BEGIN\n  RETURN (SELECT id FROM «nope»);\nEND $$;\nSELECT s."F g"();'
    ),
    "function of an earlier statement called in a block": (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN\n  «RAISE» $q$no$q$; END';\n"
        "DO $$\nBEGIN\n  PERFORM f();\nEND $$;"
    ),
    "syntax in a sql function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT id FROM «nope» $$;",
}


async def failure_of(cluster: PostgresCluster, database: str, text: str) -> SupervisorError:
    """Run a file as the supervisor does, and explain how it fails."""
    file = parse_file(Path("/sql/pre-schema/001_fails.sql"), text.encode())
    connection = await cluster.connect(database)
    running = None
    try:
        async with connection.transaction():
            for running in file.statements:
                await connection.execute(running.text)
    except PostgresError as error:
        return sql_failure(error, file, running, lambda _: None)
    finally:
        await connection.close()
    raise AssertionError("it did not fail")


@pytest.mark.anyio
@pytest.mark.parametrize("marked", PLACES.values(), ids=PLACES)
async def test_an_error_points_at_its_place_in_the_file(cluster: PostgresCluster, marked: str) -> None:
    before, name, _ = re.split("[«»]", marked)
    failure = await failure_of(cluster, "postgres", re.sub("[«»]", "", marked))
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    match = re.match(rf"pre-schema/001_fails\.sql:{line}(?::(?P<column>\d+))?: ", failure.message)
    assert match, failure.message
    # PL/pgSQL tells the column of SQL only.
    assert match["column"] == (None if name in {"RAISE", "ASSERT", "INSERT"} else str(column))
    above, below = failure.facts["excerpt"].split("\n")
    assert above.startswith(f"{line} | ")
    assert above[below.index("^") :].startswith(name)
    assert failure.facts["line"] == line
    assert failure.facts["sqlstate"]


@pytest.mark.anyio
async def test_a_function_that_stands_twice_in_the_file_is_told_at_its_call(cluster: PostgresCluster) -> None:
    body = "LANGUAGE plpgsql AS $$\nBEGIN RAISE 'no'; END $$;\n"
    text = f"CREATE FUNCTION f() RETURNS int {body}CREATE FUNCTION f(a int) RETURNS int {body}SELECT f();"
    assert (await failure_of(cluster, "postgres", text)).facts["line"] == 5


@pytest.mark.parametrize(
    ("sql", "detail", "remedy"),
    [
        (
            "CREATE TABLE t (id int); INSERT INTO t VALUES (7), (7);\nALTER TABLE t ADD UNIQUE (id);",
            "Key (id)=(7) is duplicated.",
            "rows that share a key",
        ),
        (
            "CREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE t (p int REFERENCES p); INSERT INTO t VALUES (7);",
            'Key (p)=(7) is not present in table "p".',
            "rows that are referred to",
        ),
        ("CREATE TABLE t (id int);\nCREATE TABLE t (id int);", None, "IF NOT EXISTS"),
        ("SELECT 1;\nCREATE INDEX CONCURRENTLY i ON pg_class (oid);", None, "no-transaction"),
        ("SELECT 1;\nSELECT no_such_function(1);", None, "requires-extension"),
    ],
)
def test_a_frequent_failure_has_a_remedy_of_its_own(
    deployment: Deployment, session: Session, sql: str, detail: str | None, remedy: str
) -> None:
    deployment.sql("pre-schema", "001_fails.sql", sql)
    failure = deployment.migrate(status=3).failure
    assert failure["message"].startswith("pre-schema/001_fails.sql:2")
    assert failure["excerpt"].startswith("2 | ")
    assert failure.get("detail") == detail
    assert remedy in failure["remedy"]


def test_an_object_of_another_role_is_told_with_the_way_to_the_right(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE TABLE theirs (id int); CREATE ROLE crew LOGIN PASSWORD 'crew'")
    session.execute("GRANT CREATE ON SCHEMA public TO crew")
    try:
        deployment.environ |= {"DB_USER": "crew", "DB_PASSWORD": "crew"}
        deployment.sql("pre-schema", "001_alters.sql", "ALTER TABLE theirs ADD COLUMN x int;")
        failure = deployment.migrate(status=3).failure
    finally:
        session.execute("DROP OWNED BY crew; DROP ROLE crew")
    assert "must be owner of table theirs (SQLSTATE 42501)" in failure["message"]
    assert "OWNER TO" in failure["remedy"]


def test_what_the_server_says_meanwhile_has_a_level_and_a_place(deployment: Deployment) -> None:
    deployment.sql(
        "pre-schema",
        "001_talks.sql",
        "SELECT 1;\nDO $$\nBEGIN\n  RAISE NOTICE 'half way';\n  RAISE WARNING 'mind this';\nEND $$;\n"
        "DROP TABLE IF EXISTS nothing;",
    )
    process = deployment.migrate()
    file = "pre-schema/001_talks.sql"
    process.wait_for("sql.notice", file=file, message="half way", severity="NOTICE", level="info", line=4)
    process.wait_for("sql.notice", file=file, message="mind this", severity="WARNING", level="warning", line=5)
    process.wait_for("sql.notice", file=file, severity="NOTICE", level="info", line=7)


@pytest.mark.parametrize("head", ["", "-- supervisor: no-transaction\n"], ids=["transaction", "no transaction"])
@pytest.mark.parametrize("release", ["SELECT pg_advisory_unlock_all();", f"SELECT pg_advisory_unlock({LOCK_KEY});"])
def test_a_file_that_releases_the_migration_lock_is_stopped(
    deployment: Deployment, session: Session, head: str, release: str
) -> None:
    deployment.sql("pre-schema", "001_releases.sql", f"{head}CREATE TABLE before (id int);\n{release}\nSELECT 1;")
    failure = deployment.migrate(status=3).failure
    assert failure["code"] == "sql.lock_released"
    assert f"pre-schema/001_releases.sql:{3 if head else 2}" in failure["message"]
    assert "pg_advisory_xact_lock" in failure["remedy"]
    assert session.applied == []
    assert session.has("before") == bool(head)


@pytest.mark.parametrize("right", ["SELECT", "INSERT"])
def test_a_guard_table_without_the_right_to_use_it_is_told_with_the_grant(
    deployment: Deployment, session: Session, right: str
) -> None:
    deployment.sql("pre-schema", "001_first.sql", "SELECT 1;")
    deployment.migrate()
    deployment.sql("pre-schema", "002_next.sql", "SELECT 1;")
    session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT, INSERT ON migrations_applied TO reader")
    session.execute(f"REVOKE {right} ON migrations_applied FROM reader")
    try:
        deployment.environ |= {"DB_USER": "reader", "DB_PASSWORD": "reader"}
        failure = deployment.migrate(status=78).failure
    finally:
        session.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert failure["code"] == "sql.guard_table"
    assert 'GRANT SELECT, INSERT, UPDATE ON "public".migrations_applied' in failure["remedy"]
