"""Repeatable SQL files: run again whenever their content has changed, after the numbered ones."""

from __future__ import annotations

import pytest

from tests.database import Session
from tests.harness import Deployment, Supervised

HEAD = "-- supervisor: repeatable\n"


def summary(process: Supervised) -> str:
    return str(process.wait_for("phase.finished", phase="pre_schema")["summary"])


def view(value: int) -> str:
    return f"{HEAD}CREATE OR REPLACE VIEW answer AS SELECT {value} AS value FROM base;"


def test_a_repeatable_file_runs_after_the_numbered_ones_and_again_when_it_changes(
    deployment: Deployment, session: Session
) -> None:
    path = deployment.sql("pre-schema", "001_answer.sql", view(41))
    deployment.sql("pre-schema", "500_base.sql", "CREATE TABLE base AS SELECT 1 AS id;")
    assert summary(deployment.migrate()) == "2 applied, 0 skipped"
    assert session.applied == ["500_base.sql", "001_answer.sql"]
    assert summary(deployment.migrate()) == "0 applied, 2 skipped"

    before = session.value("SELECT applied_at FROM migrations_applied WHERE filename = '001_answer.sql'")
    path.write_text(view(42))
    assert summary(deployment.migrate()) == "1 applied, 1 skipped"
    assert session.value("SELECT value FROM answer") == 42
    assert session.value("SELECT count(*) FROM migrations_applied") == 2
    assert session.value("SELECT applied_at FROM migrations_applied WHERE filename = '001_answer.sql'") > before
    assert summary(deployment.migrate()) == "0 applied, 2 skipped"


def test_a_changed_repeatable_file_that_fails_leaves_its_earlier_effect_and_record(
    deployment: Deployment, session: Session
) -> None:
    deployment.sql("pre-schema", "001_base.sql", "CREATE TABLE base AS SELECT 1 AS id;")
    path = deployment.sql("pre-schema", "002_answer.sql", view(41))
    deployment.migrate()
    recorded = session.column("SELECT checksum FROM migrations_applied ORDER BY filename")
    path.write_text(view(42) + "\nSELECT nope;")
    assert "002_answer.sql:3:8" in deployment.migrate(status=3).failure["message"]
    assert session.value("SELECT value FROM answer") == 41
    assert session.column("SELECT checksum FROM migrations_applied ORDER BY filename") == recorded


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_a_numbered_file_that_becomes_repeatable_runs_again_in_its_row(
    deployment: Deployment, session: Session, key: str
) -> None:
    session.execute(f"CREATE TABLE migrations_applied (filename text {key}, applied_at timestamp, checksum char(64))")
    path = deployment.sql("pre-schema", "001_seen.sql", "CREATE TABLE IF NOT EXISTS seen (); SELECT 1;")
    deployment.migrate()
    path.write_text(HEAD + path.read_text())
    assert summary(deployment.migrate()) == "1 applied, 0 skipped"
    assert session.value("SELECT count(*) FROM migrations_applied") == 1
    assert summary(deployment.migrate()) == "0 applied, 1 skipped"


def test_a_repeatable_file_that_becomes_numbered_counts_as_edited(deployment: Deployment, session: Session) -> None:
    path = deployment.sql("pre-schema", "001_seen.sql", HEAD + "SELECT 1;")
    deployment.migrate()
    path.write_text("SELECT 1;")
    assert deployment.migrate(status=2).failure["code"] == "sql.checksum_mismatch"
    path.rename(path.with_name("002_seen.sql"))
    assert summary(deployment.migrate()) == "1 applied, 0 skipped"


def test_a_repeatable_file_may_run_without_a_transaction(deployment: Deployment, session: Session) -> None:
    text = HEAD + "-- supervisor: no-transaction\nCREATE TABLE IF NOT EXISTS t (id int);\nINSERT INTO t VALUES (1);\n"
    path = deployment.sql("pre-schema", "001_rows.sql", text)
    deployment.migrate()
    path.write_text(text + "VACUUM t;")
    deployment.migrate()
    assert session.value("SELECT count(*) FROM t") == 2
    assert session.applied == ["001_rows.sql"]
