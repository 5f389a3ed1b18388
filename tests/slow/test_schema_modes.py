"""The modes of the schema apply on the real Directus: rows that exist survive whatever was not approved."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.database import Session
from tests.harness import Deployment, eventually, is_gone

if TYPE_CHECKING:
    from supervisor.dev.postgres import PostgresCluster

pytestmark = pytest.mark.directus

ROWS = "SELECT string_agg(s::text, E'\\n' ORDER BY id) FROM sponsors s"
COLOURS = "SELECT string_agg(colour, ',' ORDER BY colour) FROM vehicles"
KNOWN = """
    SELECT string_agg(concat(f.collection, f.field, f.special, f.interface), E'\\n' ORDER BY f.collection, f.field)
      FROM directus_fields f WHERE f.collection = 'sponsors' OR f.field = 'colour'
"""


def make_collections(deployment: Deployment) -> None:
    """Make two collections and a field in the live Directus, as somebody does in the admin UI."""
    with deployment.start("run") as process:
        process.wait_for("process.ready", timeout_s=120)
        with httpx.Client(base_url=deployment.url, trust_env=False, timeout=60) as client:
            login = {"email": deployment.environ["ADMIN_EMAIL"], "password": deployment.environ["ADMIN_PASSWORD"]}
            token = client.post("/auth/login", json=login).raise_for_status().json()["data"]["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            fields = [
                {"field": "id", "type": "uuid", "schema": {"is_primary_key": True}, "meta": {"special": ["uuid"]}},
                {"field": "name", "type": "string", "schema": {}, "meta": {"interface": "input"}},
                {"field": "terms", "type": "json", "schema": {}, "meta": {"special": ["cast-json"]}},
                {"field": "vehicle", "type": "uuid", "schema": {}, "meta": {"special": ["m2o"]}},
            ]
            for name in ("sponsors", "drafts"):
                body: dict[str, Any] = {"collection": name, "schema": {}, "meta": {}, "fields": fields}
                client.post("/collections", json=body).raise_for_status()
            relation = {
                "collection": "sponsors",
                "field": "vehicle",
                "related_collection": "vehicles",
                "schema": {"on_delete": "SET NULL"},
                "meta": {"one_field": "sponsors"},
            }
            alias = {"field": "sponsors", "type": "alias", "meta": {"special": ["o2m"], "interface": "list-o2m"}}
            client.post("/fields/vehicles", json=alias).raise_for_status()
            client.post("/relations", json=relation).raise_for_status()
            colour = {"field": "colour", "type": "string", "schema": {}, "meta": {"interface": "input"}}
            client.post("/fields/vehicles", json=colour).raise_for_status()
            car = client.post("/items/vehicles", json={"make": "Lada", "model": "Niva", "colour": "grün"})
            vehicle = car.raise_for_status().json()["data"]["id"]
            sponsor = {"name": "Zoë \U0001f3c1\n\\N", "terms": {"share": [1.5, None]}, "vehicle": vehicle}
            client.post("/items/sponsors", json=[sponsor, {"name": None}]).raise_for_status()
        process.signal(signal.SIGTERM)
        process.expect_exit(0)


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def test_what_was_made_live_meets_an_older_snapshot_in_every_mode(  # noqa: PLR0915 - one life of one database
    migrated_rally: Deployment, session: Session, cluster: PostgresCluster, database: str, backups: Path
) -> None:
    deployment, environ = migrated_rally, migrated_rally.environ
    snapshot = environ.pop("SUPERVISOR_SNAPSHOT")
    make_collections(deployment)
    environ["SUPERVISOR_SNAPSHOT"] = snapshot

    def everything() -> list[object]:
        return [session.value(query) for query in (ROWS, COLOURS, KNOWN)]

    before = everything()
    lost = ["collection sponsors (2 rows)", "field vehicles.colour (1 value)"]

    environ["SUPERVISOR_SCHEMA_MODE"] = "plan"
    process = deployment.migrate()
    (plan,) = process.of("schema.plan", mode="plan")
    assert plan["losses"] == lost
    assert plan["deleted"] == ["drafts", "sponsors", "vehicles.sponsors", "vehicles.colour"]
    assert process.of("phase.finished", phase="schema_apply", outcome="skipped")
    assert (everything(), session.has("drafts")) == (before, True)

    environ["SUPERVISOR_SCHEMA_MODE"] = "safe"
    environ["SUPERVISOR_APPROVE_PLAN"] = "0123456789abcdef"
    process = deployment.migrate(6)
    assert process.failure["losses"] == lost
    digest = process.failure["digest"]
    assert digest == plan["digest"]
    assert f"SUPERVISOR_APPROVE_PLAN={digest}" in process.failure["remedy"]
    assert (everything(), session.has("drafts")) == (before, True)

    environ["SUPERVISOR_SCHEMA_MODE"] = "additive"
    process = deployment.migrate()
    assert process.of("schema.left_out", losses=lost)
    assert (everything(), session.has("drafts")) == (before, False)
    # What belongs to a collection that stays, stays: the other side of its relation.
    assert session.value("SELECT count(*) FROM directus_fields WHERE field = 'sponsors'") == 1
    assert session.value("SELECT count(*) FROM directus_relations WHERE one_field = 'sponsors'") == 1

    environ["SUPERVISOR_SCHEMA_MODE"] = "safe"
    environ["SUPERVISOR_APPROVE_PLAN"] = digest
    process = deployment.migrate(6)
    assert process.failure["code"] == "schema.backup_failed"
    assert everything() == before

    # A reader keeps the table from being dropped: the copy is written, the rows are held, and then comes a signal.
    environ["SUPERVISOR_BACKUP_DIR"] = str(backups)
    for number, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        session.execute("BEGIN; SELECT FROM sponsors")
        with deployment.start("migrate") as stopped:
            node = stopped.wait_for("directus.step", step="schema-apply")["pid"]
            stopped.wait_for("schema.loss")
            with Session(cluster, database) as writer, pytest.raises(Exception, match="lock timeout"):
                writer.execute("SET lock_timeout = '300ms'; INSERT INTO sponsors (id) VALUES (gen_random_uuid())")
            stopped.signal(number)
            stopped.expect_exit(status)
        eventually(partial(is_gone, node))
        session.execute("COMMIT")
        assert everything() == before
        assert not session.has("supervisor.approvals")

    # What Directus cannot drop is rolled back, and no boot adds a copy of it.
    session.execute("CREATE VIEW glance AS SELECT name FROM sponsors")
    copies = sorted(backups.iterdir())
    assert deployment.migrate(5).of("backup.written")
    assert (everything(), sorted(backups.iterdir())) == (before, copies)
    session.execute("DROP VIEW glance")

    # The same approval still holds, since nothing came of it.
    process = deployment.migrate()
    (loss,) = process.of("schema.loss")
    assert loss["losses"] == lost
    assert not session.has("sponsors")
    assert session.value("SELECT count(*) FROM information_schema.columns WHERE column_name = 'colour'") == 0
    assert session.column("SELECT digest FROM supervisor.approvals") == [digest]

    # Made again by hand, with the approval left in the environment.
    restored = deployment.start("restore", loss["backup"])
    restored.expect_exit(0)
    assert everything() == before
    assert session.value("SELECT count(*) FROM directus_relations WHERE one_field = 'sponsors'") == 1
    process = deployment.migrate(6)
    assert process.failure["losses"] == lost
    assert process.failure["digest"] != digest
    assert f"SUPERVISOR_APPROVE_PLAN is {digest}, which is not this plan" in process.failure["message"]
    assert everything() == before

    environ["SUPERVISOR_SCHEMA_MODE"] = "force"
    del environ["SUPERVISOR_BACKUP_DIR"]
    assert deployment.migrate().of("schema.loss", losses=lost, backup=None)
    assert not session.has("sponsors")


def test_rows_that_come_between_the_look_and_the_apply_are_not_dropped(
    migrated_rally: Deployment, session: Session
) -> None:
    session.execute("CREATE TABLE drafts (id int PRIMARY KEY); INSERT INTO directus_collections VALUES ('drafts')")
    session.execute("BEGIN; INSERT INTO drafts VALUES (1)")
    with migrated_rally.start("migrate") as process:
        plan = process.wait_for("schema.plan")
        assert plan["deleted"] == ["drafts"]
        eventually(
            lambda: bool(
                session.value(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock')"
                )
            )
        )
        session.execute("COMMIT")
        process.expect_exit(6)
    assert process.failure["losses"] == ["collection drafts (1 row)"]
    assert session.column("SELECT id FROM drafts") == [1]


def test_columns_are_not_narrowed_or_made_stricter_than_their_rows(
    migrated_rally: Deployment, session: Session, backups: Path
) -> None:
    deployment, environ = migrated_rally, migrated_rally.environ
    session.execute("""
        INSERT INTO vehicles (id, make, model, vin) VALUES (gen_random_uuid(), 'Lada', 'Niva Legend', 'x'),
                    (gen_random_uuid(), 'UAZ', '469', 'x');
        INSERT INTO directus_collections (collection) VALUES ('positions');
    """)
    document: dict[str, Any] = yaml.safe_load(deployment.snapshot.read_text())
    schema = {item["field"]: item["schema"] for item in document["fields"] if item["collection"] == "vehicles"}
    schema["model"]["max_length"] = 4
    schema["plate"]["is_nullable"] = False
    schema["vin"]["is_unique"] = True
    schema["make"]["max_length"] = 300
    deployment.snapshot.write_text(yaml.safe_dump(document))

    process = deployment.migrate(6)
    narrowed = "vehicles.model from character varying(255) to character varying(4) (1 value would not stay the same)"
    blocked = [
        "vehicles.vin becoming unique (1 value too many)",
        "vehicles.plate becoming required (2 rows without a value)",
    ]
    assert process.failure["losses"][0] == narrowed
    assert sorted(process.failure["losses"][1:]) == sorted(blocked)

    environ["SUPERVISOR_SCHEMA_MODE"] = "additive"
    environ["SUPERVISOR_APPROVE_PLAN"] = process.failure["digest"]
    environ["SUPERVISOR_BACKUP_DIR"] = str(backups)
    process = deployment.migrate()
    (left_out,) = process.of("schema.left_out")
    assert sorted(left_out["losses"]) == sorted(blocked)
    assert sorted(session.column("SELECT model FROM vehicles")) == ["469", "Niva"]
    # What SQL files made is not dropped, not even when Directus was made to track it and it has no row.
    assert process.of("schema.ghosts_ignored", collections=["positions"])
    assert session.has("positions")
    assert (
        session.value(
            "SELECT character_maximum_length FROM information_schema.columns WHERE table_name = 'vehicles' "
            "AND column_name = 'make'"
        )
        == 300
    )

    # The same narrowing again, of other rows, and nothing else in the way: the approval was for once.
    session.execute("""
        ALTER TABLE vehicles ALTER model TYPE varchar(255);
        UPDATE vehicles SET model = 'Niva Travel', plate = '', vin = left(id::text, 17)
    """)
    environ["SUPERVISOR_SCHEMA_MODE"] = "safe"
    process = deployment.migrate(6)
    assert process.failure["losses"] == [narrowed.replace("1 value", "2 values")]
    assert session.column("SELECT DISTINCT model FROM vehicles") == ["Niva Travel"]


def test_an_interrupted_apply_leaves_nothing_half_done_and_the_next_one_converges(
    bootstrapped_rally: Deployment, session: Session
) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('vehicles', 'events', 'entry_devices')"
    tracked = "SELECT count(*) FROM directus_collections"

    with bootstrapped_rally.start("migrate") as process:
        node = process.wait_for("directus.step", step="schema-apply")["pid"]
        process.wait_for("schema.plan")
        os.kill(node, signal.SIGKILL)
        process.expect_exit(5)
    assert "signal SIGKILL" in process.failure["message"]
    assert (session.value(tables), session.value(tracked)) == (0, 0)

    with bootstrapped_rally.start("migrate") as process:
        node = process.wait_for("directus.step", step="schema-apply")["pid"]
        process.wait_for("schema.plan")
        process.signal(signal.SIGTERM)
        process.expect_exit(128 + signal.SIGTERM, timeout_s=10)
    assert is_gone(node)
    assert (session.value(tables), session.value(tracked)) == (0, 0)

    with bootstrapped_rally.start("migrate") as process:
        node = process.wait_for("directus.step", step="schema-apply")["pid"]
        process.wait_for("schema.plan")
        process.signal(signal.SIGKILL)
        process.expect_exit(-signal.SIGKILL)
    process = bootstrapped_rally.migrate()
    assert is_gone(node)
    assert (session.value(tables), session.value(tracked)) == (3, 11)
