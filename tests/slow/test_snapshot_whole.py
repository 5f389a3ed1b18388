"""`snapshot` and `diff` on the real Directus: an export brings an empty database to where it was taken."""

from __future__ import annotations

import json

import anyio
import pytest

from supervisor.dev.postgres import PostgresCluster
from tests.command import run_command
from tests.conftest import _copy_database
from tests.database import Session
from tests.harness import Deployment

pytestmark = pytest.mark.directus


def test_an_export_is_clean_applies_to_an_empty_database_and_gives_the_same_export(
    migrated_rally: Deployment, cluster: PostgresCluster, bootstrapped_template: str, database: str, session: Session
) -> None:
    before = migrated_rally.snapshot.read_text()
    done = run_command(migrated_rally, "snapshot")
    assert (done.status, "up to date" in done.err) == (0, True), done.err
    assert migrated_rally.snapshot.read_text() == before

    # Ghosts are left out even when somebody has let Directus track them.
    session.execute(
        "INSERT INTO directus_collections (collection) VALUES ('positions');"
        "INSERT INTO directus_fields (collection, field) VALUES ('positions', 'device_id')"
    )
    migrated_rally.snapshot.unlink()
    assert run_command(migrated_rally, "snapshot", "--check").status == 1
    assert not migrated_rally.snapshot.exists()
    done = run_command(migrated_rally, "snapshot")
    assert done.status == 0, done.err
    exported = migrated_rally.snapshot.read_text()
    assert "positions" not in exported
    assert "collection: entry_devices" in exported

    session.close()
    anyio.run(_copy_database, cluster, bootstrapped_template, database)
    migrated_rally.migrate()
    done = run_command(migrated_rally, "snapshot", "--output", "again.yaml")
    assert done.status == 0, done.err
    assert (migrated_rally.folder / "again.yaml").read_text() == exported


def test_drift_is_told_by_status_and_by_name(migrated_rally: Deployment, session: Session) -> None:
    session.execute("ALTER TABLE vehicles ALTER make SET DEFAULT 'Lada'; DROP TABLE entry_crew CASCADE")
    session.execute("DELETE FROM directus_collections WHERE collection = 'entry_crew'")
    session.execute("INSERT INTO directus_collections (collection) VALUES ('made')")
    done = run_command(migrated_rally, "diff", "--json")
    assert done.status == 1, done.err
    found = {
        (item["action"], item["kind"], item["collection"], item["field"])
        for item in json.loads(done.out)["differences"]
    }
    assert {
        ("change", "field", "vehicles", "make"),
        ("create", "collection", "entry_crew", None),
        ("delete", "collection", "made", None),
    } <= found

    migrated_rally.environ["FORCE_COLOR"] = "1"
    done = run_command(migrated_rally, "diff")
    assert done.status == 1
    assert "\x1b[31m- delete  collection" in done.out
    assert "would change" in done.err
    assert run_command(migrated_rally, "snapshot", "--check").status == 1
