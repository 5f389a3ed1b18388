"""The real Directus on a real PostgreSQL: from nothing to a served API, and through every interruption."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import asyncpg
import httpx
import pytest

from supervisor.dev.postgres import PostgresCluster
from supervisor.directus.strays import STEP_APPLICATION_NAME
from supervisor.directus.unfinished import start_over
from tests.database import Session
from tests.harness import Deployment, Supervised, eventually, is_gone

pytestmark = pytest.mark.directus

COLLECTIONS = {
    "organizations",
    "vehicles",
    "devices",
    "organization_users",
    "organization_vehicles",
    "organization_devices",
    "events",
    "classes",
    "entries",
    "entry_crew",
    "entry_devices",
}
UNIQUE_TOGETHER = {
    "organization_users UNIQUE (organization_id, user_id)",
    "organization_vehicles UNIQUE (organization_id, vehicle_id)",
    "organization_devices UNIQUE (organization_id, device_id)",
    "events UNIQUE (organization_id, slug)",
    "classes UNIQUE (event_id, code)",
    "entries UNIQUE (event_id, race_number)",
    "entry_crew UNIQUE (entry_id, user_id)",
    "entry_devices UNIQUE (entry_id, device_id)",
}
PHASES = ("wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema")


def outcomes(process: Supervised) -> dict[str, str]:
    return {record["phase"]: record["outcome"] for record in process.of("phase.finished")}


def expect_the_rally_schema(session: Session) -> None:
    """Everything that `rally.md` promises is in the database."""
    assert set(session.column("SELECT collection::text FROM directus_collections")) == COLLECTIONS
    tables = set(session.column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"))
    assert tables >= COLLECTIONS | {"positions", "migrations_applied"}
    unique = session.column(
        "SELECT conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'u' AND connamespace = 'public'::regnamespace AND cardinality(conkey) > 1"
        " AND conrelid::regclass::text <> ALL ($1)",
        [table for table in tables if table.startswith("directus_")],
    )
    assert set(unique) == UNIQUE_TOGETHER
    relations = session.column("SELECT many_collection || '.' || many_field FROM directus_relations")
    assert len(relations) == 16
    rules = session.column(
        "SELECT format('%s.%s %s', c.conrelid::regclass, a.attname, c.confdeltype) FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " WHERE c.contype = 'f' AND c.conrelid::regclass::text = ANY ($1)",
        sorted(COLLECTIONS),
    )
    restricted, set_null = "r", "n"
    expected = {f"{name} {set_null if name == 'entry_devices.assigned_user_id' else restricted}" for name in relations}
    assert set(rules) == expected
    assert len(rules) == 16
    assert session.value("SELECT count(*) FROM directus_users") == 1


def test_two_migrations_at_once_on_an_empty_database_both_end_well(
    rally: Deployment, tmp_path: Path, session: Session
) -> None:
    with rally.start("migrate") as one, rally.start("migrate") as other:
        one.expect_exit(0, timeout_s=240)
        other.expect_exit(0, timeout_s=240)
    steps = [record["step"] for process in (one, other) for record in process.of("directus.step")]
    assert steps.count("bootstrap") == 1
    # Directus is loaded once for both of its steps.
    assert len({record["pid"] for process in (one, other) for record in process.of("directus.step")}) == 1
    assert all(record["expected"] for process in (one, other) for record in process.of("process.exited"))
    expect_the_rally_schema(session)
    assert sorted(outcomes(process)["bootstrap"] for process in (one, other)) == ["changed", "unchanged"]
    assert sorted(outcomes(process)["schema_apply"] for process in (one, other)) == ["changed", "unchanged"]

    process = rally.migrate()
    assert outcomes(process) == dict.fromkeys(PHASES, "unchanged")
    assert not process.of("sql.applied")
    assert not process.of("directus.step", step="bootstrap")


def test_an_installation_without_any_user_is_kept_when_no_admin_was_asked_for(
    bootstrapped_rally: Deployment, session: Session
) -> None:
    session.execute("DELETE FROM directus_users")
    del bootstrapped_rally.environ["ADMIN_EMAIL"]
    process = bootstrapped_rally.without_schema().migrate()
    assert outcomes(process)["bootstrap"] == "unchanged"
    assert process.of("directus.no_admin", level="warning")


def test_an_installation_that_holds_anything_is_never_begun_anew(
    bootstrapped_rally: Deployment, session: Session
) -> None:
    session.execute("DELETE FROM directus_users; INSERT INTO directus_collections (collection) VALUES ('mine')")
    process = bootstrapped_rally.without_schema().migrate()
    assert outcomes(process)["bootstrap"] == "unchanged"
    assert process.of("directus.no_admin")
    assert session.column("SELECT collection::text FROM directus_collections") == ["mine"]


def test_what_depends_on_a_table_of_directus_keeps_it(
    cluster: PostgresCluster, database: str, session: Session
) -> None:
    session.execute("CREATE TABLE directus_users (id int); CREATE TABLE directus_roles (id int)")
    session.execute("CREATE VIEW people AS SELECT id FROM directus_users")

    async def try_to() -> tuple[str, ...]:
        connection = await cluster.connect(database)
        try:
            return await start_over(connection, "public")
        finally:
            await connection.close()

    assert anyio.run(try_to) == ()
    assert session.has("directus_users")
    assert session.has("directus_roles")
    session.execute("DROP VIEW people")
    assert anyio.run(try_to) == ("directus_roles", "directus_users")
    assert not session.has("directus_users")


def test_a_bootstrap_that_somebody_else_runs_is_waited_for(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE TABLE directus_collections (collection text)")
    with deployment.start("migrate") as process:
        process.wait_for("directus.bootstrap_unfinished")
        session.execute(
            "CREATE TABLE directus_users (id int); INSERT INTO directus_users VALUES (1);"
            "CREATE TABLE directus_migrations (version text); INSERT INTO directus_migrations VALUES ('20200101A')"
        )
        process.expect_exit(0)
    assert not process.of("directus.bootstrap_started_over")
    assert not process.of("directus.step", step="bootstrap")


def test_a_step_that_a_dead_supervisor_has_left_behind_is_ended_before_the_next(
    deployment: Deployment, session: Session
) -> None:
    session.execute(f"SET application_name = '{STEP_APPLICATION_NAME}'")
    process = deployment.migrate()
    assert process.of("directus.stray_step", backends=[session.pid])
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        session.execute("SELECT 1")


def test_a_pending_migration_makes_the_bootstrap_run_and_a_failing_one_is_told(
    bootstrapped_rally: Deployment, session: Session
) -> None:
    migrations = bootstrapped_rally.folder / "migrations"
    migrations.mkdir()
    migration = migrations / "20990101A-custom.mjs"
    migration.write_text("export async function up() { throw new Error('not today'); }")
    bootstrapped_rally.environ["MIGRATIONS_PATH"] = str(migrations)
    process = bootstrapped_rally.without_schema().migrate(5)
    assert process.failure["code"] == "directus.bootstrap_failed"
    assert process.failure["pending"] == ["20990101A"]
    assert "1 migrations are pending" in process.failure["message"]
    assert any("not today" in line for line in process.failure["last_lines"])
    assert "interrupted" in process.failure["remedy"]

    migration.write_text(
        "export async function up(knex) { await knex.schema.createTable('made', (t) => t.increments()); }"
    )
    process = bootstrapped_rally.migrate()
    assert outcomes(process)["bootstrap"] == "changed"
    assert "updated, 1 Directus migrations" in process.of("phase.finished", phase="bootstrap")[0]["summary"]
    assert session.has("made")


def test_a_crash_is_followed_by_a_restart_and_no_secret_is_shown_in_any_format(migrated_rally: Deployment) -> None:
    migrated_rally.without_schema().environ |= {"SUPERVISOR_RESTART_BACKOFF_S": "0.05", "LOG_LEVEL": "trace"}
    with migrated_rally.start("run") as process:
        first = process.wait_for("process.ready")["pid"]
        os.kill(first, signal.SIGKILL)
        process.wait_for("process.restarting", restart=1)
        eventually(lambda: len(process.of("process.ready")) == 2)
        second = process.of("process.ready")[1]["pid"]
        assert second != first
        assert httpx.get(f"{migrated_rally.url}/server/ping", trust_env=False).text == "pong"
        process.signal(signal.SIGTERM)
        process.expect_exit(0)
        assert is_gone(second)
    (crash,) = process.of("process.exited", signal="SIGKILL")
    assert crash["expected"] is False

    migrated_rally.environ |= {"SUPERVISOR_LOG_FORMAT": "console", "NO_COLOR": "1"}
    with migrated_rally.start("run", "--once") as process:
        process.expect_exit(0)
    assert "Server started at" in process.text
    for name in ("DB_PASSWORD", "SECRET", "ADMIN_PASSWORD"):
        assert migrated_rally.environ[name] not in process.text


def test_a_database_that_goes_away_before_the_start_is_explained(
    migrated_rally: Deployment, cluster: PostgresCluster, database: str
) -> None:
    migrated_rally.without_schema().environ["SUPERVISOR_RESTART_LIMIT"] = "0"
    with migrated_rally.start("run") as process, Session(cluster, "postgres") as other:
        process.wait_for("process.started", process="directus")
        other.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        process.expect_exit(7)
    assert process.failure["code"] == "directus.crash_loop"
    assert f'error: database "{database}" is not currently accepting connections' in process.failure["message"]
