"""The past boots, as the database keeps them and as `history` shows them."""

from __future__ import annotations

from supervisor.dev.postgres import PostgresCluster
from tests.command import run_command
from tests.database import Session
from tests.harness import Deployment


def test_boots_are_remembered_with_what_each_phase_did(deployment: Deployment, session: Session) -> None:
    assert run_command(deployment, "history", "--json").document == []
    assert "no boot is on record" in run_command(deployment, "history").err
    deployment.sql("pre-schema", "001_first.sql", "CREATE TABLE t (id int);")
    deployment.migrate()
    # Where nothing changes, remembering that takes no lock either.
    assert not deployment.migrate().of("lock.acquired")
    secret = deployment.environ["SECRET"]
    broken = deployment.sql(
        "pre-schema",
        "002_broken.sql",
        f"-- supervisor: no-transaction\nSET ROLE pg_monitor; DO $$ BEGIN RAISE 'it is {secret}'; END $$;",
    )
    deployment.migrate(status=3)
    broken.unlink()

    failed, warm, first = run_command(deployment, "history", "--json").document
    assert [each["failure"] for each in (first, warm, failed)] == [None, None, "sql.failed"]
    outcomes = {phase["name"]: phase["outcome"] for phase in first["phases"]}
    assert outcomes["pre_schema"] == "changed"
    assert {phase["outcome"] for phase in warm["phases"]} <= {"unchanged", "skipped"}
    assert failed["phases"][-1]["name"] == "pre_schema"
    assert failed["phases"][-1]["outcome"] == "failed"
    assert "002_broken.sql:2" in failed["phases"][-1]["summary"]
    assert "it is [redacted]" in failed["phases"][-1]["summary"]
    assert first["directus_version"] == "0.0.0-stand-in"
    assert first["duration_s"] > 0

    rows = run_command(deployment, "history", "--limit", "2").out.splitlines()
    assert len(rows) == 3
    assert "sql.failed: pre_schema: " in rows[1]
    assert rows[2].endswith("unchanged")


def test_only_the_last_thousand_are_kept(deployment: Deployment, session: Session) -> None:
    deployment.migrate()
    session.execute("""
        INSERT INTO supervisor.boots
               (started_at, duration_s, host, supervisor_version, directus_version, failure, phases)
        SELECT now(), 1, 'h', '1', '1', NULL, '[]' FROM generate_series(1, 1200)
    """)
    deployment.migrate()
    assert session.value("SELECT count(*) FROM supervisor.boots") <= 1001
    assert session.value("SELECT host FROM supervisor.boots ORDER BY id DESC LIMIT 1") != "h"


def test_a_history_that_cannot_be_written_does_no_harm(
    deployment: Deployment, session: Session, cluster: PostgresCluster
) -> None:
    deployment.migrate()
    session.execute("ALTER TABLE supervisor.boots ADD CHECK (false) NOT VALID")
    deployment.migrate()
    session.execute("DROP TABLE supervisor.boots")
    deployment.migrate()
    assert run_command(deployment, "history", "--json").document == []
