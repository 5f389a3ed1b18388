"""The commands on SQL files and their records, against a real PostgreSQL."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.lock import LOCK_KEY
from tests.command import Ended, run_command
from tests.database import Session
from tests.harness import Deployment

HOLD = f"SELECT pg_advisory_lock({LOCK_KEY})"
STATE = """
    SELECT string_agg(relname || ':' || relfilenode, ',' ORDER BY oid) FROM pg_class
     WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""


@pytest.fixture
def small(deployment: Deployment, session: Session) -> Deployment:
    """A deployment with two files that have run, without the cost of a whole boot."""
    paths = [
        deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE first (id int);"),
        deployment.sql("pre-schema", "003_third.sql", "CREATE TABLE third (id int);"),
    ]
    session.execute(
        "CREATE TABLE migrations_applied (filename text PRIMARY KEY, applied_at timestamptz NOT NULL, checksum text)"
    )
    for path in paths:
        session.execute(
            f"INSERT INTO migrations_applied VALUES ('{path.name}', '2026-01-02 03:04:05.678+00', '{sha256(path)}')"
        )
    return deployment


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checksum(session: Session, name: str) -> object:
    return session.value("SELECT checksum FROM migrations_applied WHERE filename = $1", name)


def files_of(ended: Ended) -> dict[str, str]:
    return {each["file"]: each["state"] for each in ended.document["files"]}


# plan


def test_a_plan_says_what_a_boot_then_does(small: Deployment, session: Session) -> None:
    small.sql("pre-schema", "002_second.sql", "CREATE TABLE second (id int);")
    small.sql("pre-schema", "004_waits.sql", "-- supervisor: requires-extension timescaledb optional\nSELECT 1;")
    small.sql("post-schema", "001_view.sql", "-- supervisor: repeatable\nCREATE OR REPLACE VIEW v AS SELECT 1 AS a;")
    session.execute("INSERT INTO migrations_applied VALUES ('000_gone.sql', now(), 'x')")
    before = session.value(STATE)

    ended = run_command(small, "plan", "--json")
    assert ended.status == 0
    assert files_of(ended) == {
        "pre-schema/001_first.sql": "applied",
        "pre-schema/002_second.sql": "to_apply",
        "pre-schema/003_third.sql": "applied",
        "pre-schema/004_waits.sql": "pending",
        "post-schema/001_view.sql": "to_apply",
    }
    document = ended.document
    assert document["rows_without_file"] == ["000_gone.sql"]
    assert [each["file"] for each in document["files"] if each["out_of_order"]] == ["pre-schema/002_second.sql"]
    assert document["files"][0]["applied_at"] == "2026-01-02 03:04:05.678+00"
    assert document["problem"] is None
    assert session.value(STATE) == before

    applied = [each["file"] for each in small.migrate().of("sql.applied")]
    assert applied == document["to_apply"]
    assert run_command(small, "plan", "--check").status == 0


def test_a_plan_is_a_table_for_people(small: Deployment) -> None:
    small.sql("pre-schema", "002_second.sql", "CREATE TABLE second (id int);")
    text = run_command(small, "plan").out
    assert "applied   pre-schema/001_first.sql   2026-01-02 03:04:05\n" in text
    assert "to apply  pre-schema/002_second.sql  out of order" in text
    assert text.splitlines()[-1].endswith(": 2 applied, 1 to apply")


def test_check_ends_with_1_when_a_file_would_run(small: Deployment) -> None:
    assert run_command(small, "plan", "--check").status == 0
    small.sql("post-schema", "001_more.sql", "SELECT 1;")
    assert run_command(small, "plan", "--check").status == 1
    assert run_command(small, "plan").status == 0


def test_a_plan_that_would_stop_a_boot_ends_with_its_status(small: Deployment) -> None:
    small.sql("pre-schema", "003_third.sql", "CREATE TABLE third (id bigint);")
    ended = run_command(small, "plan", "--json")
    assert ended.status == 2
    assert files_of(ended)["pre-schema/003_third.sql"] == "changed"
    assert ended.document["problem"]["code"] == "sql.checksum_mismatch"
    assert "sql.checksum_mismatch" in ended.err

    small.sql("pre-schema", "3_twice.sql", "SELECT 1;")
    assert run_command(small, "plan").status == 4


def test_a_plan_does_not_wait_for_the_migration_lock(small: Deployment, session: Session) -> None:
    session.execute(HOLD)
    assert run_command(small, "plan").status == 0


def test_a_server_that_does_not_answer_is_told_within_seconds(deployment: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deployment.environ["DB_PORT"] = str(silent.getsockname()[1])
        started = time.monotonic()
        ended = run_command(deployment, "plan")
        assert time.monotonic() - started < 15
    assert ended.status == 8
    assert ended.out == ""
    assert "postgres.unreachable" in ended.err


def test_a_wrong_password_is_told(deployment: Deployment) -> None:
    deployment.environ["DB_PASSWORD"] = "wrong"
    ended = run_command(deployment, "history")
    assert ended.status == 78
    assert "postgres.refused" in ended.err
    assert "DB_PASSWORD" in ended.err


def test_a_plan_needs_no_directus(small: Deployment) -> None:
    del small.environ["SUPERVISOR_DIRECTUS_DIR"]
    del small.environ["SUPERVISOR_NODE"]
    assert run_command(small, "plan").status == 0


# new


def test_a_new_file_has_the_next_number_and_runs(small: Deployment, session: Session) -> None:
    ended = run_command(small, "new", "Index positions, by Codec!")
    assert ended.status == 0
    assert ended.out == "sql/pre-schema/004_index_positions_by_codec.sql\n"
    assert run_command(small, "plan", "--json").document["to_apply"] == ["pre-schema/004_index_positions_by_codec.sql"]
    assert run_command(small, "new", "again", "--post", "--repeatable").out == "sql/post-schema/001_again.sql\n"
    document = run_command(small, "plan", "--json").document
    assert [each["file"] for each in document["files"] if each["repeatable"]] == ["post-schema/001_again.sql"]


def test_a_name_of_the_other_folder_is_not_taken_twice(deployment: Deployment) -> None:
    first = run_command(deployment, "new", "same")
    second = run_command(deployment, "new", "same", "--post")
    assert (first.out, second.out) == ("sql/pre-schema/001_same.sql\n", "sql/post-schema/002_same.sql\n")


def test_a_name_without_letters_makes_no_file(deployment: Deployment) -> None:
    ended = run_command(deployment, "new", "../../!")
    assert ended.status == 64
    assert not (deployment.folder / "sql").exists()


# repair


def test_a_repair_accepts_an_edited_file_and_the_boot_goes_on(small: Deployment, session: Session) -> None:
    path = small.sql("pre-schema", "003_third.sql", "CREATE TABLE third (id bigint);")
    small.migrate(status=2)
    ended = run_command(small, "repair", "--yes")
    assert ended.status == 0
    assert "accept  pre-schema/003_third.sql" in ended.out
    assert checksum(session, "003_third.sql") == sha256(path)
    when = session.value("SELECT applied_at::text FROM migrations_applied WHERE filename = '003_third.sql'")
    assert when.startswith("2026-01-02")
    assert not session.has("third")
    assert run_command(small, "plan", "--check").status == 0


def test_a_repair_can_be_of_one_file(small: Deployment, session: Session) -> None:
    first = small.sql("pre-schema", "001_first.sql", "SELECT 1;")
    third = small.sql("pre-schema", "003_third.sql", "SELECT 3;")
    assert run_command(small, "repair", "001_first.sql", "--yes").status == 0
    assert checksum(session, first.name) == sha256(first)
    assert checksum(session, third.name) != sha256(third)
    unknown = run_command(small, "repair", "001_first.sql", "pre-schema/003_third.sql", "--yes")
    assert unknown.status == 64
    assert "001_first.sql" in unknown.err
    assert checksum(session, third.name) != sha256(third)


def test_orphan_rows_are_dropped_only_when_asked(small: Deployment, session: Session) -> None:
    session.execute("INSERT INTO migrations_applied VALUES ('000_gone.sql', now(), 'x')")
    assert "nothing to repair" in run_command(small, "repair", "--yes").err
    assert checksum(session, "000_gone.sql") == "x"
    ended = run_command(small, "repair", "--drop-orphans", "--yes")
    assert "drop    000_gone.sql" in ended.out
    assert session.column("SELECT filename FROM migrations_applied ORDER BY 1") == ["001_first.sql", "003_third.sql"]


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 64), ("\n", 64), (None, 64)])
def test_nothing_is_repaired_without_a_yes(small: Deployment, session: Session, typed: str | None, status: int) -> None:
    path = small.sql("pre-schema", "003_third.sql", "SELECT 3;")
    ended = run_command(small, "repair", typed=typed)
    assert ended.status == status
    assert "accept  pre-schema/003_third.sql" in ended.out
    assert (checksum(session, path.name) == sha256(path)) is (status == 0)
    assert ("command.unconfirmed" in ended.err) is (status != 0)


def test_a_repair_is_all_or_nothing(small: Deployment, session: Session) -> None:
    first = small.sql("pre-schema", "001_first.sql", "SELECT 1;")
    small.sql("pre-schema", "003_third.sql", "SELECT 3;")
    session.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON migrations_applied FOR EACH ROW
          WHEN (NEW.filename = '003_third.sql') EXECUTE FUNCTION refuse()
    """)
    ended = run_command(small, "repair", "--yes")
    assert ended.status == 78
    assert "sql.guard_table" in ended.err
    assert checksum(session, first.name) != sha256(first)


def test_a_repair_waits_for_the_migration_lock(
    small: Deployment, session: Session, cluster: PostgresCluster, database: str
) -> None:
    path = small.sql("pre-schema", "003_third.sql", "SELECT 3;")
    with Session(cluster, database) as holder:
        holder.execute(HOLD)
        with small.start("repair", "--yes") as process:
            process.wait_for("lock.waiting")
            assert checksum(session, path.name) != sha256(path)
            holder.close()
            process.expect_exit(0)
    assert checksum(session, path.name) == sha256(path)


def test_a_repair_writes_nothing_when_others_were_faster(
    small: Deployment, session: Session, cluster: PostgresCluster, database: str
) -> None:
    small.sql("pre-schema", "003_third.sql", "SELECT 3;")
    with Session(cluster, database) as holder:
        holder.execute(HOLD)
        with small.start("repair", "--yes") as process:
            process.wait_for("lock.waiting")
            session.execute("UPDATE migrations_applied SET checksum = repeat('f', 64) WHERE filename = '003_third.sql'")
            holder.close()
            process.expect_exit(9)
    assert "command.plan_moved" in process.text
    assert checksum(session, "003_third.sql") == "f" * 64


# baseline


def test_a_baseline_records_without_running(deployment: Deployment, session: Session) -> None:
    paths = [
        deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE first (id int);"),
        deployment.sql("post-schema", "001_after.sql", "CREATE TABLE after (id int);"),
    ]
    deployment.sql("pre-schema", "002_next.sql", "CREATE TABLE next (id int);")
    deployment.sql("post-schema", "000_view.sql", "-- supervisor: repeatable\nCREATE OR REPLACE VIEW v AS SELECT 1;")
    refused = run_command(deployment, "baseline", "--to", "1")
    assert refused.status == 64
    assert not session.has("migrations_applied")

    ended = run_command(deployment, "baseline", "--to", "001", "--yes")
    assert ended.status == 0
    assert [words[:2] for words in ended.lines if words[0] == "record"] == [
        ["record", "pre-schema/001_first.sql"],
        ["record", "post-schema/001_after.sql"],
    ]
    assert [checksum(session, path.name) for path in paths] == list(map(sha256, paths))
    document = run_command(deployment, "plan", "--json").document
    assert document["to_apply"] == ["pre-schema/002_next.sql", "post-schema/000_view.sql"]

    assert run_command(deployment, "baseline", "--yes").status == 0
    deployment.migrate()
    assert not any(session.has(table) for table in ("first", "after", "next"))
    assert session.has("v")
    assert "nothing to record" in run_command(deployment, "baseline", "--yes").err


def test_a_baseline_waits_for_the_migration_lock(
    deployment: Deployment, session: Session, cluster: PostgresCluster, database: str
) -> None:
    deployment.sql("pre-schema", "001_first.sql", "SELECT 1;")
    with Session(cluster, database) as holder:
        holder.execute(HOLD)
        with deployment.start("baseline", "--yes") as process:
            process.wait_for("lock.waiting")
            assert not session.has("migrations_applied")
            holder.close()
            process.expect_exit(0)
    assert session.applied == ["001_first.sql"]
