"""`snapshot` and `diff` against the real Directus."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.conftest import _copy_database
from tests.database import Session
from tests.harness import Deployment, eventually, is_gone


def run(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "supervisor", *arguments]
    return subprocess.run(
        argv, env=deployment.environ, cwd=deployment.folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.directus
def test_an_export_is_clean_applies_to_an_empty_database_and_gives_the_same_export(
    migrated_rally: Deployment, cluster: PostgresCluster, bootstrapped_template: str, database: str, session: Session
) -> None:
    before = migrated_rally.snapshot.read_text()
    done = run(migrated_rally, "snapshot")
    assert (done.returncode, "up to date" in done.stderr) == (0, True), done.stderr
    assert migrated_rally.snapshot.read_text() == before

    # Ghosts are left out even when somebody has let Directus track them.
    session.execute(
        "INSERT INTO directus_collections (collection) VALUES ('positions');"
        "INSERT INTO directus_fields (collection, field) VALUES ('positions', 'device_id')"
    )
    migrated_rally.snapshot.unlink()
    assert run(migrated_rally, "snapshot", "--check").returncode == 1
    assert not migrated_rally.snapshot.exists()
    done = run(migrated_rally, "snapshot")
    assert done.returncode == 0, done.stderr
    exported = migrated_rally.snapshot.read_text()
    assert "positions" not in exported
    assert "collection: entry_devices" in exported

    session.close()
    anyio.run(_copy_database, cluster, bootstrapped_template, database)
    migrated_rally.migrate()
    done = run(migrated_rally, "snapshot", "--output", "again.yaml")
    assert done.returncode == 0, done.stderr
    assert (migrated_rally.folder / "again.yaml").read_text() == exported


@pytest.mark.directus
def test_drift_is_told_by_status_and_by_name(migrated_rally: Deployment, session: Session) -> None:
    session.execute("ALTER TABLE vehicles ALTER make SET DEFAULT 'Lada'; DROP TABLE entry_crew CASCADE")
    session.execute("DELETE FROM directus_collections WHERE collection = 'entry_crew'")
    session.execute("INSERT INTO directus_collections (collection) VALUES ('made')")
    done = run(migrated_rally, "diff", "--json")
    assert done.returncode == 1, done.stderr
    found = {
        (item["action"], item["kind"], item["collection"], item["field"])
        for item in json.loads(done.stdout)["differences"]
    }
    assert {
        ("change", "field", "vehicles", "make"),
        ("create", "collection", "entry_crew", None),
        ("delete", "collection", "made", None),
    } <= found

    migrated_rally.environ["FORCE_COLOR"] = "1"
    done = run(migrated_rally, "diff")
    assert done.returncode == 1
    assert "\x1b[31m- delete  collection" in done.stdout
    assert "would change" in done.stderr
    assert run(migrated_rally, "snapshot", "--check").returncode == 1


@pytest.mark.directus
def test_a_file_that_cannot_be_written_is_told_and_left_as_it_was(migrated_rally: Deployment) -> None:
    (migrated_rally.folder / "file").write_text("")
    done = run(migrated_rally, "snapshot", "--output", "file/schema.yaml")
    assert done.returncode == 5
    assert "schema.export_failed" in done.stderr
    assert [path.name for path in migrated_rally.snapshot.parent.iterdir()] == ["schema.yaml"]


@pytest.mark.directus
def test_a_database_that_cannot_be_reached_ends_with_a_status_of_its_own(migrated_rally: Deployment) -> None:
    migrated_rally.environ["DB_PASSWORD"] = "wrong"
    done = run(migrated_rally, "diff")
    assert done.returncode == 5
    assert "schema.export_failed" in done.stderr
    assert "wrong" not in done.stderr


@pytest.mark.parametrize("command", ["snapshot", "diff"])
def test_a_stop_ends_it_at_once_and_node_with_it(deployment: Deployment, command: str) -> None:
    started = deployment.folder / "started"
    modules = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules")
    (modules / "js-yaml").mkdir(exist_ok=True)
    (modules / "js-yaml" / "index.js").write_text("exports.load = JSON.parse;")
    (modules / "@directus/api/dist/database/index.js").write_text(
        "import { writeFileSync } from 'node:fs';"
        f"writeFileSync({json.dumps(str(started))}, String(process.pid));"
        "await new Promise((resolve) => setTimeout(resolve, 600_000));"
    )
    with deployment.start(command) as process:
        eventually(lambda: started.is_file() and bool(started.read_text()), timeout_s=30)
        process.signal(signal.SIGTERM)
        process.expect_exit(128 + signal.SIGTERM, timeout_s=10)
    assert is_gone(int(started.read_text()))
