"""The past boots, as the database keeps them and as `history` shows them."""

from __future__ import annotations

import os
import signal
import time

import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.postgres.lock import LOCK_KEY
from tests.command import run_command
from tests.database import Session
from tests.harness import Deployment, eventually


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


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_a_boot_that_a_signal_stopped_is_remembered_as_stopped(
    deployment: Deployment, session: Session, command: str
) -> None:
    deployment.migrate()
    deployment.sql(
        "pre-schema", "001_half.sql", "CREATE TABLE half (id int); SET ROLE pg_monitor; SELECT pg_sleep(600);"
    )
    with deployment.start(command) as process:
        eventually(lambda: session.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        process.expect_exit(0 if command == "run" else 128 + signal.SIGTERM)
        assert time.monotonic() - began < 5
    assert not session.has("half")
    stopped, _ = run_command(deployment, "history", "--json").document
    assert stopped["failure"] == "stopped"
    assert [phase["outcome"] for phase in stopped["phases"]] == ["unchanged", "stopped"]
    assert stopped["phases"][-1]["name"] == "pre_schema"
    assert stopped["phases"][-1]["summary"] == "SIGTERM was received"


def test_a_stop_while_another_holds_the_lock_is_remembered(deployment: Deployment, session: Session) -> None:
    deployment.migrate()
    deployment.sql("pre-schema", "001_next.sql", "SELECT 1;")
    session.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
    with deployment.start("migrate") as process:
        process.wait_for("lock.waiting")
        process.signal(signal.SIGINT)
        process.expect_exit(128 + signal.SIGINT)
    stopped, _ = run_command(deployment, "history", "--json").document
    assert stopped["failure"] == "stopped"
    assert stopped["phases"][-1]["summary"] == "SIGINT was received"


def test_a_server_that_no_longer_answers_does_not_hold_up_a_stop(deployment: Deployment, session: Session) -> None:
    deployment.migrate()
    deployment.sql("pre-schema", "001_half.sql", "SELECT pg_sleep(600);")
    with deployment.start("migrate") as process:
        eventually(lambda: session.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1)
        backend = int(session.value("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        os.kill(backend, signal.SIGSTOP)
        try:
            process.signal(signal.SIGTERM)
            process.expect_exit(128 + signal.SIGTERM, timeout_s=10)
        finally:
            os.kill(backend, signal.SIGCONT)
    (first,) = run_command(deployment, "history", "--json").document
    assert first["failure"] is None
