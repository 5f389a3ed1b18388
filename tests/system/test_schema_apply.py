"""The schema apply: what would lose data is refused, what SQL files own is left alone, and no success is believed."""

from __future__ import annotations

import json
import signal
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.database import Session
from tests.harness import Deployment

# What the snapshot of the stand-in's tests holds: one collection with one column.
SNAPSHOT = {
    "collections": [{"collection": "cars", "schema": {"name": "cars"}}],
    "fields": [{"collection": "cars", "field": "id", "schema": {"name": "id"}}],
    "relations": [],
}
CREATED = {
    "collections": [{"collection": "cars", "diff": [{"kind": "N", "rhs": {}}]}],
    "fields": [{"collection": "cars", "field": "id", "diff": [{"kind": "N", "rhs": {}}]}],
    "relations": [],
}


def pretending(deployment: Deployment, *, apply: str = "", diff: object = CREATED) -> Deployment:
    """Give the stand-in the modules of Directus that the schema script loads, with an apply of our own making."""
    deployment.snapshot.parent.mkdir()
    deployment.snapshot.write_text(json.dumps(SNAPSHOT))
    modules = Path(deployment.environ["SUPERVISOR_DIRECTUS_DIR"], "node_modules")
    texts = {
        "js-yaml/package.json": '{"name": "js-yaml"}',
        "js-yaml/index.js": "exports.load = JSON.parse;",
        "@directus/api/dist/database/index.js": """
            export default () => ({ destroy: async () => {} });
            export const isInstalled = async () => true;
        """,
        "@directus/api/dist/utils/get-snapshot.js": "export const getSnapshot = async () => ({});",
        "@directus/api/dist/utils/get-snapshot-diff.js": f"export const getSnapshotDiff = () => ({json.dumps(diff)});",
        "@directus/api/dist/utils/apply-snapshot.js": f"export const applySnapshot = async () => {{ {apply} }};",
        "@directus/api/dist/cli/load-extensions.js": "export const loadExtensions = async () => {};",
    }
    for name, text in texts.items():
        path = modules / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return deployment


def test_an_apply_without_effect_is_caught_by_looking_into_the_database(deployment: Deployment) -> None:
    process = pretending(deployment).migrate(5)
    assert process.failure["code"] == "schema.apply_failed"
    assert process.failure["missing"] == ["table cars", "collection cars", "column cars.id"]
    assert "reported success, but the database has no table cars" in process.failure["message"]


def test_an_apply_that_fails_is_told_with_the_reason(deployment: Deployment) -> None:
    process = pretending(deployment, apply="throw new Error('no room left')").migrate(5)
    assert process.failure["code"] == "schema.apply_failed"
    assert "no room left" in process.failure["message"]


def test_an_apply_that_dies_without_a_word_is_told_with_its_status(deployment: Deployment) -> None:
    process = pretending(deployment, apply="console.error('gone wrong'); process.exit(0)").migrate(5)
    assert "status 0; its last words: gone wrong" in process.failure["message"]


def test_an_apply_that_hangs_is_ended_by_the_step_timeout(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_STEP_TIMEOUT_S"] = "2"
    hanging = "console.log('hanging'); await new Promise((resolve) => setTimeout(resolve, 600_000));"
    process = pretending(deployment, apply=hanging).migrate(5)
    assert process.failure["code"] == "schema.apply_failed"
    assert "took too long and was stopped" in process.failure["message"]


def test_a_diff_of_an_unknown_shape_is_not_applied(deployment: Deployment) -> None:
    applied = deployment.folder / "applied"
    apply = f"(await import('node:fs')).writeFileSync({json.dumps(str(applied))}, '');"
    process = pretending(deployment, apply=apply, diff={"collections": [{"nobody": "knows"}]}).migrate(5)
    assert "unknown shape" in process.failure["message"]
    assert not applied.exists()


def test_messages_out_of_turn_are_passed_over(deployment: Deployment, session: Session) -> None:
    session.execute("CREATE TABLE cars (id int)")
    apply = "for (const message of ['ready', 1, null, [], {}, {type: 'other'}]) process.send(message);"
    process = pretending(deployment, apply=apply).migrate(0)
    assert process.of("schema.ghosts_ignored", collections=["cars"])


def test_mode_skip_does_not_even_ask_directus(deployment: Deployment) -> None:
    deployment.environ["SUPERVISOR_SCHEMA_MODE"] = "skip"
    process = pretending(deployment).migrate(0)
    assert process.of("phase.finished", phase="schema_apply", outcome="skipped")
    assert not process.of("directus.step", step="schema-apply")


def test_mode_plan_shows_and_applies_nothing(deployment: Deployment) -> None:
    applied = deployment.folder / "applied"
    deployment.environ["SUPERVISOR_SCHEMA_MODE"] = "plan"
    apply = f"(await import('node:fs')).writeFileSync({json.dumps(str(applied))}, '');"
    process = pretending(deployment, apply=apply).migrate(0)
    assert process.of("schema.plan", mode="plan", created=["cars"])
    assert process.of("phase.finished", phase="schema_apply", outcome="skipped")
    assert not applied.exists()


@pytest.mark.directus
def test_what_was_made_in_the_live_directus_survives_an_older_snapshot(
    migrated_rally: Deployment, session: Session
) -> None:
    snapshot = migrated_rally.environ.pop("SUPERVISOR_SNAPSHOT")
    with migrated_rally.start("run") as process:
        process.wait_for("process.ready")
        with httpx.Client(base_url=migrated_rally.url, trust_env=False, timeout=30) as client:
            login = {
                "email": migrated_rally.environ["ADMIN_EMAIL"],
                "password": migrated_rally.environ["ADMIN_PASSWORD"],
            }
            token = client.post("/auth/login", json=login).raise_for_status().json()["data"]["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            sponsors = {"collection": "sponsors", "schema": {}, "meta": {}, "fields": []}
            client.post("/collections", json=sponsors).raise_for_status()
            colour = {"field": "colour", "type": "string", "schema": {}, "meta": {}}
            client.post("/fields/vehicles", json=colour).raise_for_status()
            client.post("/items/sponsors", json={}).raise_for_status()
            car = {"make": "Lada", "model": "Niva", "colour": "green"}
            client.post("/items/vehicles", json=car).raise_for_status()
        process.signal(signal.SIGTERM)
        process.expect_exit(0)

    migrated_rally.environ["SUPERVISOR_SNAPSHOT"] = snapshot
    process = migrated_rally.migrate(6)
    assert process.failure["code"] == "schema.destructive_change"
    assert process.failure["losses"] == ["collection sponsors (1 row)", "field vehicles.colour (1 value)"]
    assert "sponsors" in process.failure["message"]
    assert "vehicles.colour" in process.failure["message"]
    assert not process.of("schema.plan")
    assert session.value("SELECT count(*) FROM sponsors") == 1
    assert session.value("SELECT colour FROM vehicles") == "green"


@pytest.mark.directus
def test_tables_of_sql_files_that_got_into_the_snapshot_are_left_alone(
    migrated_rally: Deployment, session: Session
) -> None:
    document: dict[str, Any] = yaml.safe_load(migrated_rally.snapshot.read_text())
    for table, column in (("positions", "device_id"), ("migrations_applied", "filename")):
        document["collections"].append({"collection": table, "meta": {"collection": table}, "schema": {"name": table}})
        field = {"collection": table, "field": column, "type": "string", "meta": None}
        document["fields"].append({**field, "schema": {"name": column, "table": table, "data_type": "text"}})
    migrated_rally.snapshot.write_text(yaml.safe_dump(document))
    columns = "SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_name = $1 ORDER BY 1"
    before = session.column(columns, "positions"), session.applied

    process = migrated_rally.migrate()
    (ghosts,) = process.of("schema.ghosts_ignored")
    assert ghosts["level"] == "warning"
    assert ghosts["collections"] == ["migrations_applied", "positions"]
    assert process.of("phase.finished", phase="schema_apply", outcome="unchanged")
    assert (session.column(columns, "positions"), session.applied) == before
    assert session.value("SELECT count(*) FROM directus_collections WHERE collection = 'positions'") == 0
